"""What a finished study says of its models: how far to trust them, and the threshold of conformal sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.constants import SYNTHETIC_SCANNER
from hipoa.core.files import read_csv
from hipoa.evaluation.comparison.verdicts import describe_weakness
from hipoa.evaluation.conformal.sets import find_threshold, order_classes, score_true
from hipoa.evaluation.graded import average_repeats, read_graded

_LEVEL = 0.9


def list_caveats(study: Path, config: Mapping[str, Any], experiment: str) -> Iterator[str]:
    """Why no grade of these models can be relied on, one sentence each; none where the study has no reason.

    Args:
        study: The results of the study.
        config: Its configuration, as its manifest has it.
        experiment: The experiment of the models.
    """
    if config.get("not_for_results"):
        yield config["not_for_results"]
    table = study / "differences.csv"
    weakness = describe_weakness(read_csv(table) if table.is_file() else [], experiment)
    if weakness:
        yield f"The model {weakness}: its grades cannot be relied on."
    if any(row["scanner"].startswith(SYNTHETIC_SCANNER) for row in read_csv(study / "hips/labelled.csv")):
        yield "The models learned from computer-generated patients: their grades say nothing about real ones."


def fit_sets(
    study: Path, config: Mapping[str, Any], experiment: str, repeats: int
) -> tuple[float, float] | None:
    """The level of the conformal sets that is nearest to 90 %, and its threshold for a new patient.

    The threshold is infinite where the labelled patients do not suffice. They have predictions of the same
    repeats as the new hip, but each of one model, and the new hip the mean of all: no coverage is proven
    (`hipoa.evaluation.conformal.conform.state_guarantee`). None where the study has no such predictions.
    """
    table = study / "uncertainty" / f"{experiment}.csv"
    if not table.is_file():
        return None
    graded = read_graded(table).of_cohort("labelled")
    graded = graded.where(graded.repeat < repeats)
    if not len(graded):
        return None
    labelled = average_repeats(graded)
    level = min(config["conform"]["conformal_levels"], key=lambda each: abs(each - _LEVEL))
    return level, find_threshold(score_true(labelled), labelled.patient, level)


def list_classes(probability: np.ndarray, value: float, threshold: float) -> list[int] | None:
    """The classes (1-7) of a hip's conformal set; None if the threshold is infinite.

    Args:
        probability: Of the classes (7,).
        value: Of a regression, in classes; else NaN.
        threshold: As :func:`fit_sets` gives it.
    """
    if not np.isfinite(threshold):
        return None
    inside = order_classes(probability[None], np.array([value]))[0] <= threshold
    return [int(grade) for grade in np.flatnonzero(inside) + 1]
