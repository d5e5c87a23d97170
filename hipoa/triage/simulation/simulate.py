"""Simulates reading the labelled cohort in different orders, as if its labels were unknown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.files import write_csv
from hipoa.evaluation.passes import HipUncertainty
from hipoa.evaluation.statistics.intervals import Row
from hipoa.grading.inference.knn_distance import measure_distances
from hipoa.grading.settings import Experiment
from hipoa.triage.batch import choose_batch
from hipoa.triage.settings import SimulateSettings, TriageSettings
from hipoa.triage.simulation.graded_hips import LEAST_PATIENTS, Hips, read_graded_hips
from hipoa.triage.simulation.learning_curves import RANDOM, Curves, describe, state_answer

COLUMNS = (
    *("learner", "strategy", "metric", "quantity", "hips_read", "value", "unit", "low", "high"),
    *("p", "p_holm", "verdict", "n_seeds", "n_hips", "n_test_hips", "n_test_patients", "note"),
)
ANSWER = "answer"
FROZEN = "frozen features, dropout head"
_NOTE = "95 % interval: other test patients and other seeds"
# Of the patients, read before any strategy can choose; our choice.
_FIRST_SHARE = 0.1
_SEED = 0
_AVAILABLE = ("entropy", "variance", "mutual_information", "max_probability")
"""The measures of one model without a list of neighbours."""

Learner = Callable[[np.ndarray, list[int]], HipUncertainty]
"""Function of the rows to train on and a seed to the predictions for all hips."""


def run(
    settings: SimulateSettings,
    triage: TriageSettings,
    row: Experiment,
    *,
    hips: list[Path],
    stacks: list[Path],
    out: Path,
    pretrained: Path | None = None,
) -> None:
    """Simulates reading the labelled cohort by patients, in random order and as strategies choose.

    The features are those of a network before training: a network trained on the cohort has seen the labels
    that the simulation assumes unknown.

    Args:
        settings: The settings of the simulation.
        triage: The measure and the diversity of the strategy "hybrid", as of the list of hips to read.
        row: The experiment whose network extracts the features.
        hips: The tables ``labelled.csv`` and, where there is one, ``external.csv``.
        stacks: The images of the same cohorts.
        out: The table to write.
        pretrained: The weights before training; None for random weights.

    Raises:
        CohortError: Tables and images do not fit together.
    """
    if not settings.simulate:
        write_csv(out, COLUMNS, [])
        return
    found = read_graded_hips(hips, stacks)
    n_patients = len(np.unique(found.patient[~found.test]))
    if n_patients < LEAST_PATIENTS or not found.test.any():
        note = f"not simulated: {n_patients} graded patients are too few to read some and test on others"
        write_csv(out, COLUMNS, [{"quantity": ANSWER, "note": note}])
        return
    # The import of torch takes seconds.
    from hipoa.triage.simulation.linear_probe import extract_features, reduce_features, train_and_predict

    features = reduce_features(extract_features(found.radiograph, row, pretrained), ~found.test)

    def learn(rows: np.ndarray, seed: list[int]) -> HipUncertainty:
        return train_and_predict(features, found.grade, rows, seed)

    curves = simulate(found, features, FROZEN, learn, (RANDOM, *settings.strategies), settings, triage)
    weights = f"{row.network} {'as it was before training' if pretrained else 'with random weights'}"
    write_csv(out, COLUMNS, _rows(found, curves, weights))


def _rows(hips: Hips, curves: Curves, weights: str) -> Iterator[Row]:
    counts = count_hips(hips, curves)
    rows = [row | counts for row in describe(curves)]
    yield from (row | {"note": f"{_NOTE}; {weights}"} for row in rows)
    answer = state_answer(rows, hips.test_set)
    yield {"learner": curves.learner, "quantity": ANSWER, **counts, "note": answer}


def count_hips(hips: Hips, curves: Curves) -> Row:
    """The counts behind the curves: seeds, hips that were read, hips and patients of the test set."""
    return {
        "n_seeds": curves.error.shape[1],
        "n_hips": int((~hips.test).sum()),
        "n_test_hips": int(hips.test.sum()),
        "n_test_patients": len(np.unique(hips.patient[hips.test])),
    }


def simulate(
    hips: Hips,
    features: np.ndarray,
    name: str,
    learner: Learner,
    strategies: Sequence[str],
    settings: SimulateSettings,
    triage: TriageSettings,
) -> Curves:
    """Reads the patients batch by batch, as each strategy chooses, and scores the test set after each batch.

    With the same seed all strategies begin with the same patients; all end with all patients. ``features``
    (n, D) are reduced, for the strategies that use distances.
    """
    patients = np.unique(hips.patient[~hips.test])
    sizes = plan_batches(len(patients), settings)
    shape = len(strategies), settings.simulate_seeds, len(sizes)
    read, error = np.zeros(shape), np.zeros((*shape, int(hips.test.sum())), dtype=np.int8)
    runs = [(strategy, seed) for strategy in range(shape[0]) for seed in range(shape[1])]
    known = [_draw(patients, hips, [_SEED, seed], sizes[0]) for _, seed in runs]
    for number in range(len(sizes)):
        for (strategy, seed), rows in zip(runs, known, strict=True):
            parts = [_SEED, seed, number]
            predictions = learner(np.flatnonzero(rows), parts)
            read[strategy, seed, number] = rows.sum()
            error[strategy, seed, number] = np.abs(predictions.predicted - hips.grade)[hips.test]
            if number + 1 < len(sizes):
                chosen = choose_patients(
                    hips,
                    rows,
                    features,
                    predictions,
                    strategy=strategies[strategy],
                    count=sizes[number + 1],
                    seed=parts,
                    triage=triage,
                )
                rows[chosen] = True
        print(f"{name}: batch {number + 1} of {len(sizes)}", file=sys.stderr, flush=True)
    _, patient = np.unique(hips.patient[hips.test], return_inverse=True)
    return Curves(name, strategies, read, error, patient)


def plan_batches(n_patients: int, settings: SimulateSettings) -> list[int]:
    """Patients of the first draw and of each batch after it, as even as possible; together all of them."""
    first = min(max(2, round(_FIRST_SHARE * n_patients)), n_patients - 1)
    rounds = min(settings.simulate_rounds, n_patients - first)
    ends = np.linspace(first, n_patients, rounds + 1).round().astype(int)
    return [first, *np.diff(ends).tolist()]


def _draw(patients: np.ndarray, hips: Hips, seed: list[int], count: int) -> np.ndarray:
    drawn = np.random.default_rng([*seed, 0]).choice(patients, count, replace=False)
    return np.isin(hips.patient, drawn) & ~hips.test


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
    """The rows of the hips of the next patients, ``count`` in number.

    ``known`` (n,) bool have been read, ``features`` are (n, D), ``predictions`` of the present model; the
    seed is that of random draws and of the order of equal hips.
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
