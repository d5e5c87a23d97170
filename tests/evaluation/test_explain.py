import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hipoa.core.errors import CohortError
from hipoa.core.files import read_npz, write_npz
from hipoa.evaluation import explain
from hipoa.evaluation.explain import (
    GRAD_CAM,
    ROLL_OUT,
    find_attentions,
    find_last_maps,
)
from hipoa.evaluation.graded import choose_hips, read_graded
from hipoa.evaluation.settings import ExplainSettings
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.networks import GradingNetwork, build_network, prepare_images
from hipoa.grading.tasks import TASKS

PX = 64
VIT, CNNS = "vit_tiny_patch16_224", ("vgg11", "densenet121", "efficientnet_lite0")


def build(name, outputs=7):
    torch.manual_seed(0)
    return build_network(name, outputs=outputs, input_px=PX, dropout=0.1, dropout_where="head",
                         normalisation=((0.5,) * 3, (0.5,) * 3))  # fmt: skip


@pytest.fixture(scope="module")
def radiograph():
    return np.random.default_rng(0).integers(0, 255, (48, 48)).astype(np.uint8)


@pytest.mark.parametrize("loss", ["classification", "regression"])
@pytest.mark.parametrize("name", [VIT, *CNNS])
def test_a_map_lies_on_the_radiograph_and_reaches_one(name, loss, radiograph):
    readout = OutputHeads(TASKS["separate"], loss)
    heat, method = explain.compute_saliency(build(name, readout.n_outputs), readout, radiograph, PX)
    assert heat.shape == radiograph.shape
    assert np.isfinite(heat).all()
    assert 0 <= heat.min() <= heat.max() <= 1.0001
    assert method == (ROLL_OUT if name == VIT else GRAD_CAM)


def test_roll_out_of_equal_attention_is_the_same_everywhere(radiograph):
    network = build(VIT)
    for attention in find_attentions(network.backbone):
        torch.nn.init.zeros_(attention.qkv.weight)
    heat = explain.roll_out(
        network.eval(),
        find_attentions(network.backbone),
        prepare_images(radiograph[None], PX, torch.device("cpu")),
    )
    assert heat.shape == (4, 4)
    assert torch.allclose(heat, heat.mean(), rtol=1e-5)


def test_roll_out_leaves_the_network_as_it_was(radiograph):
    network = build(VIT).eval()
    images = prepare_images(radiograph[None], PX, torch.device("cpu"))
    attentions = find_attentions(network.backbone)
    fused = [module.fused_attn for module in attentions]
    with torch.inference_mode():
        before = network(images)
        explain.roll_out(network, attentions, images)
        assert torch.equal(network(images), before)
    assert [module.fused_attn for module in attentions] == fused


class Bright(torch.nn.Module):
    """A network whose only output is the brightness of the left half of its one map."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 1, 1, bias=False)
        torch.nn.init.ones_(self.conv.weight)
        self.head = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(self.head.weight)
        self.num_classes = 1

    def forward_features(self, images):
        return self.conv(images)

    def forward_head(self, maps, pre_logits):
        left = maps[..., : maps.shape[-1] // 2]
        return left.mean(dim=(2, 3))

    def get_classifier(self):
        return self.head


def test_grad_cam_of_a_network_that_counts_bright_pixels_is_the_brightness():
    network = GradingNetwork(Bright(), 0.0, (0.0,) * 3, (1.0,) * 3).eval()
    radiograph = np.zeros((8, 8), dtype=np.uint8)
    radiograph[2, 3] = 255
    heat, _ = explain.compute_saliency(network, OutputHeads(TASKS["combined"], "regression"), radiograph, 8)
    assert heat[2, 3] == pytest.approx(1)
    assert heat.sum() == pytest.approx(1)


def test_a_network_without_maps_is_named():
    network = GradingNetwork(Bright(), 0.0, (0.0,) * 3, (1.0,) * 3).eval()
    with pytest.raises(CohortError, match="explained_hips"):
        find_last_maps(network, torch.zeros(1, 1, 1, 1))


def list_hips():
    hips = [
        ("a", 1, 1, 0.6),
        ("b", 1, 1, 0.9),
        ("c", 2, 2, 0.7),
        ("d", 2, 5, 0.5),
        ("e", 3, 4, 0.8),
        ("f", 3, 6, 0.9),
    ]
    return [
        {"hip_id": f"{name}_L", "grade": grade, "predicted": predicted, f"p{predicted}": largest}
        for name, grade, predicted, largest in hips
    ]


def test_the_surest_right_hips_of_each_class_and_the_worst_wrong_ones(write_uncertainty):
    table = read_graded(write_uncertainty("vit", list_hips()))
    assert [table.hip[rows].tolist() for rows in choose_hips(table, 2)] == [["b_L", "c_L"], ["f_L", "d_L"]]
    right, wrong = choose_hips(table, 3)
    assert table.hip[right].tolist() == ["b_L", "c_L", "a_L"]
    assert table.hip[wrong].tolist() == ["f_L", "d_L", "e_L"]


def test_the_stage_explains_each_hip_with_the_model_that_graded_it(write_uncertainty, tmp_path):
    table = write_uncertainty("vgg", [{**row, "fold": place % 2} for place, row in enumerate(list_hips())])
    names = [row["hip_id"] for row in list_hips()]
    images = np.random.default_rng(1).integers(0, 255, (6, 40, 40)).astype(np.uint8)
    write_npz(tmp_path / "labelled.npz", {"hip_id": np.array(names), "radiograph": images})
    models, records = [], []
    for fold in range(2):
        models.append(tmp_path / f"r0f{fold}.safetensors")
        weights = build("vgg11").backbone.state_dict()
        save_file({name: values.contiguous() for name, values in weights.items()}, models[-1])
        record = {"network": "vgg11", "task": "combined", "loss": "classification", "repeat": 0, "fold": fold}
        record |= {
            "input_px": PX,
            "dropout": 0.1,
            "dropout_where": "head",
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
        }
        records.append(tmp_path / f"r0f{fold}.json")
        records[-1].write_text(json.dumps(record))
    out = tmp_path / "vgg.npz"
    explain.run(ExplainSettings(explained_hips=2), experiment="vgg", uncertainty=table, models=models,
                records=records, stack=tmp_path / "labelled.npz", out=out)  # fmt: skip
    found = read_npz(out)
    assert found["hip_id"].tolist() == ["b_L", "c_L", "f_L", "d_L"]
    assert found["fold"].tolist() == [1, 0, 1, 1]
    assert found["heat"].shape == (4, 40, 40)
    assert found["heat"].dtype == np.float16
    assert str(found["method"]) == GRAD_CAM
