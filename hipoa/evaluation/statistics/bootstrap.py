"""Bootstrap confidence intervals and p values, resampling patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from hipoa.core.columns import format_number

Row = dict[str, object]

_WORKING_NUMBERS = 2**24
"""Numbers held at once (128 MB as float64), so that a large cohort fits."""


def resample_patients(
    sums: np.ndarray,
    scores: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    resamples: int,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Scores of cohorts drawn with replacement from the patients.

    A drawn patient contributes all hips, in all repeats. The score of a drawn cohort is the mean over the
    repeats of the score per repeat. With the same seed and the same patients in the same order, every
    experiment is scored on the same drawn cohorts.

    Args:
        sums: (patients, repeats, ...) sums over a patient's hips from which scores are computed, such as
            (patients, repeats, K, K) counts.
        scores: Name to a function of (..., repeats, ...) sums over patients to (..., repeats).
        resamples: Number of drawn cohorts.
        seed: Seed of the resampling.

    Returns:
        Name to (resamples,); NaN where a score is not defined in a drawn cohort.
    """
    n_patients = len(sums)
    flat = sums.reshape(n_patients, -1)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for weights in draw_patients(n_patients, max(n_patients, flat.shape[1]), resamples, seed):
        of_cohort = (weights @ flat).reshape(len(weights), *sums.shape[1:])
        for name, score in scores.items():
            drawn[name].append(score(of_cohort).mean(axis=1))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def draw_patients(n_patients: int, width: int, resamples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields how often each patient is drawn, (resamples of this part, n_patients) at a time.

    ``width`` is how many numbers the caller holds per resample; the size of the parts changes no draw.
    """
    generator = np.random.default_rng([seed])
    step = max(1, _WORKING_NUMBERS // width)
    for start in range(0, resamples, step):
        n = min(step, resamples - start)
        # Counting single draws takes a fifth of the time of numpy's multinomial.
        drawn = generator.integers(0, n_patients, (n, n_patients)) + n_patients * np.arange(n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * n_patients).reshape(n, -1).astype(np.float64)


def interval_95(values: np.ndarray) -> tuple[float, float] | None:
    """The 2.5 and 97.5 % quantiles of (n,) values that are not NaN, None if all are."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def interval_cells(drawn: np.ndarray | None) -> Row:
    """The cells ``low`` and ``high``: the 95 % interval of (resamples,) drawn values, empty without any."""
    low, high = (None if drawn is None else interval_95(drawn)) or (np.nan, np.nan)
    return {"low": format_number(low), "high": format_number(high)}


def two_sided_p(differences: np.ndarray) -> float:
    """The p value of no difference, from (n,) drawn differences: 0.05 where the 95 % interval ends at 0.

    Twice the share on the rarer side of 0, a difference of exactly 0 on both; never 0 itself, since n draws
    cannot resolve a p below 1 / n (source: Davison and Hinkley, Bootstrap Methods, 1997, equation 4.11).
    NaN if no drawn difference is defined.
    """
    finite = differences[np.isfinite(differences)]
    if not len(finite):
        return float("nan")
    rarer = min((finite <= 0).sum(), (finite >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(finite) + 1)))
