"""Crowe and KL apart, and the binary question of osteoarthritis, as the combined class implies them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import (
    CLASSES,
    NOT_COVERED,
    Family,
    Row,
    Score,
    mean_of,
    name_cells,
    rank_by_repeat,
    score_rows,
    tally_values,
    write_interval,
)
from hipoa.evaluation.metrics.rank_areas import area_under_roc
from hipoa.evaluation.metrics.scores import divide
from hipoa.evaluation.settings import BootstrapSettings

Pairs = Sequence[tuple[int, int]]
"""(Crowe, KL) of the classes 1-7."""

INDEX_SCORES = ("ECA", "ONCA", "balanced accuracy", "quadratic weighted kappa", "MAE")
_WORDS = {"ECA": "accuracy", "ONCA": "accuracy within one"}

LEAST_KL = 2
BINARY = f"KL >= {LEAST_KL}"
_PUBLISHED = "published on other hips: 0.833 (Gebre et al.), 0.92 (Xue et al.)"


@dataclass(frozen=True)
class Index:
    """Crowe or KL of the hips of a table, ``known`` (n,) where it was read.

    Attributes:
        name: Crowe or KL.
        true: (n,) as read, a KL 0 counted as 1 where no class has KL 0; 0 or more.
        of_class: (7,) of each class.
    """

    name: str
    true: np.ndarray
    known: np.ndarray
    of_class: np.ndarray


def find_indices(table: Graded, read: dict[str, tuple[int, int]], pairs: Pairs) -> list[Index]:
    """Crowe and KL of the rows of a table.

    Args:
        table: One experiment's graded hips.
        read: Hip to (Crowe, KL) as read, -1 where an index was not.
        pairs: What the classes are.
    """
    true = np.array([read.get(name, (-1, -1)) for name in table.hip.tolist()]).reshape(-1, 2)
    classes = np.array(pairs)
    # Without a class for it, a hip of KL 0 is as mild as the table can say.
    lowest = np.where(true >= 0, np.maximum(true, classes.min(axis=0)), true)
    return [
        Index(name, lowest[:, column], true[:, column] >= 0, classes[:, column])
        for column, name in enumerate(("Crowe", "KL"))
    ]


def score_indices(
    table: Graded, cohort: str, indices: Sequence[Index], note: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """The rows of Crowe and KL derived from the predicted class.

    Args:
        table: One experiment's graded hips of one cohort.
        cohort: The cohort's name.
        indices: From `find_indices`, of the same rows.
        note: How the predictions came about.
        bootstrap: The resampling.
    """
    for index in indices:
        if not index.known.any():
            continue
        # The scores are those of 7 ordered classes, of which an index has at most 5.
        derived = replace(table, grade=index.true + 1, predicted=index.of_class[table.predicted - 1] + 1)
        said = f"{index.name} of the predicted class; {note}"
        for row in score_rows(
            derived.where(index.known), cohort, CLASSES.pick(INDEX_SCORES), said, bootstrap
        ):
            yield {**row, "metric": name_score(index.name, str(row["metric"]))}


def name_score(index: str, metric: str) -> str:
    """Such as "Crowe accuracy"."""
    return f"{index} {_WORDS.get(metric, metric)}"


def score_binary(
    table: Graded, cohort: str, kl: Index, note: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """The rows of the question whether a hip has osteoarthritis, KL 2 or more.

    The answer is yes where the classes with such a KL have more than half of the probability together.

    Args:
        table: One experiment's graded hips of one cohort.
        cohort: The cohort's name.
        kl: From `find_indices`, of the same rows.
        note: How the predictions came about.
        bootstrap: The resampling.
    """
    if not kl.known.any():
        return
    known = table.where(kl.known)
    true = kl.true[kl.known] >= LEAST_KL
    probability = known.probability[:, kl.of_class >= LEAST_KL].sum(axis=1)
    right = (probability > 0.5) == true
    stated = np.column_stack([right, right & true, true, right & ~true, ~true]).astype(np.float64)
    family = Family(
        lambda _, cell, n_cells: tally_values(stated, cell, n_cells),
        {
            f"{BINARY} accuracy": (mean_of(0), "share"),
            f"{BINARY} sensitivity": (_ratio(1, 2), "share"),
            f"{BINARY} specificity": (_ratio(3, 4), "share"),
        },
    )
    yield from score_rows(known, cohort, family, f"{note}; {_PUBLISHED}", bootstrap)
    yield _score_area(known, cohort, probability, true, note, bootstrap)


def _ratio(part: int, whole: int) -> Score:
    return lambda sums: divide(sums[..., part], sums[..., whole])


def _score_area(
    table: Graded,
    cohort: str,
    probability: np.ndarray,
    true: np.ndarray,
    note: str,
    bootstrap: BootstrapSettings,
) -> Row:
    area, drawn = rank_by_repeat(table, probability, true, {"AUROC": area_under_roc}, bootstrap)["AUROC"]
    row = {**name_cells(table, cohort, f"{BINARY} AUROC", "probability"), "value": format_number(area.mean())}
    if row["value"] == "":
        return {**row, "note": f"{note}; not defined on these hips"}
    several = len(np.unique(table.patient)) > 1
    return {**row, **write_interval(drawn if several else None), "note": f"{note}; {NOT_COVERED}"}
