"""Simulated readers of the built-in cohort, and the best accuracy that their errors allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import bdtrc

from hipoa.core.constants import CLASS_TABLE
from hipoa.core.tables.rows import Reading, hip_id
from hipoa.phantom.anatomy.disease import SHARES_OF_POPULATION, stream
from hipoa.phantom.cohort.members import PlannedCase
from hipoa.phantom.settings import PhantomSettings

READERS = ("A", "B")
# Of the errors, each class further away gets this times its nearer neighbour's share.
_FARTHER = 0.15
_DISTANCE = np.abs(np.subtract.outer(np.arange(7), np.arange(7)))


def reader_confusion(error: float) -> np.ndarray:
    """The probability (7, 7) that a reader gives a hip of a class (row) each class (column).

    Of the readers' errors, with this probability in all, nearer classes are likelier.
    """
    wrong = np.where(_DISTANCE > 0, _FARTHER ** (_DISTANCE - 1.0), 0)
    return error * wrong / wrong.sum(1, keepdims=True) + (1 - error) * np.eye(7)


def label_confusion(error: float, readers: int) -> np.ndarray:
    """The probability (7, 7) that the median of independent readings of a class (row) is each class (column).

    The k-th lowest of n readings is at most c if at least k of them are: a binomial tail of the probability
    that one is (source: David and Nagaraja, Order Statistics, 2003, section 2.1).

    Of two middle readings the milder counts, as in a label.
    """
    at_most = np.minimum(np.cumsum(reader_confusion(error), axis=1), 1)
    return np.diff(bdtrc((readers - 1) // 2, readers, at_most), axis=1, prepend=0)


def expected_kappa(error: float, share: tuple[float, ...]) -> float:
    """The unweighted kappa of two independent readers, if the seven true classes have these shares."""
    confusion, share_of_class = reader_confusion(error), np.array(share)
    agree = float(share_of_class @ (confusion**2).sum(1))
    by_chance = float(((share_of_class @ confusion) ** 2).sum())
    return (agree - by_chance) / (1 - by_chance)


def error_for(kappa: float, share: tuple[float, ...]) -> float:
    """The readers' probability of error that gives this reader-reader kappa."""
    if kappa >= 1:
        return 0.0
    return float(root_scalar(lambda error: expected_kappa(error, share) - kappa, bracket=(0, 0.8)).root)


def find_ceiling(error: float, share: tuple[float, ...], readers: int = 1) -> dict[str, float]:
    """The best expected ECA and ONCA (0-1) of an oracle that knows every hip's true class.

    It gives, for each true class, the one answer that the label most often is (ECA), or is most often
    near (ONCA): as in Bayes' error rate, nothing seen in a hip tells how its readers will err.

    The label is the median of this number of readings; the seven true classes have these shares.
    """
    confusion, share_of_class = label_confusion(error, readers), np.array(share)
    best = {"ECA": confusion.max(1), "ONCA": (confusion @ (_DISTANCE <= 1)).max(1)}
    return {metric: float(share_of_class @ of_class) for metric, of_class in best.items()}


def describe_ceiling(settings: PhantomSettings, cohort: str) -> dict[str, object]:
    """The best expected ECA and ONCA against a cohort's labels, by label rule; for the default class table.

    Undated readings have no latest one, so there are two rules.
    """
    error, share = _reader_error(settings), SHARES_OF_POPULATION[settings.population][cohort]
    return {
        "cohort": cohort,
        "reader_kappa": settings.reader_kappa,
        "class_table": CLASS_TABLE,
        "best": {"first": find_ceiling(error, share), "median": find_ceiling(error, share, len(READERS))},
    }


def read_hip(rng: np.random.Generator, grade: int, error: float) -> tuple[int, int]:
    """Crowe and KL that one reader gives to a hip of a class 1-7."""
    return CLASS_TABLE[rng.choice(7, p=reader_confusion(error)[grade - 1])]


def read_case(
    settings: PhantomSettings, case: PlannedCase, grades: Mapping[str, tuple[int, float]]
) -> Iterator[Reading]:
    """The readings of a case, from the true class and severity of its sides; none of the pool."""
    error = _reader_error(settings)
    for side, (grade, _) in grades.items():
        for reader in READERS if case.cohort != "pool" and side not in case.ungraded else ():
            rng = stream(settings.seed, hip_id(case.case_id, side), f"reader {reader}")
            crowe, kl = read_hip(rng, grade, error)
            yield Reading(case.case_id, side, crowe, kl, reader)


def _reader_error(settings: PhantomSettings) -> float:
    # The readers are the same ones in every cohort; their kappa is that of the labelled one.
    return error_for(settings.reader_kappa, SHARES_OF_POPULATION[settings.population]["labelled"])
