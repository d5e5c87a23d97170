"""Decision curves: whether acting on a probability does more good than acting on all hips or on none.

The net benefit at a threshold t counts a hip with the outcome on which one acts as 1 and one without it as
-t / (1 - t): who acts from a probability of t on accepts (1 - t) / t needless acts for one that is needed.
Acting on none has a net benefit of 0. Source: Vickers and Elkin, Medical Decision Making 2006, 26, 565-574.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.metrics.estimates import mean_value, name_cells
from hipoa.evaluation.metrics.questions import Question, question_cells
from hipoa.evaluation.statistics.intervals import Row

THRESHOLDS = np.round(np.arange(1, 20) / 20, 2)
NETWORK, ALL, GAIN = "network", "all", "network less all"
"""What one acts on: hips with a probability of at least the threshold; all hips; the difference."""

COLUMNS = (
    *("experiment", "cohort", "question", "strategy", "threshold", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "note"),
)


_STRATEGIES = list(product((NETWORK, ALL, GAIN), THRESHOLDS))


def weigh_decisions(question: Question) -> np.ndarray:
    """What each hip adds to the net benefit (n, 3 x thresholds): of each strategy, at each threshold."""
    worth = np.where(question.true[:, None], 1, -THRESHOLDS / (1 - THRESHOLDS))
    acted = np.where(question.probability[:, None] >= THRESHOLDS, worth, 0)
    return np.hstack([acted, worth, acted - worth])


def decision_rows(question: Question, note: str) -> Iterator[Row]:
    """The decision curve of one question; no interval where the hips acted on are of too few patients."""
    table = question.table
    for (strategy, threshold), value in zip(_STRATEGIES, weigh_decisions(question).T, strict=True):
        (estimate,) = mean_value("net benefit", value, "true positives per hip").estimate(table).values()
        # Else a rule that hardly ever differs from another would seem to be known exactly.
        n_patients = len(np.unique(table.patient[value != 0]))
        which = {"question": question.name, "strategy": strategy, "threshold": format_number(threshold)}
        cells = question_cells(question, estimate, note, n_patients)
        yield name_cells(table, "net benefit", estimate.unit) | which | _limit(cells, strategy, threshold)


def _limit(cells: Row, strategy: str, threshold: float) -> Row:
    """The ends of the interval within what is possible."""
    needless = threshold / (1 - threshold)
    least, most = (-1.0, needless) if strategy == GAIN else (-needless, 1.0)
    ends = {name: str(cells[name]) for name in ("low", "high")}
    limited = {name: format_number(min(max(float(end), least), most)) for name, end in ends.items() if end}
    return cells | limited
