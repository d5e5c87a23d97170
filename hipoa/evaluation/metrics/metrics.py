"""Scores with their unit, the number of hips behind them and how sure they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, format_number, read_columns
from hipoa.core.files import write_csv
from hipoa.evaluation.graded import Graded, average_repeats, find_cohorts, read_graded
from hipoa.evaluation.groups import GROUPS
from hipoa.evaluation.metrics.baselines import (
    drop_training_note,
    grade_by_geometry,
    read_geometry,
    score_constants,
    score_geometry,
    score_majority,
)
from hipoa.evaluation.metrics.estimates import CLASSES, RANKED, Row, name_cells, score_rows, tally_classes
from hipoa.evaluation.metrics.implied_indices import Pairs, find_indices, score_binary, score_indices
from hipoa.evaluation.metrics.raters import pair_readers
from hipoa.evaluation.metrics.scores import SCORES
from hipoa.evaluation.metrics.separate_heads import read_apart, score_apart
from hipoa.evaluation.metrics.subgroups import COLUMNS as SUBGROUP_COLUMNS
from hipoa.evaluation.metrics.subgroups import read_subgroups, score_subgroups
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import BootstrapSettings, MetricsSettings
from hipoa.grading.tasks import CROWE, KL

COLUMNS = (
    *("experiment", "cohort", "metric", "value", "unit"),
    *("n_hips", "n_patients", "spread", "spread_unit", "note"),
)
_PREDICTED = tuple(f"predicted_{grade}" for grade in range(1, N_GRADES + 1))
CONFUSION_COLUMNS = ("experiment", "cohort", "grade", *_PREDICTED, "note")
VOTE = "{}, repeats averaged"

_PREDICTED_BY = {"labelled": "out of fold, by the patient's own fold's model"}


def run(
    settings: MetricsSettings,
    bootstrap: BootstrapSettings,
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

    A score is the mean over the repeats of the score per repeat. It stands in one row for each of its
    spreads: the 95 % interval, the standard deviation over repeats, and that over repeat x fold scores.

    Args:
        settings: The age bands.
        bootstrap: The resampling behind the intervals.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The tables ``{cohort}.csv``.
        truth: The tables ``{shard}.truth.csv`` of synthetic hips, if there are any.
        class_table: The (Crowe, KL) of the classes 1-7, JSON.
        out: The table of scores to write.
        confusion: The table of confusion matrices to write.
        subgroups: The table of scores by subgroup to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    geometry = grade_by_geometry(tables[0], read_geometry(truth)) if tables else None
    beside = [] if geometry is None else [geometry]
    pairs = [(int(crowe), int(kl)) for crowe, kl in json.loads(class_table)]
    read = read_indices(hips)
    rows = _rows(tables, beside, pair_readers(hips), read, pairs, bootstrap)
    write_csv(out, COLUMNS, chain(rows, _apart_rows(uncertainty, bootstrap)))
    write_csv(confusion, CONFUSION_COLUMNS, _confusion_rows(tables))
    groups = read_subgroups(hips, settings.age_bounds_years)
    write_csv(subgroups, SUBGROUP_COLUMNS, _subgroup_rows(tables, groups, bootstrap))


def _rows(
    tables: Sequence[Graded],
    geometry: Sequence[Graded],
    readers: Graded,
    read: dict[str, tuple[int, int]],
    pairs: Pairs,
    bootstrap: BootstrapSettings,
) -> Iterator[Row]:
    for cohort in find_cohorts(tables):
        of_cohort = [table.of_cohort(cohort) for table in tables]
        for table in filter(len, of_cohort):
            yield from score_experiment(table, cohort, bootstrap)
            yield from score_derived(table, cohort, read, pairs, bootstrap)
            yield from average_groups(table, cohort)
        for row in _score_baselines(tables, geometry, cohort, bootstrap):
            yield drop_training_note(row)
        for row in score_readers(readers.of_cohort(cohort), cohort, bootstrap):
            yield drop_training_note(row)


def _apart_rows(uncertainty: Sequence[Path], bootstrap: BootstrapSettings) -> Iterator[Row]:
    """Of the experiments that grade Crowe and KL apart."""
    for name, head in (("Crowe", CROWE), ("KL", KL)):
        tables = [read_apart(path, head) for path in uncertainty]
        for cohort in find_cohorts(tables):
            for table in filter(len, (table.of_cohort(cohort) for table in tables)):
                yield from score_apart(table, cohort, name, describe(table, cohort), bootstrap)


def _score_baselines(
    tables: Sequence[Graded], geometry: Sequence[Graded], cohort: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    most = max((table.of_cohort(cohort) for table in tables), key=len)
    hips = average_repeats(most)
    labelled = max((average_repeats(table.of_cohort("labelled")) for table in tables), key=len)
    yield from score_constants(hips, cohort, bootstrap)
    yield from score_majority(hips, labelled.grade, cohort, bootstrap)
    for table in geometry:
        yield from score_geometry(table.of_cohort(cohort), cohort, bootstrap)


def describe(table: Graded, cohort: str) -> str:
    """How the predictions of a table came about, in words."""
    n_repeats = len(np.unique(table.repeat))
    how = _PREDICTED_BY.get(cohort, "mean over the models that have not seen the patient")
    over = f"mean over {n_repeats} repeats of the score per repeat" if n_repeats > 1 else "one repeat"
    return f"{how}; {over}"


def score_experiment(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of all scores of one experiment, and those of its repeats' averaged probabilities.

    Args:
        table: The experiment's graded hips of one cohort, at least one.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    note = describe(table, cohort)
    yield from score_rows(table, cohort, CLASSES, note, bootstrap)
    yield from score_rows(table, cohort, RANKED, note, bootstrap)
    n_repeats = len(np.unique(table.repeat))
    if n_repeats > 1:
        how = note.partition("; ")[0]
        note = f"{how}; one prediction per hip, from the probabilities averaged over {n_repeats} repeats"
        vote = average_repeats(table)
        for family in (CLASSES.pick(list(SCORES)), RANKED):
            for row in score_rows(vote, cohort, family, note, bootstrap):
                yield {**row, "metric": VOTE.format(row["metric"])}


def score_derived(
    table: Graded,
    cohort: str,
    read: dict[str, tuple[int, int]],
    pairs: Pairs,
    bootstrap: BootstrapSettings,
) -> Iterator[Row]:
    """The rows of Crowe, of KL and of the binary question, as the predicted class implies them.

    Args:
        table: The experiment's graded hips of one cohort, at least one.
        cohort: The cohort's name.
        read: From `read_indices`.
        pairs: What the classes are.
        bootstrap: The resampling.
    """
    note = f"hips of the combined task; {describe(table, cohort)}"
    indices = find_indices(table, read, pairs)
    yield from score_indices(table, cohort, indices, note, bootstrap)
    yield from score_binary(table, cohort, indices[1], note, bootstrap)


def read_indices(hips: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Hip to (Crowe, KL) as read, -1 where an index was not."""
    found: dict[str, tuple[int, int]] = {}
    for path in hips:
        table = read_columns(path, ("hip_id", "crowe", "kl"))
        pairs = zip(as_integers(table["crowe"]).tolist(), as_integers(table["kl"]).tolist(), strict=True)
        found |= zip(table["hip_id"].tolist(), pairs, strict=True)
    return found


