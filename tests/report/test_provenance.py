import json

from hipoa.report.outputs import TABLES as SHOWN
from hipoa.report.provenance import ORIGINS, trace_files
from hipoa.workflow.stages import TABLES


def test_every_table_has_an_origin():
    assert {*SHOWN, *TABLES, "report.html", "figures/*", "explanations/*.npz"} <= ORIGINS.keys()
    assert set(SHOWN) < set(TABLES)


def test_a_number_is_traced_to_its_files():
    names = [
        *("hips/labelled.csv", "hips/labelled.npz", "uncertainty/vit.csv", "uncertainty/vgg.csv"),
        *("models/vit/r0f0.json", "models/vgg/r0f0.json", "metrics.csv", "figures/accuracy.svg"),
    ]
    settings = {"metrics": {"a": 1}, "code": {"metrics": "abc"}}
    found = trace_files(names, settings)
    assert found["metrics.csv"] == {
        "stage": "metrics",
        "settings": {"metrics": {"a": 1}, "hips": {}},
        "code": "abc",
        "inputs": ["hips/labelled.csv", "uncertainty/vgg.csv", "uncertainty/vit.csv"],
    }
    assert found["uncertainty/vit.csv"]["inputs"] == ["hips/labelled.csv", "models/vit/r0f0.json"]
    assert "metrics.csv" in found["figures/accuracy.svg"]["inputs"]
    assert "hips/labelled.csv" not in found


def test_maps_are_of_the_models_and_the_table_of_their_experiment():
    names = ["explanations/vit.npz", "models/vit/r0f0.json", "models/vgg/r0f0.json", "models/vit/r1f0.json"]
    names += ["uncertainty/vit.csv", "uncertainty/vgg.csv", "hips/labelled.npz"]
    made = trace_files(names, {})["explanations/vit.npz"]
    assert made["inputs"] == ["hips/labelled.npz", "models/vit/r0f0.json", "uncertainty/vit.csv"]


def test_the_manifest_traces_all_that_was_made(fabricated):
    fabricated.report(out="traced.html", manifest="traced.json")
    manifest = json.loads((fabricated.root / "traced.json").read_text())
    made = manifest["made_by"]
    assert {*TABLES, "metrics.csv", "triage.csv", "uncertainty/vit.csv"} <= made.keys()
    assert all(set(entry["inputs"]) <= manifest["sha256"].keys() for entry in made.values())
    assert all(entry["inputs"] for entry in made.values())
