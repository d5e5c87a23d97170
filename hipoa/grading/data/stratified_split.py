"""A split of patients into parts, stratified by grade.

Standard library only at import: the Snakefile asks beforehand whether a split can be made.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

from hipoa.core.errors import CohortError


def find_shortage(patients: int, most: int, folds: int) -> str:
    """Why hips cannot be split into folds, or "".

    Args:
        patients: Those with a graded hip, a count.
        most: Hips of the most frequent class, a count.
        folds: How many.
    """
    if patients < folds:
        return f"{patients} patients with a graded, usable hip for {folds} folds"
    return f"no class has more than {most} hips for {folds} folds" if most < folds else ""


def split_patients(
    patients: Sequence[str], grades: Sequence[int], folds: int, seed: Sequence[int], setting: str = "folds"
) -> dict[str, int]:
    """Gives each patient a fold, so that the grades are spread evenly over the folds.

    Args:
        patients: (n,) one per hip.
        grades: (n,) class 1-7 of the hip.
        folds: How many.
        seed: What the shuffling depends on.
        setting: The name of the setting that says how many, for messages.

    Returns:
        Patient to fold, counted from 0.

    Raises:
        CohortError: Fewer patients than folds, or no split without an empty fold.
    """
    shortage = find_shortage(len(set(patients)), max(Counter(grades).values(), default=0), folds)
    if shortage:
        raise _too_few(shortage, setting)
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    state = int(np.random.default_rng(seed).integers(2**31))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    with warnings.catch_warnings():
        # A class rarer than the folds: the caller says so.
        warnings.simplefilter("ignore", UserWarning)
        parts = [test for _, test in splitter.split(np.zeros(len(grades)), grades, patients)]
    if not all(len(part) for part in parts):
        raise _too_few(f"a fold without any of the {len(set(patients))} patients", setting)
    return {patients[int(hip)]: fold for fold, part in enumerate(parts) for hip in part}


def _too_few(found: str, setting: str) -> CohortError:
    return CohortError(setting, found, f"Add graded patients, or lower the setting {setting}.")
