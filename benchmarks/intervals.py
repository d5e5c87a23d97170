"""Do the intervals cover, and do the tests err as often as they say? On simulated cohorts.

Classifiers are really trained: in every simulated cohort, discriminant analyses are fitted to the training
hips of every fold and repeat, on simulated features whose errors correlate within a patient, with some wrong
labels. What each fitted classifier would score on new patients is measured on thousands of them, and the mean
over the cohorts is what the recipe scores: so both truths are known.

    python benchmarks/intervals.py --cohorts 1000 --json intervals.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from scipy.stats import norm
from scipy.stats import t as student

from hipoa.evaluation.comparison.paired import PRIMARY, SAME, SECONDARY, compare_experiments
from hipoa.evaluation.conformal.sets import find_threshold, grow_sets, predict_sets, score_true
from hipoa.evaluation.graded import Graded, grades_only
from hipoa.evaluation.metrics.estimates import CLASSES, mean_value

FOLDS = 4

SHARES = np.array([0.25, 0.2, 0.15, 0.12, 0.12, 0.09, 0.07])
"""Of the classes among the hips: skewed, as in a clinic."""

_CUTS = norm.ppf(SHARES.cumsum()[:-1])
_SEVERITY_OF_PATIENT = 0.6
"""Share of the variance of a hip's severity that its patient's other hip has too."""
_LABEL_ERROR = 0.2
"""Standard deviation of the reader's error in severity, of which the standard deviation is 1."""
_ECA = CLASSES.pick(["ECA"])
LEVELS = (0.8, 0.9, 0.95)
"""Of the conformal sets."""


@dataclass(frozen=True)
class Recipe:
    """What is trained: a discriminant analysis on features that hold the severity and noise."""

    name: str
    features: int  # of which the severity is a part
    used: int  # drawn anew for every model, as networks differ by their seed
    ridge: float  # added to the variance of every feature
    noise: float  # standard deviation of the noise of a feature
    own: float  # share of the noise that another network does not see


STABLE = Recipe("stable", features=12, used=8, ridge=0.2, noise=0.6, own=0.4)
UNSTABLE = Recipe("unstable", features=40, used=40, ridge=0.02, noise=1.6, own=1.0)


class Truth(NamedTuple):
    """The hips of patients with two hips each."""

    severity: np.ndarray  # (hips,)
    grade: np.ndarray  # (hips,) class 1-7 as read
    noise: np.ndarray  # (hips, features) that every network sees


def draw_hips(random: np.random.Generator, patients: int, features: int) -> Truth:
    """Hips of new patients."""
    shared = np.sqrt(_SEVERITY_OF_PATIENT) * random.normal(size=(patients, 1))
    severity = shared + np.sqrt(1 - _SEVERITY_OF_PATIENT) * random.normal(size=(patients, 2))
    read = severity + _LABEL_ERROR * random.normal(size=(patients, 2))
    grade = 1 + np.searchsorted(_CUTS, read.ravel() / np.sqrt(1 + _LABEL_ERROR**2))
    of_patient = np.repeat(random.normal(size=(patients, features)), 2, axis=0)
    noise = np.sqrt(0.5) * (of_patient + random.normal(size=of_patient.shape))
    return Truth(severity.ravel(), grade, noise)


def see(random: np.random.Generator, hips: Truth, recipe: Recipe, noise: float) -> np.ndarray:
    """What one network sees of the hips (hips, features)."""
    own = random.normal(size=hips.noise.shape)
    weight = np.linspace(0.6, 1.4, recipe.features)
    mixed = np.sqrt(1 - recipe.own) * hips.noise + np.sqrt(recipe.own) * own
    return hips.severity[:, None] * weight + noise * mixed


class Model(NamedTuple):
    """A fitted discriminant analysis: the features used, weights and offsets of the classes."""

    used: np.ndarray
    weight: np.ndarray
    offset: np.ndarray

    def score(self, seen: np.ndarray) -> np.ndarray:
        """The logarithm of the probability of each class up to a constant, (hips, 7)."""
        return seen[:, self.used] @ self.weight + self.offset


