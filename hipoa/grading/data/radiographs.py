"""Reads radiographs with their patients, and the folds that decide which model may predict a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipoa.core.files import read_csv, read_npz


@dataclass(frozen=True)
class Radiographs:
    """The n hips of a cohort that are used."""

    hip_id: np.ndarray  # (n,)
    patient_id: np.ndarray  # (n,)
    radiograph: np.ndarray  # (n, 150, 150) uint8 grey

    def __len__(self) -> int:
        return len(self.hip_id)

    def where(self, keep: np.ndarray) -> Radiographs:
        """The hips that ``keep`` (n,) bool marks."""
        return Radiographs(self.hip_id[keep], self.patient_id[keep], self.radiograph[keep])


def read_radiographs(hips: Path, stack: Path) -> Radiographs:
    """Reads the stack of a cohort, and the patients from its table, of the hips with status ok."""
    patient_of = {row["hip_id"]: row["patient_id"] for row in read_csv(hips) if row["status"] == "ok"}
    images = read_npz(stack)
    used = np.array([hip in patient_of for hip in images["hip_id"].tolist()], dtype=bool)
    names = images["hip_id"][used]
    patients = np.array([patient_of[hip] for hip in names.tolist()], dtype=np.str_)
    return Radiographs(names, patients, images["radiograph"][used])


def read_fold_of(folds: Path) -> dict[str, int]:
    """The fold of each patient who has one."""
    return {row["patient_id"]: int(row["fold"]) for row in read_csv(folds)}


def find_visible(patients: np.ndarray, fold_of: Mapping[str, int], fold: int) -> np.ndarray:
    """Which hips (n,) bool the model of a fold may predict, from the patient (n,) of each.

    A hip of a patient who has a fold is predicted by that fold's models alone, whichever cohort and CT
    it is from: the other models were trained on the patient. All other hips are predicted by every model.
    """
    return np.array([fold_of.get(patient, fold) == fold for patient in patients.tolist()], dtype=bool)
