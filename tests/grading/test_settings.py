"""Settings are validated, and their names are distinct flags of each stage."""

import importlib
import inspect

import pytest
from pydantic import ValidationError

from hipoa.cli import COMMANDS
from hipoa.core.settings import Settings
from hipoa.grading.settings import Experiment, FoldsSettings, HipsSettings, PredictSettings, TrainSettings


def test_the_default_class_table():
    table = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
    assert HipsSettings().class_table == table


@pytest.mark.parametrize(
    "table",
    [
        ((1, 1), (1, 1), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4)),
        ((1, 2), (1, 1), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4)),
        ((1, 1), (1, 2), (1, 3), (2, 4), (1, 4), (3, 4), (4, 4)),
    ],
)
def test_a_class_table_that_is_not_ordinal_is_refused(table):
    with pytest.raises(ValidationError, match="class_table is not ordinal"):
        HipsSettings(class_table=table)


def test_published_defaults():
    assert (FoldsSettings().folds, TrainSettings().epochs, PredictSettings().passes) == (4, 200, 50)
    assert Experiment().input_px == 224


@pytest.mark.parametrize("weights", ["hub", "hub:abc", "none", "file:a.pth", "package:some_model"])
def test_known_sources_of_weights(weights):
    assert Experiment(weights=weights).weights == weights


@pytest.mark.parametrize("weights", ["", "imagenet", "file:", "package:"])
def test_an_unknown_source_of_weights_is_refused(weights):
    with pytest.raises(ValidationError, match="is none of none, hub"):
        Experiment(weights=weights)


@pytest.mark.parametrize("stage", ["hips", "folds", "weights", "train", "predict"])
def test_no_two_flags_of_a_stage_share_a_name(stage):
    run = importlib.import_module(COMMANDS[stage][0]).run
    names = []
    for name, hint in inspect.get_annotations(run, eval_str=True).items():
        if inspect.isclass(hint) and issubclass(hint, Settings):
            names += list(hint.model_fields)
            assert all(field.description for field in hint.model_fields.values())
        elif name != "return":
            names.append(name)
    assert len(names) == len(set(names))
