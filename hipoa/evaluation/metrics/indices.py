"""Scores of Crowe, KL and osteoarthritis (KL 2 or more), of the combined class and of separate heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import (
    CLASSES,
    estimate_cells,
    mean_value,
    name_cells,
    score_rows,
)
from hipoa.evaluation.metrics.questions import BINARY, Pairs, Question, ask_indices, find_indices
from hipoa.evaluation.metrics.rank_areas import area_under_roc, estimate_areas
from hipoa.evaluation.statistics.intervals import Row

INDEX_SCORES = ("ECA", "ONCA", "balanced accuracy", "quadratic weighted kappa", "MAE")
APART = "{}, graded apart"
_WORDS = {"ECA": "accuracy", "ONCA": "accuracy within one"}

PUBLISHED_BINARY = {"Gebre": 0.833, "Xue": 0.92}
"""Accuracy of KL >= 2 against less in other work. Source: the slides of Masuda et al. 2024."""
_PUBLISHED = ", ".join(f"{share:.3g} ({author} et al.)" for author, share in PUBLISHED_BINARY.items())


def name_score(index: str, metric: str) -> str:
    """Such as "Crowe accuracy"."""
    return f"{index} {_WORDS.get(metric, metric)}"


def _score_index(table: Graded, index: str, note: str) -> Iterator[Row]:
    for row in score_rows(table, CLASSES.pick(INDEX_SCORES), note):
        yield {**row, "metric": name_score(index, str(row["metric"]))}


def score_separate(table: Graded, index: str, note: str) -> Iterator[Row]:
    """The rows of Crowe or KL of a network with a separate head for it, also of hips off the class table."""
    for row in _score_index(table, index, f"hips read on {index}, off the class table too; {note}"):
        yield {**row, "metric": APART.format(row["metric"])}


def score_implied(
    table: Graded,
    read: Mapping[str, tuple[int, int]],
    pairs: Pairs,
    note: str,
) -> Iterator[Row]:
    """The rows of Crowe, of KL and of osteoarthritis, as the predicted class of one cohort implies them.

    ``read`` is hip to (Crowe, KL) as read, -1 where an index was not; ``note`` says how it was predicted.
    """
    true = find_indices(table, read)
    for index, grade, of_class in zip(("Crowe", "KL"), true.T, np.array(pairs).T, strict=True):
        # A KL of 0 counts as the mildest KL of the class table. The scores are those of 7 ordered classes, of
        # which an index has at most 5.
        implied = replace(
            table, grade=np.maximum(grade, of_class.min()) + 1, predicted=of_class[table.predicted - 1] + 1
        ).where(grade >= 0)
        if len(implied):
            yield from _score_index(implied, index, f"{index} of the predicted class; {note}")
    osteoarthritis = next(ask_indices(table, read, pairs))
    if len(osteoarthritis.table):
        yield from _score_binary(osteoarthritis, note)


def _score_binary(question: Question, note: str) -> Iterator[Row]:
    """The rows of osteoarthritis: predicted where the classes with such a KL sum to more than 0.5."""
    table, probability, true = question.table, question.probability, question.true
    right = ((probability > 0.5) == true).astype(np.float64)
    accuracies = {"accuracy": np.ones_like(true), "sensitivity": true, "specificity": ~true}
    for name, inside in accuracies.items():
        if inside.any():
            scores = mean_value(f"{BINARY} {name}", right[inside], "share")
            yield from score_rows(
                table.where(inside), scores, f"{note}; published on other hips: {_PUBLISHED}"
            )
    area = estimate_areas(table, probability, true, {"AUROC": (area_under_roc, "probability")})["AUROC"]
    yield name_cells(table, f"{BINARY} AUROC", area.unit) | estimate_cells(area, note)
