"""The rows of metrics.csv, sorted for figures and report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hipoa.core.errors import CohortError
from hipoa.evaluation.metrics.baselines import CONSTANT, GEOMETRY, MAJORITY
from hipoa.evaluation.metrics.raters import RATERS

INTERVAL = "95 % interval"
NO_NETWORKS = (CONSTANT, MAJORITY, GEOMETRY, RATERS)
"""What is scored beside the experiments."""

_RANGE = re.compile(r"(-?[\d.]+)-(-?[\d.]+)")


@dataclass
class Score:
    """One score of one experiment in one cohort, with all its spreads.

    Attributes:
        experiment: Its name, "constant" or "reader against reader".
        cohort: Its name.
        metric: Such as ECA.
        value: In ``unit``, None where the score is not defined.
        unit: Such as share.
        n_hips: Behind the score, a count.
        n_patients: Behind the score, a count.
        spreads: (spread, its unit): each +- names what it is.
        notes: What to know of it.
    """

    experiment: str
    cohort: str
    metric: str
    value: float | None
    unit: str
    n_hips: int
    n_patients: int
    spreads: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_constant(self) -> bool:
        """Whether it is the baseline that predicts one class for every hip."""
        return self.experiment == CONSTANT

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval, None where there is none.

        Raises:
            CohortError: It is not written as "low-high": a report that loses it would say less than is known.
        """
        written = next((spread for spread, unit in self.spreads if unit.startswith(INTERVAL)), None)
        if written is None:
            return None
        found = _RANGE.fullmatch(written)
        if found is None:
            raise CohortError("metrics.csv", f'"{written}" is no interval', "Make the table again.")
        return float(found[1]), float(found[2])


def gather_scores(rows: Iterable[Mapping[str, str]]) -> list[Score]:
    """Joins the rows of one score, one for each spread, in the order of the table."""
    scores: dict[tuple[str, str, str], Score] = {}
    for row in rows:
        key = row["experiment"], row["cohort"], row["metric"]
        if key not in scores:
            value = float(row["value"]) if row["value"] else None
            counts = int(row["n_hips"]), int(row["n_patients"])
            scores[key] = Score(*key, value, row["unit"], *counts)
        score = scores[key]
        if row["spread_unit"]:
            score.spreads.append((row["spread"], row["spread_unit"]))
        score.notes += [note for note in row["note"].split("; ") if note and note not in score.notes]
    return list(scores.values())


def find_score(scores: Iterable[Score], experiment: str, cohort: str, metric: str) -> Score | None:
    """The score of that name, None if there is none or it is not defined."""
    for score in scores:
        if (score.experiment, score.cohort, score.metric) == (experiment, cohort, metric):
            return score if score.value is not None else None
    return None


def find_best(scores: Iterable[Score], cohort: str = "labelled", metric: str = "ECA") -> Score | None:
    """The largest value of a metric among the experiments, None if there is none; no baseline, no reader."""
    candidates = [
        score
        for score in scores
        if (score.cohort, score.metric) == (cohort, metric)
        and score.experiment not in NO_NETWORKS
        and score.value is not None
    ]
    return max(candidates, key=lambda score: score.value or 0.0, default=None)
