"""Scores the predictions: accuracy, agreement and uncertainty of experiments, baselines and raters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, format_number, read_columns
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
    NOT_COVERED,
    RANKED,
    name_cells,
    score_rows,
    tally_classes,
)
from hipoa.evaluation.metrics.indices import Pairs, score_implied, score_separate
from hipoa.evaluation.metrics.raters import pair_raters, score_raters
from hipoa.evaluation.metrics.scores import SCORES
from hipoa.evaluation.metrics.sides import pair_sides, score_sides
from hipoa.evaluation.metrics.subgroups import COLUMNS as SUBGROUP_COLUMNS
from hipoa.evaluation.metrics.subgroups import read_subgroups, score_subgroups
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import BootstrapSettings, MetricsSettings
from hipoa.evaluation.statistics.bootstrap import Row
from hipoa.grading.tasks import CROWE, KL

COLUMNS = (
    *("experiment", "cohort", "metric", "value", "unit"),
    *("n_hips", "n_patients", "spread", "spread_unit", "note"),
)
_PREDICTED = tuple(f"predicted_{grade}" for grade in range(1, N_GRADES + 1))
CONFUSION_COLUMNS = ("experiment", "cohort", "grade", *_PREDICTED, "note")
AVERAGED = "{}, repeats averaged"


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

    A score is the mean over the repeats of the score per repeat. There is one row for each of its spreads:
    the 95 % interval, the standard deviation over repeats, and that over repeat x fold scores.

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
    # Only the first experiment's folds and hips count for it.
    geometry = [grade_by_geometry(table, read_geometry(truth)) for table in tables[:1]]
    pairs = [(int(crowe), int(kl)) for crowe, kl in json.loads(class_table)]
    beside = [*geometry, pair_raters(hips), pair_sides(hips)]
    rows = _rows(tables, beside, _read_indices(hips), pairs, bootstrap)
    write_csv(out, COLUMNS, chain(rows, _separate_rows(uncertainty, bootstrap)))
    parts = [(cohort, table) for cohort, of_cohort in split_cohorts(tables) for table in of_cohort]
    write_csv(confusion, CONFUSION_COLUMNS, (row for part in parts for row in _confusion_rows(*part)))
    groups = read_subgroups(hips, settings.age_bounds_years)
    found = (row for _, table in parts for row in score_subgroups(table, groups, bootstrap))
    write_csv(subgroups, SUBGROUP_COLUMNS, found)


def _rows(
    tables: Sequence[Graded],
    beside: Sequence[Graded],
    read: dict[str, tuple[int, int]],
    pairs: Pairs,
    bootstrap: BootstrapSettings,
) -> Iterator[Row]:
    """The rows of the experiments and, cohort by cohort, of what is compared with them."""
    of_labelled = [average_repeats(table.of_cohort("labelled")) for table in tables]
    labelled = max(of_labelled, key=len).grade if of_labelled else np.zeros(0, dtype=np.int64)
    for cohort, of_cohort in split_cohorts(tables):
        for table in of_cohort:
            yield from score_experiment(table, bootstrap)
            note = f"hips of the combined task; {describe_predictions(table)}"
            yield from score_implied(table, read, pairs, note, bootstrap)
            yield from average_groups(table)
        geometry, raters, sides = (table.of_cohort(cohort) for table in beside)
        without_training = chain(
            score_constants(average_repeats(max(of_cohort, key=len)), labelled, bootstrap),
            score_geometry(geometry, bootstrap),
            score_raters(raters, bootstrap),
            score_sides(sides, bootstrap),
        )
        for row in without_training:
            yield {**row, "note": str(row["note"]).removesuffix(f"; {NOT_COVERED}")}


def _separate_rows(uncertainty: Sequence[Path], bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of the experiments with separate heads for Crowe and KL."""
    for index, head in (("Crowe", CROWE), ("KL", KL)):
        for _, tables in split_cohorts([read_graded(path, head) for path in uncertainty]):
            for table in tables:
                yield from score_separate(table, index, describe_predictions(table), bootstrap)


def describe_predictions(table: Graded) -> str:
    """How the predictions of an experiment in one cohort were made, in words."""
    n = table.n_repeats
    over = f"mean over {n} repeats of the score per repeat" if n > 1 else "one repeat"
    return f"{_name_models(table)}; {over}"


def _name_models(table: Graded) -> str:
    if table.cohort[0] == "labelled":
        return "out of fold, by the patient's own fold's model"
    return "mean over the models that have not seen the patient"


def score_experiment(table: Graded, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of all scores of one experiment and cohort, and of its probabilities averaged over repeats."""
    note = describe_predictions(table)
    yield from score_rows(table, CLASSES, note, bootstrap)
    yield from score_rows(table, RANKED, note, bootstrap)
    if table.n_repeats > 1:
        how = f"one prediction per hip, from the probabilities averaged over {table.n_repeats} repeats"
        averaged = average_repeats(table)
        for scores in (CLASSES.pick(list(SCORES)), RANKED):
            for row in score_rows(averaged, scores, f"{_name_models(table)}; {how}", bootstrap):
                yield {**row, "metric": AVERAGED.format(row["metric"])}


def _read_indices(hips: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Hip to (Crowe, KL) as read, -1 where an index was not."""
    found: dict[str, tuple[int, int]] = {}
    for path in hips:
        table = read_columns(path, ("hip_id", "crowe", "kl"))
        pairs = zip(as_integers(table["crowe"]).tolist(), as_integers(table["kl"]).tolist(), strict=True)
        found |= zip(table["hip_id"].tolist(), pairs, strict=True)
    return found


def average_groups(table: Graded) -> Iterator[Row]:
    """The rows of the mean variance of each group of hips, over hips and repeats of one cohort."""
    for group in GROUPS:
        members = table.where(table.group == group)
        if len(members):
            deviation = members.variance.std(ddof=1) if len(members) > 1 else np.nan
            yield {
                **name_cells(members, f"mean variance, {group}", table.variance_unit),
                "value": format_number(members.variance.mean()),
                "spread": format_number(deviation),
                "spread_unit": f"SD over {len(members)} hip x repeat values",
                "note": "a hip may be in another group in another repeat",
            }


def _confusion_rows(cohort: str, table: Graded) -> Iterator[Row]:
    """One row per true class: hips by predicted class, a mean over the repeats."""
    n = table.n_repeats
    matrix = tally_classes(table, np.zeros(len(table), dtype=np.int64), 1)[0] / n
    for grade, counts in enumerate(matrix, start=1):
        keys: Row = {"experiment": table.experiment, "cohort": cohort, "grade": grade}
        cells = dict(zip(_PREDICTED, map(format_number, counts), strict=True))
        yield {**keys, **cells, "note": f"hips, mean over {n} repeats"}
