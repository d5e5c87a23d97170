"""Strategies by which the simulation chooses the patients to read next."""

from __future__ import annotations

import numpy as np

from hipoa.evaluation.passes import HipUncertainty
from hipoa.grading.inference.knn_distance import measure_distances
from hipoa.triage.batch import choose_batch
from hipoa.triage.settings import TriageSettings
from hipoa.triage.simulation.graded_hips import Hips
from hipoa.triage.simulation.learning_curves import RANDOM

_AVAILABLE = ("entropy", "variance", "mutual_information", "max_probability")
"""The measures of one model without a list of neighbours."""


def choose_patients(
    hips: Hips,
    known: np.ndarray,
    features: np.ndarray,
    predictions: HipUncertainty,
    *,
    strategy: str,
    count: int,
    seed: list[int],
    triage: TriageSettings,
) -> np.ndarray:
    """The rows of the hips of the next patients.

    Args:
        hips: All n of them.
        known: (n,) bool, already read.
        features: (n, D).
        predictions: Of the present model.
        strategy: Its name.
        count: Number of patients.
        seed: Of random draws, and of the order of equal hips.
        triage: Measure and diversity of the strategy "hybrid".
    """
    left = np.flatnonzero(~known & ~hips.test)
    generator = np.random.default_rng([*seed, 2])
    shuffled = generator.permutation(len(left))
    unit = hips.patient[left]
    if strategy == RANDOM:
        # Patients, not hips, are drawn: one with two hips is no likelier.
        drawn = generator.choice(np.unique(unit), count, replace=False)
        return left[np.isin(unit, drawn)]
    measure, diversity = _parse(strategy, triage)
    value = getattr(predictions, measure)[left]
    key = value if measure == "max_probability" else -value
    batch = choose_batch(
        shuffled[np.argsort(key[shuffled], kind="stable")],
        unit,
        len(left),
        diversity=diversity,
        nearest=measure_distances(features[left], features[known]).min(axis=1),
        distances=lambda rows: measure_distances(features[left], features[left[rows]]).min(axis=1),
        units=count,
    )
    return left[batch]


def _parse(strategy: str, triage: TriageSettings) -> tuple[str, float]:
    """The measure and the diversity of a strategy."""
    if strategy == "hybrid":
        measure = triage.measure if triage.measure in _AVAILABLE else "max_probability"
        return measure, triage.diversity
    return ("entropy", 1.0) if strategy == "diversity" else (strategy, 0.0)
