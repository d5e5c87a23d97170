"""How the simulation chooses the patients that are read next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipoa.evaluation.passes import HipUncertainty
from hipoa.grading.inference.knn_distance import measure_distances
from hipoa.triage.batch import choose_batch
from hipoa.triage.settings import TriageSettings
from hipoa.triage.simulation.graded_hips import Hips
from hipoa.triage.simulation.learning_curves import RANDOM

HYBRID = "hybrid"
_HOW = {"diversity": ("entropy", 1.0)}


@dataclass(frozen=True)
class Choice:
    """What a batch is chosen by.

    Attributes:
        hips: All n of them.
        known: (n,) bool, read already.
        places: (n, D) features.
        said: What the present model says of each.
        seed: Of random draws, and of the order of equal hips.
    """

    hips: Hips
    known: np.ndarray
    places: np.ndarray
    said: HipUncertainty
    seed: list[int]

    def take(self, strategy: str, count: int, triage: TriageSettings) -> np.ndarray:
        """The rows of the next patients.

        Args:
            strategy: Its name.
            count: How many patients.
            triage: For the strategy "hybrid".
        """
        left = np.flatnonzero(~self.known & ~self.hips.test)
        generator = np.random.default_rng([*self.seed, 2])
        shuffled = generator.permutation(len(left))
        unit = self.hips.patient[left]
        if strategy == RANDOM:
            # Patients, not hips, are drawn: one with two hips is no likelier.
            drawn = generator.choice(np.unique(unit), count, replace=False)
            return left[np.isin(unit, drawn)]
        measure, diversity = _HOW.get(strategy, (strategy, 0.0))
        if strategy == HYBRID:
            measure, diversity = _own_measure(triage), triage.diversity
        worth = getattr(self.said, measure)[left]
        worth = -worth if measure == "max_probability" else worth
        order = shuffled[np.argsort(-worth[shuffled], kind="stable")]
        known = self.places[self.known]
        batch = choose_batch(
            order,
            unit,
            len(left),
            diversity=diversity,
            nearest=measure_distances(self.places[left], known).min(axis=1),
            distances=lambda rows: measure_distances(self.places[left], self.places[left[rows]]).min(axis=1),
            units=count,
        )
        return left[batch]


def _own_measure(triage: TriageSettings) -> str:
    """The measure of the list; max_probability for one that a run has not, which is of one model."""
    known = ("entropy", "variance", "mutual_information", "max_probability")
    return triage.measure if triage.measure in known else "max_probability"
