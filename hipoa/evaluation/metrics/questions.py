"""Yes-or-no questions about a hip, each with the probability that a network gives to yes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, read_columns
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import estimate_cells
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.statistics.intervals import LEAST_PATIENTS, Estimate, Row

Pairs = Sequence[tuple[int, int]]
"""(Crowe, KL) of the classes 1-7."""

LEAST_KL, LEAST_CROWE = 2, 2
BINARY = f"KL >= {LEAST_KL}"
SUBLUXATED = "Crowe >= II"
AT_LEAST = "class >= k"
WRONG = "error >= 1"


@dataclass(frozen=True)
class Question:
    """One question about the hips of one experiment and cohort; every array has n rows."""

    name: str  # such as "KL >= 2"
    table: Graded  # the hips, n rows
    probability: np.ndarray  # (n,) of yes
    true: np.ndarray  # (n,) bool, the answer

    def count_patients(self) -> tuple[int, int]:
        """The patients with a hip for which the answer is yes, and those with one for which it is no."""
        yes, no = (len(np.unique(self.table.patient[rows])) for rows in (self.true, ~self.true))
        return yes, no


def read_pairs(class_table: str) -> Pairs:
    """Reads the class table, JSON."""
    return [(int(crowe), int(kl)) for crowe, kl in json.loads(class_table)]


def read_indices(paths: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Hip to (Crowe, KL) as read, -1 where an index was not; tables of hips or ``{experiment}.csv``."""
    found: dict[str, tuple[int, int]] = {}
    for path in paths:
        table = read_columns(path, ("hip_id", "crowe", "kl"))
        pairs = zip(as_integers(table["crowe"]).tolist(), as_integers(table["kl"]).tolist(), strict=True)
        found |= zip(table["hip_id"].tolist(), pairs, strict=True)
    return found


def find_indices(table: Graded, read: Mapping[str, tuple[int, int]]) -> np.ndarray:
    """The (Crowe, KL) of each row (n, 2), -1 where an index was not read."""
    return np.array([read.get(name, (-1, -1)) for name in table.hip.tolist()], dtype=np.int64).reshape(-1, 2)


def ask_indices(table: Graded, read: Mapping[str, tuple[int, int]], pairs: Pairs) -> Iterator[Question]:
    """Osteoarthritis (KL 2 or more) and subluxation (Crowe II or more), of the hips with such a reading.

    The probability is the sum over the classes with such an index.
    """
    true, of_class = find_indices(table, read), np.array(pairs)
    for name, index, least in ((BINARY, 1, LEAST_KL), (SUBLUXATED, 0, LEAST_CROWE)):
        known = true[:, index] >= 0
        probability = table.probability[known][:, of_class[:, index] >= least].sum(axis=1)
        yield Question(name, table.where(known), probability, true[known, index] >= least)


def ask_thresholds(table: Graded) -> Question:
    """Whether the class is k or more, for k = 2 ... 7 pooled: each hip six times."""
    rows = np.repeat(np.arange(len(table)), N_GRADES - 1)
    least = np.tile(np.arange(2, N_GRADES + 1), len(table))
    # Cumulated from the top: one less a sum from below would leave no digits to a small probability.
    at_least = table.probability[:, ::-1].cumsum(axis=1)[:, ::-1]
    return Question(AT_LEAST, table.where(rows), at_least[rows, least - 1], table.grade[rows] >= least)


def ask_errors(table: Graded) -> Question:
    """Whether the predicted class is wrong, to which a network gives what its largest probability leaves."""
    return Question(WRONG, table, 1 - table.probability.max(axis=1), table.error > 0)


def question_cells(question: Question, estimate: Estimate, note: str, n_patients: int | None = None) -> Row:
    """As `estimate_cells`; no interval where fewer than `LEAST_PATIENTS` patients have either answer.

    Nor where the score rests on the hips of fewer, if ``n_patients`` says of how many.
    """
    yes, no = question.count_patients()
    note = f"{note}; {yes} patients have a hip with {question.name}, {no} one without"
    cells = estimate_cells(estimate, note)
    why = ""
    if min(yes, no) < LEAST_PATIENTS:
        why = f"fewer than {LEAST_PATIENTS} patients with or without it"
    elif n_patients is not None and n_patients < LEAST_PATIENTS:
        why = f"rests on hips of {n_patients} patients"
    if why and cells["low"]:
        return {**cells, "low": "", "high": "", "note": f"{note}; no interval: {why}"}
    return cells
