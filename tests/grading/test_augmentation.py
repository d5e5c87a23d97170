"""Images of a batch are augmented independently, repeatably, within the grey range, and are never flipped."""

import numpy as np
import pytest
import torch

from hipoa.core.files import read_npz
from hipoa.grading.settings import TrainSettings
from hipoa.grading.training import augment as augment_stage
from hipoa.grading.training.augmentation import build_augmentation

NOTHING = {"rotate_deg": 0, "zoom": 0, "blur_sigma_px": 0, "brightness_contrast": 0, "holes": 0}
EACH = [
    {"rotate_deg": 20},
    {"zoom": 0.2},
    {"blur_sigma_px": 2},
    {"brightness_contrast": 0.3},
    {"holes": 6},
]


def augment(images, seed=0, **strengths):
    torch.manual_seed(seed)
    return build_augmentation(TrainSettings(**strengths))(images)


@pytest.fixture
def images():
    grey = np.random.default_rng([5]).uniform(0, 1, (1, 1, 32, 32)).astype(np.float32)
    return torch.from_numpy(grey).repeat(12, 1, 1, 1)


@pytest.mark.parametrize("strength", EACH, ids=lambda strength: next(iter(strength)))
def test_each_change_is_per_image_and_seeded_and_keeps_the_range(images, strength):
    changed = augment(images, **NOTHING | strength)
    assert changed.shape == images.shape
    assert len(torch.unique(changed.flatten(1), dim=0)) > 4
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(changed, augment(images, **NOTHING | strength))
    assert not torch.equal(changed, augment(images, seed=1, **NOTHING | strength))


def test_all_changes_together_keep_the_range(images):
    changed = augment(images)
    assert torch.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_strength_zero_changes_nothing(images):
    assert torch.equal(augment(images, **NOTHING), images)


def test_nothing_is_flipped():
    """A bright right edge and a brighter lower edge stay where they are."""
    image = torch.zeros(64, 1, 32, 32)
    image[..., 20:, :] += 0.5
    image[..., :, 20:] += 0.3
    changed = augment(image, brightness_contrast=0, holes=0)
    assert (changed[..., 16:, :].mean((1, 2, 3)) > changed[..., :16, :].mean((1, 2, 3))).all()
    assert (changed[..., 16:].mean((1, 2, 3)) > changed[..., :16].mean((1, 2, 3))).all()


def test_rotation_is_at_most_the_setting():
    image = torch.zeros(200, 1, 64, 64)
    image[..., 30:34, 54:58] = 1
    changed = augment(image, **NOTHING | {"rotate_deg": 10})
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    mass = changed.sum((1, 2, 3))
    angle = torch.rad2deg(
        torch.atan2(
            ((row - 31.5) * changed[:, 0]).sum((1, 2)) / mass,
            ((column - 31.5) * changed[:, 0]).sum((1, 2)) / mass,
        )
    )
    assert 7 < angle.abs().max() < 11


def test_holes_are_squares():
    changed = augment(torch.ones(40, 1, 40, 40), **NOTHING | {"holes": 1})
    black = (changed == 0).sum((1, 2, 3))
    assert set(black.tolist()) == {0, 16}


def test_samples_show_one_hip_of_each_class(cohorts, tmp_path):
    rows = [(f"p{k}", "R", "ok", grade) for k, grade in enumerate((7, 2, "", 2, 5))]
    rows.append(("p9", "L", "refused", 1))
    table, stack = cohorts.hips("labelled", rows)
    out = tmp_path / "augmentation.npz"
    settings = TrainSettings()
    augment_stage.run(settings, hips=table, stack=stack, input_px=64, samples=3, out=out)
    found = read_npz(out)
    assert dict(zip(found["hip_id"].tolist(), found["grade"].tolist(), strict=True)) == {
        "lp0_R": 7,
        "lp1_R": 2,
        "lp4_R": 5,
    }
    assert found["original"].shape == (3, 64, 64)
    assert found["changed"].shape == (3, 3, 64, 64)
    assert all(len(np.unique(images.reshape(3, -1), axis=0)) == 3 for images in found["changed"])
    augment_stage.run(settings, hips=table, stack=stack, input_px=64, samples=3, out=tmp_path / "b.npz")
    assert np.array_equal(read_npz(tmp_path / "b.npz")["changed"], found["changed"])
    nobody = cohorts.hips("external", [])
    augment_stage.run(settings, hips=nobody[0], stack=nobody[1], input_px=64, samples=3, out=out)
    assert read_npz(out)["changed"].shape == (0, 3, 64, 64)
