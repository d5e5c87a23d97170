"""Do the intervals cover, and do the tests err as often as they say? On simulated cohorts.

Every cohort has 198 patients with two hips each, whose classes and whose difficulty correlate; two networks
of exactly the same expected accuracy grade them in 15 repeats of a 4-fold cross-validation. So the truth is
known: 95 % of the intervals should hold it, and 5 % of the tests should find a difference that is not there.

    python benchmarks/intervals.py --cohorts 2000 --json intervals.json
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from hipoa.evaluation.comparison.compare import rank_test, score_folds
from hipoa.evaluation.comparison.paired import resampled_t_test
from hipoa.evaluation.conformal.sets import predict_sets
from hipoa.evaluation.graded import Graded, grades_only
from hipoa.evaluation.metrics.estimates import ScoreSet, mean_of, tally_values
from hipoa.evaluation.metrics.scores import exact_accuracy
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import interval_95, two_sided_p

FOLDS = 4
LEVELS = (0.8, 0.9, 0.95)
"""Of the conformal sets."""

SHARES = np.array([0.25, 0.2, 0.15, 0.12, 0.12, 0.09, 0.07])
"""Of the classes among the hips: skewed, as in a clinic."""

# Shares of the variance of a hip's severity, and of a network's error in it.
_SEVERITY_OF_PATIENT = 0.6
_ERROR = {"patient": 0.3, "hip": 0.1, "network and patient": 0.2, "network and hip": 0.1, "repeat": 0.3}
_ERROR_SD = 0.7
_DIFFICULTY = 0.6
"""Patients are not equally hard: the standard deviation of the logarithm of a patient's error."""
_SPREAD = 0.6
"""Width, in classes, of the probability that a network gives to the classes about its guess."""


def simulate(random: np.random.Generator, patients: int, repeats: int, networks: int = 2) -> list[Graded]:
    """A cohort of two-hipped patients, graded by networks that are equally good."""
    latent = _mix(random, (patients, 2), _SEVERITY_OF_PATIENT)
    grade = 1 + np.searchsorted(norm.ppf(SHARES.cumsum()[:-1]), latent.reshape(-1))
    shared = _patients(random, patients, _ERROR["patient"]) + random.normal(
        0, np.sqrt(_ERROR["hip"]), 2 * patients
    )
    hard = np.repeat(np.exp(_DIFFICULTY * random.normal(size=patients)), 2)
    fold = np.stack([np.repeat(random.permutation(patients) % FOLDS, 2) for _ in range(repeats)])
    return [_grade(random, f"network {number}", grade, shared, hard, fold) for number in range(networks)]


def _mix(random: np.random.Generator, shape: tuple[int, int], share: float) -> np.ndarray:
    return np.sqrt(share) * random.normal(size=(shape[0], 1)) + np.sqrt(1 - share) * random.normal(size=shape)


def _patients(random: np.random.Generator, patients: int, variance: float) -> np.ndarray:
    return np.repeat(random.normal(0, np.sqrt(variance), patients), 2)


def _grade(
    random: np.random.Generator,
    name: str,
    grade: np.ndarray,
    shared: np.ndarray,
    hard: np.ndarray,
    fold: np.ndarray,
) -> Graded:
    repeats, hips = fold.shape
    patients = hips // 2
    own = _patients(random, patients, _ERROR["network and patient"])
    own = own + random.normal(0, np.sqrt(_ERROR["network and hip"]), hips)
    chance = random.normal(0, np.sqrt(_ERROR["repeat"]), (repeats, hips))
    guess = (grade + _ERROR_SD * hard * (shared + own + chance)).reshape(-1)
    probability = softmax(-(((np.arange(1, 8) - guess[:, None]) / _SPREAD) ** 2) / 2, axis=1)
    predicted = probability.argmax(axis=1) + 1
    true = np.tile(grade, repeats)
    return grades_only(
        name,
        cohort=np.full(repeats * hips, "labelled"),
        hip=np.tile(np.arange(hips), repeats),
        patient=np.tile(np.repeat(np.arange(patients), 2), repeats),
        repeat=np.repeat(np.arange(repeats), hips),
        fold=fold.reshape(-1),
        grade=true,
        predicted=predicted,
        probability=probability,
    )


