"""A tiny labelled cohort whose images depend on the grade, as files that the stages read."""

import csv

import numpy as np
import pytest

PAIRS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)


class Cohorts:
    """Writes tables and stacks of hips in one folder."""

    def __init__(self, folder):
        self.folder = folder

    def write_table(self, name, columns, rows):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def hips(self, cohort, rows):
        """Table and stack of R/hips; each row is (patient, side, status, grade)."""
        cells = [
            {
                "hip_id": f"{cohort[0]}{patient}_{side}",
                "case_id": f"{cohort[0]}{patient}",
                "patient_id": patient,
                "side": side,
                "status": status,
                "grade": grade,
                "crowe": PAIRS[grade - 1][0] if grade else "",
                "kl": PAIRS[grade - 1][1] if grade else "",
            }
            for patient, side, status, grade in rows
        ]
        columns = ["hip_id", "case_id", "patient_id", "side", "status", "grade", "crowe", "kl"]
        table = self.write_table(f"hips/{cohort}.csv", columns, cells)
        usable = [row for row in cells if row["status"] == "ok"]
        stack = self.folder / "hips" / f"{cohort}.npz"
        images = [draw(row["grade"] or 4, number) for number, row in enumerate(usable)]
        np.savez(
            stack,
            hip_id=np.array([row["hip_id"] for row in usable], dtype=np.str_),
            radiograph=np.array(images, dtype=np.uint8).reshape(-1, 150, 150),
        )
        return table, stack

    def folds(self, rows):
        """Rows of (hip, patient, fold)."""
        columns = ["hip_id", "patient_id", "fold"]
        return self.write_table(
            "folds/r0.csv", columns, [dict(zip(columns, row, strict=True)) for row in rows]
        )


def draw(grade, number):
    """A head whose position and brightness depend on the grade."""
    row, column = np.mgrid[:150, :150]
    inside = np.hypot(row - (20 + 15 * grade), column - 75) < 25
    noise = np.random.default_rng([number]).normal(0, 3, (150, 150))
    return (30 + inside * 25 * grade + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def new_cohorts(tmp_path_factory):
    """Makes cohorts in a folder of their own, for tests that hypothesis repeats."""
    return lambda: Cohorts(tmp_path_factory.mktemp("cohorts"))


@pytest.fixture
def cohorts(tmp_path):
    return Cohorts(tmp_path)


@pytest.fixture
def study(cohorts):
    """A cohort of 8 patients, two grades, four folds; the first patient's left hip is ungraded."""
    rows = [
        (f"p{number}", side, "ok", "" if (number, side) == (0, "L") else (1, 7)[number % 2])
        for number in range(8)
        for side in "LR"
    ]
    table, stack = cohorts.hips("labelled", rows)
    named = [
        (f"l{patient}_{side}", patient, int(patient[1:]) // 2) for patient, side, _, grade in rows if grade
    ]
    return {"hips": table, "stack": stack, "folds": cohorts.folds(named)}
