"""Scores the predictions: accuracy, agreement and uncertainty of experiments, baselines and raters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.graded import GROUPS, Graded, average_repeats, read_graded, split_cohorts
from hipoa.evaluation.metrics.baselines import (
    grade_by_geometry,
    read_geometry,
    score_constants,
    score_geometry,
)
from hipoa.evaluation.metrics.estimates import (
    CLASSES,
    RANKED,
    interval_rows,
    mean_value,
    recall_rows,
    score_rows,
    tally_classes,
)
from hipoa.evaluation.metrics.indices import score_implied, score_separate
from hipoa.evaluation.metrics.questions import Pairs, read_indices, read_pairs
from hipoa.evaluation.metrics.raters import pair_raters, score_raters
from hipoa.evaluation.metrics.sides import pair_sides, score_sides
from hipoa.evaluation.metrics.subgroups import COLUMNS as SUBGROUP_COLUMNS
from hipoa.evaluation.metrics.subgroups import read_subgroups, score_subgroups
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import MetricsSettings
from hipoa.evaluation.statistics.intervals import Row
from hipoa.grading.tasks import CROWE, KL

COLUMNS = (
    *("experiment", "cohort", "metric", "value", "unit"),
    *("low", "high", "sd_repeats", "sd_folds", "n_hips", "n_patients", "note"),
)
_PREDICTED = tuple(f"predicted_{grade}" for grade in range(1, N_GRADES + 1))
CONFUSION_COLUMNS = ("experiment", "cohort", "grade", *_PREDICTED, "note")
AVERAGED = "{}, repeats averaged"


def run(
    settings: MetricsSettings,
    *,
    uncertainty: list[Path],
    hips: list[Path],
    truth: list[Path],
    class_table: str,
    out: Path,
    confusion: Path,
    subgroups: Path,
) -> None:
    """Writes the scores of every experiment, each with its unit, n and spread.

    A score is the mean over the repeats of the score per repeat. Beside it stand its 95 % interval, and the
    standard deviations over repeats and over the scores of each repeat and fold.

    Args:
        settings: The age bands.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The tables ``{cohort}.csv``.
        truth: The tables ``{shard}.truth.csv`` of synthetic hips, if there are any.
        class_table: The (Crowe, KL) of the classes 1-7, JSON.
        out: The table of scores to write.
        confusion: The table of confusion matrices to write.
        subgroups: The table of scores by subgroup to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    # Only the first experiment's folds and hips count for it.
    geometry = [grade_by_geometry(table, read_geometry(truth)) for table in tables[:1]]
    pairs = read_pairs(class_table)
    beside = [*geometry, pair_raters(hips), pair_sides(hips)]
    rows = _rows(tables, beside, read_indices(hips), pairs)
    write_csv(out, COLUMNS, chain(rows, _separate_rows(uncertainty)))
    parts = [(cohort, table) for cohort, of_cohort in split_cohorts(tables) for table in of_cohort]
    write_csv(confusion, CONFUSION_COLUMNS, (row for part in parts for row in _confusion_rows(*part)))
    groups = read_subgroups(hips, settings.age_bounds_years)
    found = (row for _, table in parts for row in score_subgroups(table, groups))
    write_csv(subgroups, SUBGROUP_COLUMNS, found)


def _rows(
    tables: Sequence[Graded],
    beside: Sequence[Graded],
    read: dict[str, tuple[int, int]],
    pairs: Pairs,
) -> Iterator[Row]:
    """The rows of the experiments and, cohort by cohort, of what is compared with them."""
    of_labelled = [average_repeats(table.of_cohort("labelled")) for table in tables]
    labelled = max(of_labelled, key=len).grade if of_labelled else np.zeros(0, dtype=np.int64)
    for cohort, of_cohort in split_cohorts(tables):
        for table in of_cohort:
            yield from score_experiment(table)
            note = f"hips of the combined task; {describe_predictions(table)}"
            yield from score_implied(table, read, pairs, note)
            yield from average_groups(table)
        geometry, raters, sides = (table.of_cohort(cohort) for table in beside)
        yield from score_constants(average_repeats(max(of_cohort, key=len)), labelled)
        yield from score_geometry(geometry)
        yield from score_raters(raters)
        yield from score_sides(sides)


def _separate_rows(uncertainty: Sequence[Path]) -> Iterator[Row]:
    """The rows of the experiments with separate heads for Crowe and KL."""
    for index, head in (("Crowe", CROWE), ("KL", KL)):
        for _, tables in split_cohorts([read_graded(path, head) for path in uncertainty]):
            for table in tables:
                yield from score_separate(table, index, describe_predictions(table))


def describe_predictions(table: Graded) -> str:
    """How the predictions of an experiment in one cohort were made, in words."""
    n = table.n_repeats
    over = f"mean over {n} repeats of the score per repeat" if n > 1 else "one repeat"
    return f"{_name_models(table)}; {over}"


def _name_models(table: Graded) -> str:
    if table.cohort[0] == "labelled":
        return "out of fold, by the patient's own fold's model"
    return "mean over the models that have not seen the patient"


def score_experiment(table: Graded) -> Iterator[Row]:
    """The rows of all scores of one experiment and cohort, and of its probabilities averaged over repeats."""
    note = describe_predictions(table)
    yield from score_rows(table, CLASSES, note)
    yield from recall_rows(table, note)
    yield from score_rows(table, RANKED, note)
    if table.n_repeats > 1:
        how = f"one prediction per hip, from the probabilities averaged over {table.n_repeats} repeats"
        averaged = average_repeats(table)
        for scores in (CLASSES, RANKED):
            for row in score_rows(averaged, scores, f"{_name_models(table)}; {how}"):
                yield {**row, "metric": AVERAGED.format(row["metric"])}


def average_groups(table: Graded) -> Iterator[Row]:
    """The rows of the mean variance of each group of hips, over hips and repeats of one cohort."""
    # A hip may be in another group in another repeat: the repeats are pooled.
    table = replace(table, repeat=np.zeros_like(table.repeat), fold=np.full(len(table), -1))
    for group in GROUPS:
        members = table.where(table.group == group)
        if len(members):
            scores = mean_value(f"mean variance, {group}", members.variance, members.variance_unit)
            note = f"over {len(members)} values of hips in the repeats in which they are in the group"
            yield from interval_rows(members, scores, note)


def _confusion_rows(cohort: str, table: Graded) -> Iterator[Row]:
    """One row per true class: hips by predicted class, a mean over the repeats."""
    n = table.n_repeats
    matrix = tally_classes(table, np.zeros(len(table), dtype=np.int64), 1)[0] / n
    for grade, counts in enumerate(matrix, start=1):
        keys: Row = {"experiment": table.experiment, "cohort": cohort, "grade": grade}
        cells = dict(zip(_PREDICTED, map(format_number, counts), strict=True))
        yield {**keys, **cells, "note": f"hips, mean over {n} repeats" if n > 1 else "hips"}