def _tally_right(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    right = (table.grade == table.predicted)[:, None].astype(np.float64)
    return tally_values(right, cell, n_cells)


RIGHT = ScoreSet(_tally_right, {"ECA": (mean_of(0), "share")})
"""ECA from the share of right hips: the same numbers as from confusion matrices, in a tenth of the time."""


def find_truth(hips: int = 2_000_000) -> float:
    """The expected ECA, the same for every network and repeat."""
    (table,) = simulate(np.random.default_rng([1]), hips // 2, 1, networks=1)
    return float((table.grade == table.predicted).mean())


def examine(number: int, patients: int, repeats: int, truth: float, resamples: int) -> dict[str, list[float]]:
    """One cohort: whether each interval holds the truth and how wide it is, and the p of each test."""
    one, other = simulate(np.random.default_rng([2, number]), patients, repeats)
    bootstrap = BootstrapSettings(bootstrap_resamples=resamples)
    family = RIGHT
    drawn = family.resample(one, bootstrap)["ECA"]
    hips = replace(one, patient=one.hip)
    share = (one.grade == one.predicted).mean()
    wald = 1.96 * np.sqrt(share * (1 - share) / len(one))
    intervals = {
        "patients resampled": interval_95(drawn),
        "hips resampled": interval_95(family.resample(hips, bootstrap)["ECA"]),
        "hip x repeat values, binomial": (share - wald, share + wald),
    }
    folds = [score_folds(table, exact_accuracy) for table in (one, other)]
    tests = {
        "paired bootstrap of patients": two_sided_p(drawn - family.resample(other, bootstrap)["ECA"]),
        "corrected resampled t": resampled_t_test(folds[0] - folds[1], FOLDS)["p"],
        "Mann-Whitney U of fold scores, as published": rank_test(*folds)["p"],
    }
    covered = {name: [low <= truth <= high, high - low] for name, (low, high) in intervals.items()}
    return covered | {name: [float(p)] for name, p in tests.items()}


def summarise(cohorts: list[dict[str, list[float]]], level: float = 0.05) -> list[dict[str, object]]:
    """The share of cohorts whose interval holds the truth, and in which a test sees a difference."""
    rows = []
    for name in cohorts[0]:
        values = np.array([cohort[name] for cohort in cohorts], dtype=np.float64)
        interval = values.shape[1] == 2
        share = values[:, 0].mean() if interval else (values[:, 0] < level).mean()
        rows.append(
            {
                "question": "interval holds the truth" if interval else "test errs at 5 %",
                "method": name,
                "percent": round(100 * share, 2),
                "standard_error_percent": round(100 * np.sqrt(share * (1 - share) / len(values)), 2),
                "mean_width": round(float(values[:, 1].mean()), 4) if interval else None,
            }
        )
    return rows


def examine_sets(number: int, patients: int, repeats: int) -> list[float]:
    """One cohort: the share of hips whose cross-fitted conformal set holds the class, at each level."""
    (table,) = simulate(np.random.default_rng([3, number]), patients, repeats, networks=1)
    rows = np.arange(len(table))
    return [float(predict_sets(table, level)[rows, table.grade - 1].mean()) for level in LEVELS]


def summarise_sets(cohorts: list[list[float]]) -> list[dict[str, object]]:
    """The mean coverage over the cohorts at each level."""
    error = np.std(cohorts, axis=0) / np.sqrt(len(cohorts))
    return [
        {
            "question": "conformal set holds the class",
            "method": f"promised about {100 * level:g} %",
            "percent": round(100 * mean, 2),
            "standard_error_percent": round(100 * spread, 2),
            "mean_width": None,
        }
        for level, mean, spread in zip(LEVELS, np.mean(cohorts, axis=0).tolist(), error.tolist(), strict=True)
    ]


def main() -> None:
    """Simulates, prints the table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cohorts", type=int, default=2000, help="simulated, a count")
    parser.add_argument("--patients", type=int, default=198, help="of each cohort, a count")
    parser.add_argument("--repeats", type=int, default=15, help="of the cross-validation, a count")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap, a count")
    parser.add_argument("--sets", type=int, default=300, help="cohorts simulated for the sets, a count")
    parser.add_argument("--json", type=Path, help="file for the table")
    given = parser.parse_args()
    start = time.perf_counter()
    truth = find_truth()
    cohorts = [
        examine(number, given.patients, given.repeats, truth, given.resamples)
        for number in range(given.cohorts)
    ]
    sets = [examine_sets(number, given.patients, given.repeats) for number in range(given.sets)]
    rows = summarise(cohorts) + summarise_sets(sets)
    print(f"expected ECA {truth:.4f}; {given.cohorts} cohorts of {given.patients} patients")
    for row in rows:
        width = "" if row["mean_width"] is None else f"  mean width {row['mean_width']:.4f}"
        print(f"{row['question']:30} {row['method']:44} {row['percent']:6.2f} %{width}")
    if given.json:
        facts = {"cohorts": given.cohorts, "patients": given.patients, "repeats": given.repeats}
        facts |= {"resamples": given.resamples, "expected_eca": truth}
        facts |= {"seconds": round(time.perf_counter() - start, 1), "rows": rows}
        given.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