def score_readers(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of how well readers agree with each other; none where no hip has two readers.

    Args:
        table: The pairs of readers of one cohort.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    if len(table):
        # Neither reader is the truth, which these scores take one for.
        names = [name for name in SCORES if name not in ("balanced accuracy", "macro MAE")]
        note = "agreement of two readers; every pair of readers of a hip counts"
        yield from score_rows(table, cohort, CLASSES.pick(names), note, bootstrap)


def average_groups(table: Graded, cohort: str) -> Iterator[Row]:
    """The rows of the mean variance of each group of hips, over hips and repeats.

    Args:
        table: The experiment's graded hips of one cohort.
        cohort: The cohort's name.
    """
    for group in GROUPS:
        members = table.where(table.group == group)
        if len(members):
            deviation = members.variance.std(ddof=1) if len(members) > 1 else np.nan
            yield {
                **name_cells(members, cohort, f"mean variance, {group}", table.variance_unit),
                "value": format_number(members.variance.mean()),
                "spread": format_number(deviation),
                "spread_unit": f"SD over {len(members)} hip x repeat values",
                "note": "a hip may be in another group in another repeat",
            }


def _confusion_rows(tables: Sequence[Graded]) -> Iterator[Row]:
    """One row per true class: hips by predicted class, a mean over the repeats."""
    for cohort in find_cohorts(tables):
        for table in filter(len, (table.of_cohort(cohort) for table in tables)):
            n_repeats = len(np.unique(table.repeat))
            matrix = tally_classes(table, np.zeros(len(table), dtype=np.int64), 1)[0] / n_repeats
            for grade, counts in enumerate(matrix, start=1):
                yield {
                    "experiment": table.experiment,
                    "cohort": cohort,
                    "grade": grade,
                    **dict(zip(_PREDICTED, map(format_number, counts), strict=True)),
                    "note": f"hips, mean over {n_repeats} repeats",
                }


def _subgroup_rows(
    tables: Sequence[Graded], groups: dict[str, dict[str, str]], bootstrap: BootstrapSettings
) -> Iterator[Row]:
    for cohort in find_cohorts(tables):
        for table in filter(len, (table.of_cohort(cohort) for table in tables)):
            yield from score_subgroups(table, cohort, groups, bootstrap)