def fit(random: np.random.Generator, seen: np.ndarray, grade: np.ndarray, recipe: Recipe) -> Model:
    """Fits a discriminant analysis with a ridge and class means drawn a little to the common one."""
    used = random.choice(recipe.features, recipe.used, replace=False)
    values, member = seen[:, used], np.eye(7)[grade - 1]
    count, total = member.sum(axis=0), member.T @ values
    mean = total / np.maximum(count, 1)[:, None]
    within = values.T @ values - (mean * count[:, None]).T @ mean
    spread = within / max(len(values) - 7, 1) + recipe.ridge * np.eye(recipe.used)
    centre = (total + values.mean(axis=0)) / (count + 1)[:, None]
    weight = np.linalg.solve(spread, centre.T)
    prior = np.log((count + 0.5) / (len(values) + 3.5))
    return Model(used, weight, prior - (centre.T * weight).sum(axis=0) / 2)


def fit_folds(
    random: np.random.Generator, seen: np.ndarray, grade: np.ndarray, fold: np.ndarray, recipe: Recipe
) -> list[Model]:
    """The models of all folds, each fitted to the hips of the others."""
    return [fit(random, seen[fold != test], grade[fold != test], recipe) for test in range(FOLDS)]


class World:
    """New patients on whom every fitted classifier is tried, the same for all cohorts."""

    def __init__(self, recipe: Recipe, noises: Sequence[float], patients: int = 2500) -> None:
        random = np.random.default_rng([1])
        self.recipe, self.noises = recipe, noises
        self.hips = draw_hips(random, patients, recipe.features)
        self.seen = [see(random, self.hips, recipe, noise).astype(np.float32) for noise in noises]

    def cohort(
        self, number: int, patients: int, repeats: int, *, known: bool = True
    ) -> tuple[list[Graded], np.ndarray]:
        """The out-of-fold grades of every network, and its true ECA (networks,), NaN if not ``known``."""
        random = np.random.default_rng([2, number])
        hips = draw_hips(random, patients, self.recipe.features)
        folds = [np.repeat(random.permutation(patients) % FOLDS, 2) for _ in range(repeats)]
        tables, truth = [], []
        for name, (noise, new) in enumerate(zip(self.noises, self.seen, strict=True)):
            seen = see(random, hips, self.recipe, noise)
            score, right = np.empty((repeats, 2 * patients, 7)), []
            for repeat, fold in enumerate(folds):
                for test, model in enumerate(fit_folds(random, seen, hips.grade, fold, self.recipe)):
                    score[repeat, fold == test] = model.score(seen[fold == test])
                    if known:
                        right.append((model.score(new).argmax(axis=1) + 1 == self.hips.grade).mean())
            tables.append(_tabulate(f"network {name}", hips.grade, np.stack(folds), score))
            truth.append(np.mean(right) if known else np.nan)
        return tables, np.array(truth)


