"""How sure a score is: patients, not hips, are drawn again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_WORKING_NUMBERS = 2**24
"""Numbers held at once (128 MB as float64), so that a large cohort fits."""


def resample_patients(
    confusion: np.ndarray,
    scores: dict[str, Callable[[np.ndarray], np.ndarray]],
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Scores of cohorts drawn with replacement from the patients.

    All hips of a drawn patient come along, in all repeats. The score of a drawn cohort is the mean over the
    repeats of the score per repeat. With one seed and the same patients in the same order, the drawn
    cohorts are the same for every experiment.

    Args:
        confusion: (patients, repeats, K, K) counts.
        scores: Name to a function of (..., K, K) confusion matrices.
        resamples: How many cohorts are drawn.
        seed: Of the drawing.

    Returns:
        Name to (resamples,); NaN where a score is not defined in a drawn cohort.
    """
    n_patients = len(confusion)
    flat = confusion.reshape(n_patients, -1)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for weights in _draw(n_patients, max(n_patients, flat.shape[1]), resamples, seed):
        matrices = (weights @ flat).reshape(len(weights), *confusion.shape[1:])
        for name, score in scores.items():
            drawn[name].append(score(matrices).mean(axis=1))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def _draw(n_patients: int, width: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each patient is drawn, (at most some resamples, n_patients) at a time."""
    generator = np.random.default_rng([seed])
    step = max(1, _WORKING_NUMBERS // width)
    for start in range(0, resamples, step):
        yield generator.multinomial(
            n_patients, np.full(n_patients, 1 / n_patients), size=min(step, resamples - start)
        ).astype(np.float64)


def interval_95(values: np.ndarray) -> tuple[float, float] | None:
    """The 2.5 and 97.5 % quantiles of (n,) values that are not NaN, None if all are."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
