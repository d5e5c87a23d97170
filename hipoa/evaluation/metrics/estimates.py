"""One score of one experiment with all its spreads, each with its unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.probability_scores import ranked_probability_score
from hipoa.evaluation.metrics.rank_areas import RankedHips, rank_hips
from hipoa.evaluation.metrics.scores import RECALLS, SCORES, count_confusions, divide
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import draw_patients, interval_95, resample_patients

Row = dict[str, object]
Score = Callable[[np.ndarray], np.ndarray]

NOT_COVERED = "the interval leaves out the variance of training"


@dataclass(frozen=True)
class Family:
    """Scores that are made of the same sums over hips.

    Attributes:
        tally: From a table, (n,) numbers of cells and their count to (cells, ...) sums.
        scores: Name to a function of the sums, and its unit.
    """

    tally: Callable[[Graded, np.ndarray, int], np.ndarray]
    scores: Mapping[str, tuple[Score, str]]

    def pick(self, names: Sequence[str]) -> Family:
        """Some of the scores."""
        return Family(self.tally, {name: self.scores[name] for name in names})

    def resample(self, table: Graded, bootstrap: BootstrapSettings, seed: int = 0) -> dict[str, np.ndarray]:
        """The scores of cohorts drawn from the patients, name to (resamples,); none of one patient.

        Args:
            table: The rows of one experiment and cohort.
            bootstrap: How many.
            seed: Another one for draws that do not depend on others.
        """
        patient, n_patients = number_cells(table.patient)
        if n_patients < 2:
            return {}
        repeat, n_repeats = number_cells(table.repeat)
        sums = self.tally(table, patient * n_repeats + repeat, n_patients * n_repeats)
        return resample_patients(
            sums.reshape(n_patients, n_repeats, *sums.shape[1:]),
            {name: score for name, (score, _) in self.scores.items()},
            bootstrap.bootstrap_resamples,
            seed,
        )

    def score(self, table: Graded, *keys: np.ndarray) -> dict[str, np.ndarray]:
        """The scores of each combination of the keys (n,), such as repeats."""
        sums = self.tally(table, *number_cells(*keys))
        return {name: score(sums) for name, (score, _) in self.scores.items()}


def tally_classes(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """(cells, 7, 7) confusion matrices."""
    return count_confusions(cell, n_cells, table.grade, table.predicted)


def tally_values(values: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """Sums of (n, m) values and their count, (cells, m + 1)."""
    columns = [*values.T, np.ones(len(values))]
    return np.stack([np.bincount(cell, column, minlength=n_cells) for column in columns], axis=-1)


def mean_of(column: int) -> Score:
    """The mean of one column of what `tally_values` sums, the last of which is the count."""
    return lambda sums: divide(sums[..., column], sums[..., -1])


def _tally_ranked(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    return tally_values(ranked_probability_score(table.probability, table.grade)[:, None], cell, n_cells)


CLASSES = Family(tally_classes, SCORES | RECALLS)
RANKED = Family(_tally_ranked, {"ranked probability score": (mean_of(0), "squared probability")})


def score_rows(
    table: Graded, cohort: str, family: Family, note: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """One row for each spread of each score: the 95 % interval, over repeats, over repeats and folds.

    Args:
        table: The rows of one experiment and cohort.
        cohort: Its name.
        family: The scores.
        note: How the predictions came about.
        bootstrap: The resampling.
    """
    by_repeat = family.score(table, table.repeat)
    # Where several folds' models predict a hip, there is no score of one fold.
    by_fold = {} if (table.fold < 0).any() else family.score(table, table.repeat, table.fold)
    drawn = family.resample(table, bootstrap)
    for name, (_, unit) in family.scores.items():
        row = {**name_cells(table, cohort, name, unit), "value": format_number(by_repeat[name].mean())}
        if row["value"] == "":
            yield {**row, "note": f"{note}; not defined on these hips"}
            continue
        yield {**row, **write_interval(drawn.get(name)), "note": f"{note}; {NOT_COVERED}"}
        yield from ({**row, **spread, "note": note} for spread in _write_spreads(by_repeat, by_fold, name))


def interval_rows(
    table: Graded, cohort: str, family: Family, note: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """One row for each score, with the ends of its 95 % interval in cells of their own.

    Args:
        table: The rows of one experiment and cohort.
        cohort: Its name.
        family: The scores.
        note: What to know of them.
        bootstrap: The resampling.
    """
    values, drawn = family.score(table, table.repeat), family.resample(table, bootstrap)
    for metric, (_, unit) in family.scores.items():
        low, high = interval_95(drawn.get(metric, np.zeros(0))) or (np.nan, np.nan)
        yield {
            **name_cells(table, cohort, metric, unit),
            "value": format_number(values[metric].mean()),
            "low": format_number(low),
            "high": format_number(high),
            "note": note,
        }


def rank_by_repeat(
    table: Graded,
    score: np.ndarray,
    event: np.ndarray,
    areas: Mapping[str, Callable[[RankedHips], np.ndarray]],
    bootstrap: BootstrapSettings,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Areas under curves of ranks: of the cohort and of cohorts drawn from its patients.

    Args:
        table: The rows of one experiment and cohort.
        score: (n,) what hips are ranked by.
        event: (n,) bool, what is to be found.
        areas: Name to a function of ranked hips.
        bootstrap: The resampling.

    Returns:
        Name to the area in each repeat (repeats,), and its mean over them in each drawn cohort (resamples,).
    """
    patient, n_patients = number_cells(table.patient)
    repeats = [np.flatnonzero(table.repeat == repeat) for repeat in np.unique(table.repeat)]
    # So few at once that they stay in a core's cache.
    width = 128 * max(map(len, repeats))
    draws = draw_patients(n_patients, width, bootstrap.bootstrap_resamples, 0)
    found: list[dict[str, np.ndarray]] = []
    for weight in [np.ones((1, n_patients)), *draws]:
        ranked = [rank_hips(score[rows], event[rows], weight[:, patient[rows]]) for rows in repeats]
        found.append({name: np.array([area(hips) for hips in ranked]) for name, area in areas.items()})
    itself, *drawn = found
    return {
        name: (itself[name][:, 0], np.concatenate([part[name].mean(axis=0) for part in drawn]))
        for name in areas
    }


def name_cells(table: Graded, cohort: str, metric: str, unit: str) -> Row:
    """The cells that say what a row is of."""
    return {
        "experiment": table.experiment,
        "cohort": cohort,
        "metric": metric,
        "unit": unit,
        "n_hips": len(np.unique(table.hip)),
        "n_patients": len(np.unique(table.patient)),
    }


def write_interval(drawn: np.ndarray | None) -> Row:
    """The cells of a 95 % interval of (resamples,) drawn scores; None where there is one patient."""
    interval = None if drawn is None else interval_95(drawn)
    if drawn is None or interval is None:
        return {"spread_unit": "no interval: one patient"}
    low, high = interval
    return {
        "spread": f"{low:.3f}-{high:.3f}",
        "spread_unit": f"95 % interval, patients resampled, B={np.isfinite(drawn).sum()}",
    }


def _write_spreads(
    by_repeat: Mapping[str, np.ndarray], by_fold: Mapping[str, np.ndarray], name: str
) -> Iterator[Row]:
    over = {"repeats": by_repeat[name], "repeat x fold scores": by_fold.get(name, np.zeros(0))}
    for unit, scores in over.items():
        finite = scores[np.isfinite(scores)]
        if len(finite) > 1:
            spread = format_number(finite.std(ddof=1))
            yield {"spread": spread, "spread_unit": f"SD over {len(finite)} {unit}"}
