"""The locator's networks can be made again: volumes, crops, steps that go on where they stopped, weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "locator_training"


@pytest.fixture(scope="module")
def training():
    """The module that trains, and those beside it."""
    sys.path.insert(0, str(FOLDER))
    try:
        import anatomy
        import augment
        import train

        yield train, anatomy, augment
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def volumes(training, tmp_path_factory):
    """Two drawn volumes on the disk, one of real bones, one without a hip."""
    train, _, _ = training
    cache = tmp_path_factory.mktemp("locator")
    (cache / "training").mkdir()
    for number in (0, 7):
        train._draw_one((number, False, cache / "training"))
    return cache


@pytest.mark.slow
def test_the_same_number_draws_the_same_volume(training):
    _, anatomy, _ = training
    one, again = anatomy.draw(3), anatomy.draw(3)
    assert (one.labels == again.labels).all()
    assert one.heads["R"][0] - one.heads["L"][0] == pytest.approx(175, abs=30)


@pytest.mark.slow
def test_no_kept_bone_trains(training, monkeypatch):
    import with_hips

    seen = set()
    pelvis = with_hips.pelvis
    monkeypatch.setattr(with_hips, "pelvis", lambda number: seen.add(number) or pelvis(number))
    monkeypatch.setattr(with_hips, "_assemble", lambda *_: None)
    for number in range(120):
        with_hips.draw_real(np.random.default_rng([number]))
    assert len(seen) == 24
    assert not seen & set(with_hips.KEPT_PELVES)
    seen.clear()
    for number in range(30):
        with_hips.draw_real(np.random.default_rng([number]), kept=True)
    assert seen == set(with_hips.KEPT_PELVES)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_a_crop_knows_where_its_heads_are(training, volumes, scale):
    """Cells within a head are of its side, and their offsets end at its centre, however it was turned."""
    train, _, augment = training
    found = train.Volumes(volumes / "training")
    (anatomy, labels), seen = found.all[0], 0
    assert set(anatomy.heads) == {"L", "R"}
    for number in range(12):
        sample = augment.make_sample(anatomy, labels, augment.SCALES[scale], np.random.default_rng(number))
        cells = 2 * augment.SCALES[scale].spacing_mm
        for side, code in (("L", 1), ("R", 2)):
            of_head = np.argwhere(sample.target.numpy() == code)
            if len(of_head):
                seen += 1
                ends = (of_head + 0.5) * cells + 20 * sample.offset.numpy()[:, *of_head.T].T
                assert ends == pytest.approx(np.tile(sample.heads[side][:3], (len(ends), 1)), abs=1e-2)
    assert seen > 3


@pytest.mark.slow
def test_the_mirror_image_exchanges_the_sides(training, volumes):
    """In most crops, turned by up to 45 degrees, the right head lies to the right of the left one."""
    train, _, augment = training
    anatomy, labels = train.Volumes(volumes / "training").all[0]
    right = []
    for number in range(30):
        rng = np.random.default_rng(number)
        heads = augment.make_sample(anatomy, labels, augment.SCALES["coarse"], rng).heads
        right.append(heads["R"][0] > heads["L"][0])
    assert all(right)


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(training, volumes, monkeypatch):
    """A run that was killed after two steps ends with the weights of one that was not."""
    import torch

    train, _, _ = training
    monkeypatch.setattr(train, "CACHE", volumes)
    monkeypatch.setattr(train, "SAVE_EVERY", 1)
    train.fit("fine", 4, 1, batch_size=2)
    straight = torch.load(volumes / "fine.pt", weights_only=True)
    (volumes / "fine.pt").unlink()
    loss_of, calls = train.loss_of, []

    def die_in_the_third_step(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return loss_of(*arguments)

    monkeypatch.setattr(train, "loss_of", die_in_the_third_step)
    with pytest.raises(KeyboardInterrupt):
        train.fit("fine", 4, 1, batch_size=2)
    assert torch.load(volumes / "fine.pt", weights_only=True)["step"] == 2
    train.fit("fine", 4, 1, batch_size=2)
    again = torch.load(volumes / "fine.pt", weights_only=True)
    assert again["step"] == straight["step"] == 4
    for name, values in straight["network"].items():
        assert torch.equal(again["network"][name], values), name


@pytest.mark.slow
def test_the_forward_pass_in_numpy_is_that_of_the_network(training):
    import torch

    from hipoa.imaging.localization import network

    train, _, _ = training
    torch.manual_seed(5)
    model = train.Network()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
    model.eval()
    image = np.random.default_rng([5]).uniform(0, 2, (32, 16, 48)).astype(np.float32)
    weights = {name: values.astype(np.float32) for name, values in train.fold(model).items()}
    ours = network._forward(weights, image)
    with torch.inference_mode():
        theirs = model(torch.tensor(image)[None, None])[0].permute(1, 2, 3, 0).numpy()
    assert ours == pytest.approx(theirs, abs=0.02 * float(np.abs(theirs).max()))


def test_damaged_weights_are_refused(monkeypatch, tmp_path):
    from hipoa.core.errors import ConfigError
    from hipoa.imaging.localization import network

    network.load_weights.cache_clear()
    monkeypatch.setattr(network, "_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="weights are not those of this version"):
        network.load_weights()
    network.load_weights.cache_clear()


def test_the_shipped_weights_are_small_and_all_there():
    from hipoa.imaging.localization import locator, network

    weights = network.load_weights()
    assert set(weights) == {"coarse", "fine", "confidence"}
    assert len(weights["confidence"]["weight"]) == len(locator.FEATURES)
    file = ROOT / "hipoa" / "imaging" / "localization" / "weights.safetensors"
    assert file.stat().st_size < 2_000_000
    assert json.dumps(sorted(weights["coarse"])) == json.dumps(sorted(weights["fine"]))
