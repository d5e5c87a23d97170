import json
import re
from pathlib import Path

import pytest

from hipoa.report.outputs import DRAWN, TABLES
from hipoa.report.provenance import ORIGINS, trace_files
from hipoa.workflow.config import Config
from hipoa.workflow.study import STAGES

RULES = Path(__file__).parents[2] / "workflow/rules"


@pytest.fixture(scope="module")
def rules():
    """Stage to the text of its rule."""
    text = "\n".join(path.read_text() for path in sorted(RULES.glob("*.smk")))
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_origins_are_those_of_the_rules(rules):
    """What the manifest tells and what Snakemake runs are written in two places, and must agree."""
    for name, origin in ORIGINS.items():
        rule = rules[origin.stage]
        flags = re.search(r"study\.flags\(([^)]*)\)", rule)
        sections = set(re.findall(r'"(\w+)"', flags[1])) if flags else set()
        sections |= {"hips"} if "class_flags" in rule else set()
        sections |= {"triage"} if "simulate_flags" in rule else set()
        assert set(origin.sections) == sections, name
        if "*" not in name and not name.startswith("figures/"):
            assert name in rule.partition("output:")[2].partition("log:")[0], name


def test_every_table_and_figure_has_an_origin():
    assert {*TABLES, "metrics.csv", "compare.csv", "triage.csv", "report.html"} <= ORIGINS.keys()
    assert {f"figures/{name}" for name in DRAWN} <= ORIGINS.keys()
    assert {origin.stage for origin in ORIGINS.values()} <= STAGES.keys()
    assert {part for origin in ORIGINS.values() for part in origin.sections} <= Config.model_fields.keys()


def test_a_number_is_traced_to_its_files():
    names = [
        *("hips/labelled.csv", "hips/labelled.npz", "uncertainty/vit.csv", "uncertainty/vgg.csv"),
        *("models/vit/r0f0.json", "models/vgg/r0f0.json", "metrics.csv", "figures/accuracy.svg"),
    ]
    settings = {"metrics": {"a": 1}, "bootstrap": {"b": 2}, "code": {"metrics": "abc"}}
    found = trace_files(names, settings)
    assert found["metrics.csv"] == {
        "stage": "metrics",
        "settings": {"metrics": {"a": 1}, "bootstrap": {"b": 2}, "hips": {}},
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