def _tabulate(name: str, grade: np.ndarray, fold: np.ndarray, score: np.ndarray) -> Graded:
    repeats, hips = fold.shape
    probability = softmax(score, axis=2).reshape(-1, 7)
    return grades_only(
        name,
        cohort=np.full(repeats * hips, "labelled"),
        hip=np.tile(np.arange(hips), repeats),
        patient=np.tile(np.arange(hips) // 2, repeats),
        repeat=np.repeat(np.arange(repeats), hips),
        fold=fold.reshape(-1),
        grade=np.tile(grade, repeats),
        predicted=probability.argmax(axis=1) + 1,
        probability=probability,
    )


def examine(tables: Sequence[Graded], primary: str = "ECA") -> dict[str, float]:
    """The interval of the first network's ECA, and the tests of the two, of one cohort."""
    score = _ECA.estimate(tables[0])["ECA"]
    of_patient, n = score.pseudo.mean(axis=1), score.n_patients
    reach = float(student.ppf(0.975, n - 1)) * of_patient.std(ddof=1) / np.sqrt(n)
    interval = score.interval()
    rows = list(compare_experiments(tables, primary))
    first = next(row for row in rows if row["role"] == PRIMARY)
    found = {row["role"] for row in rows if row["verdict"] not in (SAME, "")}
    only = score.minus(_ECA.estimate(tables[1])["ECA"])
    return {
        "low": interval.low,
        "high": interval.high,
        "patients_low": score.value - reach,
        "patients_high": score.value + reach,
        "difference": float(str(first["difference"])),
        "p": float(str(first["p"]) or "nan"),
        "p_patients": replace(only, fold=None).p_value(),
        "p_resampled": float(str(first["resampled_t_p"]) or "nan"),
        "any": float(bool(found)),
        "secondary": float(SECONDARY in found),
    }


def study(recipe: Recipe, patients: int, repeats: int, cohorts: int) -> list[dict[str, object]]:
    """Coverage, type I error and power of one size of study; each share with its standard error."""
    same = World(recipe, (recipe.noise, recipe.noise))
    found, truths = [], []
    for number in range(cohorts):
        tables, truth = same.cohort(number, patients, repeats)
        found.append(examine(tables))
        truths.append(truth)
    column = {name: np.array([row[name] for row in found]) for name in found[0]}
    own = np.array(truths)[:, 0]
    recipe_score = float(np.mean(truths))
    other = World(recipe, (recipe.noise, 1.4 * recipe.noise))
    power, gaps = [], []
    for number in range(max(cohorts // 4, 1)):
        tables, truth = other.cohort(cohorts + number, patients, repeats, known=number < 50)
        power.append(examine(tables))
        gaps.append(truth[0] - truth[1])
    rows = []

    def add(question: str, method: str, values: np.ndarray, width: float | None = None) -> None:
        share = float(values.mean())
        error = np.sqrt(share * (1 - share) / len(values))
        rows.append(
            {
                "recipe": recipe.name,
                "patients": patients,
                "repeats": repeats,
                "true_eca": round(recipe_score, 4),
                "question": question,
                "method": method,
                "percent": round(100 * share, 1),
                "standard_error_percent": round(100 * float(error), 1),
                "mean_width": None if width is None else round(width, 3),
            }
        )

    for method, low, high in (
        ("new patients, networks trained anew", column["low"], column["high"]),
        ("new patients only, t", column["patients_low"], column["patients_high"]),
    ):
        width = float((high - low).mean())
        add("holds what the recipe scores", method, (low <= recipe_score) & (recipe_score <= high), width)
        add("holds what these networks score", method, (low <= own) & (own <= high), width)
    add("test errs", "trained anew (verdict)", column["p"] < 0.05)
    add("test errs", "patients only", column["p_patients"] < 0.05)
    add("test errs", "corrected resampled t", column["p_resampled"] < 0.05)
    add("any of six scores is called different", "primary first (verdict)", column["any"] > 0)
    gap = float(np.nanmean(gaps))
    for method, name in (("trained anew (verdict)", "p"), ("patients only", "p_patients"),
                         ("corrected resampled t", "p_resampled")):  # fmt: skip
        add(f"finds a difference of {gap:.3f}", method, np.array([row[name] for row in power]) < 0.05)
    return rows


def study_shares(cohorts: int, repeats: int) -> list[dict[str, object]]:
    """Coverage of the interval of a share by its size and the number of patients, of fixed networks."""
    random, rows = np.random.default_rng([3]), []
    for share in (0.5, 0.9, 0.98, 1.0):
        for patients in (6, 10, 24, 60, 198):
            held, width = [], []
            for _ in range(cohorts):
                ease = np.sqrt(0.3) * random.normal(size=(patients, 1, 1))
                ease = ease + np.sqrt(0.4) * random.normal(size=(patients, 2, 1))
                ease = ease + np.sqrt(0.3) * random.normal(size=(patients, 2, repeats))
                right = (ease < (norm.ppf(share) if share < 1 else np.inf)).transpose(2, 0, 1).ravel()
                hips = np.tile(np.arange(2 * patients), repeats)
                grade = np.ones(len(hips), dtype=np.int64)
                table = grades_only("", hip=hips, patient=hips // 2, grade=grade, predicted=2 - right,
                                    repeat=np.repeat(np.arange(repeats), 2 * patients))  # fmt: skip
                interval = mean_value("", right, "share").estimate(table)[""].interval()
                held.append(interval.low <= share <= interval.high)
                width.append(interval.high - interval.low)
            percent = 100 * float(np.mean(held))
            rows.append(
                {
                    "share": share,
                    "patients": patients,
                    "repeats": repeats,
                    "percent": round(percent, 1),
                    "standard_error_percent": round(float(np.sqrt(percent * (100 - percent) / cohorts)), 1),
                    "mean_width": round(float(np.mean(width)), 3),
                    "least_width": round(float(np.min(width)), 4),
                }
            )
    return rows


def study_sets(recipe: Recipe, patients: int, cohorts: int) -> list[dict[str, object]]:
    """Coverage and size of conformal sets: of labelled hips out of fold, and of 200 new patients."""
    found: dict[tuple[str, float], list[list[float]]] = {}
    for number in range(cohorts):
        random = np.random.default_rng([4, number])
        hips, new = (draw_hips(random, n, recipe.features) for n in (patients, 200))
        seen, seen_new = (see(random, one, recipe, recipe.noise) for one in (hips, new))
        fold = np.repeat(random.permutation(patients) % FOLDS, 2)
        models = fit_folds(random, seen, hips.grade, fold, recipe)
        score = np.empty((1, 2 * patients, 7))
        for test, model in enumerate(models):
            score[0, fold == test] = model.score(seen[fold == test])
        table = _tabulate("network", hips.grade, fold[None], score)
        graded = [softmax(model.score(seen_new), axis=1) for model in models]
        for level in LEVELS:
            threshold = find_threshold(score_true(table), table.patient, level)
            sets = {
                "labelled, out of fold": (predict_sets(table, level), hips.grade),
                "new patients, one fold's model": (grow_sets(graded[0]) <= threshold, new.grade),
                "new patients, mean of the models": (grow_sets(np.mean(graded, 0)) <= threshold, new.grade),
            }
            for name, (inside, grade) in sets.items():
                size = inside.sum(axis=1)
                held = inside[np.arange(len(grade)), grade - 1]
                row = [held.mean(), size.mean(), (size == 0).mean(), (size == 7).mean()]
                found.setdefault((name, level), []).append([float(value) for value in row])
    return [
        {
            "recipe": recipe.name,
            "patients": patients,
            "hips": name,
            "level": level,
            "percent": round(100 * float(np.mean(rows, axis=0)[0]), 1),
            "standard_error_percent": round(100 * float(np.std(rows, axis=0)[0]) / cohorts**0.5, 1),
            "mean_size": round(float(np.mean(rows, axis=0)[1]), 2),
            "empty_percent": round(100 * float(np.mean(rows, axis=0)[2]), 2),
            "whole_percent": round(100 * float(np.mean(rows, axis=0)[3]), 1),
        }
        for (name, level), rows in found.items()
    ]


SIZES = ((198, 15), (198, 3), (24, 15), (24, 3), (10, 15), (10, 3))
"""Patients and repeats."""


def main() -> None:
    """Simulates, prints the tables, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cohorts", type=int, default=1000, help="simulated of each size, a count")
    parser.add_argument("--json", type=Path, help="file for the tables")
    given = parser.parse_args()
    start = time.perf_counter()
    n, recipes = given.cohorts, (STABLE, UNSTABLE)
    tables = {
        "rows": [_say(study(recipe, *size, n)) for recipe, size in product(recipes, SIZES)],
        "shares": [_say(study_shares(2 * n, repeats)) for repeats in (1, 15)],
        "sets": [
            _say(study_sets(recipe, patients, n)) for recipe, patients in product(recipes, (198, 24, 10))
        ],
    }
    if given.json:
        facts = {"cohorts": n, "seconds": round(time.perf_counter() - start, 1)}
        given.json.write_text(json.dumps(facts | tables, indent=2) + "\n")


def _say(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    for row in rows:
        print(*(f"{name} {value} " for name, value in row.items() if value is not None), flush=True)
    return rows


if __name__ == "__main__":
    main()
