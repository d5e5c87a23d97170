"""Builds the files that the stages of this room read, as the contract names them."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

HIP_COLUMNS = (
    *("cohort", "hip_id", "case_id", "patient_id", "side", "status", "grade", "reader_grades"),
    *("crowe", "kl", "sex", "age", "scanner", "implant", "manufacturer", "kernel_kind", "kv", "step_mm"),
)
PAIRS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
MEASURES = ("variance", "entropy", "mutual_information", "max_probability", "between_model_variance")


def softmax(values):
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


class Study:
    """Tables of hips and files of predictions in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.random = np.random.default_rng([7])

    def hips(self, cohort, grades, patients=None, status="ok", reader_grades=None, **columns):
        """One hip per grade ("" if ungraded); two of a patient follow each other. Columns are lists."""
        path = self.folder / "hips" / f"{cohort}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, HIP_COLUMNS)
            writer.writeheader()
            for row, grade in enumerate(grades):
                case, side = f"{cohort}{row // 2:04}", "LR"[row % 2]
                patient = patients[row] if patients else case
                calls = reader_grades[row] if reader_grades else ""
                cells = (cohort, f"{case}_{side}", case, patient, side, status, grade, calls)
                known = dict(zip(HIP_COLUMNS, cells, strict=False))
                known |= dict(zip(("crowe", "kl"), PAIRS[int(grade) - 1], strict=True)) if grade else {}
                writer.writerow(known | {name: column[row] for name, column in columns.items()})
        return path

    def names(self, cohort, n):
        return np.array([f"{cohort}{row // 2:04}_{'LR'[row % 2]}" for row in range(n)])

    def predict(self, experiment, repeat, fold, cohort, hip_id, probability=None, passes=5, features=None):
        path = self.folder / "predictions" / experiment / f"r{repeat}f{fold}" / f"{cohort}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        n = len(hip_id)
        if probability is None:
            probability = softmax(self.random.normal(size=(n, passes, 7)) * 2)
        if features is None:
            features = self.random.normal(size=(n, 8))
        np.savez(
            path,
            hip_id=np.asarray(hip_id, dtype=str),
            probability_grade=np.asarray(probability, dtype=np.float32),
            deterministic_grade=np.asarray(probability, dtype=np.float32).mean(axis=1),
            features=np.asarray(features, dtype=np.float32),
        )
        return path


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture
def write_uncertainty(tmp_path):
    """Writes a table of graded hips from lists of equal length."""

    def write(experiment, rows):
        path = tmp_path / "uncertainty" / f"{experiment}.csv"
        path.parent.mkdir(exist_ok=True)
        blank = dict.fromkeys(
            [
                *(
                    "cohort",
                    "repeat",
                    "hip_id",
                    "patient_id",
                    "grade",
                    "predicted",
                    "fold",
                    "group",
                    *MEASURES,
                ),
                *("value", "crowe", "predicted_crowe", "kl", "predicted_kl"),
            ],
            "",
        ) | {f"p{grade}": "0" for grade in range(1, 8)}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(blank))
            writer.writeheader()
            for row in rows:
                graded = row.get("grade", "") != ""
                error = min(abs(row["predicted"] - row["grade"]), 2) if graded else None
                derived = {
                    "cohort": "labelled",
                    "repeat": 0,
                    "fold": 0,
                    "variance": 0.01,
                    "patient_id": str(row["hip_id"]).partition("_")[0],
                    "group": ("Exact", "1-Neighbor", "Others")[error] if error is not None else "",
                    f"p{row['predicted']}": "1",
                }
                writer.writerow(blank | derived | row)
        return path

    return write


@pytest.fixture(scope="session")
def intervals():
    """The module benchmarks/intervals.py, whose cohorts are simulated and whose classifiers are trained."""
    path = Path(__file__).parents[2] / "benchmarks/intervals.py"
    spec = importlib.util.spec_from_file_location("intervals", path)
    module = importlib.util.module_from_spec(spec)
    # Its data classes look their own module up.
    sys.modules["intervals"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["intervals"]
