"""A small fabricated results folder: random predictions, then the real stages of evaluation and triage."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from hipoa.core.files import write_csv
from hipoa.core.tables.rows import Reading, write_grades
from hipoa.evaluation import detect, embed, uncertainty
from hipoa.evaluation.calibration import calibrate
from hipoa.evaluation.comparison import compare
from hipoa.evaluation.conformal import conform
from hipoa.evaluation.metrics import metrics
from hipoa.evaluation.settings import (
    CompareSettings,
    ConformSettings,
    EmbedSettings,
    MetricsSettings,
    UncertaintySettings,
)
from hipoa.grading.settings import HipsSettings
from hipoa.reading import agreement, rounds
from hipoa.report import report
from hipoa.report.figures import figures, style
from hipoa.report.settings import ReportSettings
from hipoa.triage import label_errors, triage
from hipoa.triage.settings import LabelErrorsSettings, TriageSettings
from hipoa.triage.simulation.learning_curves import Curves, describe, state_answer
from hipoa.triage.simulation.simulate import ANSWER, FROZEN
from hipoa.triage.simulation.simulate import COLUMNS as SIMULATION_COLUMNS
from hipoa.workflow.config import resolve
from hipoa.workflow.stages import TABLES, TABLES_DRAWN

EXPERIMENTS = {"vit": "vit_base_patch16_224.augreg_in1k", "vgg": "vgg16.tv_in1k"}
REPEATS, FOLDS = 2, 2
PAIRS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
HIP_COLUMNS = (
    *("hip_id", "case_id", "patient_id", "side", "sex", "age", "scanner", "status", "reason", "method"),
    *("confidence", "centre_r_mm", "centre_a_mm", "centre_s_mm", "radius_mm", "implant", "cut"),
    *("spacing_r_mm", "spacing_a_mm", "spacing_s_mm", "tilt_deg", "turn_deg", "warnings", "step_mm"),
    *("manufacturer", "model", "kernel", "kernel_kind", "kv", "thickness_mm", "head_x_mm", "head_y_mm"),
    *("renderer", "png", "mm_per_px", "mirrored", "cohort", "crowe", "kl", "grade", "off_table"),
    *("n_readings", "reader_grades"),
)
SIZES = {"labelled": 20, "external": 6, "pool": 8}


class Study:
    """The files of one study below ``results/{study}``, and the arguments of the two stages."""

    def __init__(self, root, scanner, sizes):
        self.root, self.scanner, self.sizes = root, scanner, sizes
        self.random = np.random.default_rng([3])
        self.table = {cohort: self._rows(cohort, cases) for cohort, cases in sizes.items()}

    def _rows(self, cohort, cases):
        return [self._row(cohort, case, side) for case in range(cases) for side in "LR"]

    def _row(self, cohort, case, side):
        row = dict.fromkeys(HIP_COLUMNS, "")
        case_id = f"{cohort[0]}{case:03}"
        row |= {"hip_id": f"{case_id}_{side}", "case_id": case_id, "patient_id": f"P-{case_id}"}
        row |= {"side": side, "cohort": cohort, "status": "ok", "scanner": self.scanner}
        row["mirrored"] = "yes" if side == "L" else ""
        row |= {"method": "locator", "confidence": 0.93, "radius_mm": 24, "mm_per_px": 1.1333}
        row |= {
            "spacing_r_mm": 0.8,
            "spacing_a_mm": 0.8,
            "spacing_s_mm": 1.25,
            "tilt_deg": -1.5,
            "turn_deg": 2,
            "head_x_mm": 0,
            "head_y_mm": 0,
            "renderer": "joseph_cpu",
        }
        if cohort != "pool":
            grade = (3 * case + (side == "R")) % 7 + 1
            row["crowe"], row["kl"] = PAIRS[grade - 1]
            row["grade"], row["n_readings"] = grade, 2 if cohort == "labelled" else 1
            # The second reader calls every third hip a class worse.
            row["reader_grades"] = (
                f"{grade} {min(7, grade + (case % 3 == 0))}" if cohort == "labelled" else grade
            )
        return row

    def change(self, hip_id, **cells):
        for rows in self.table.values():
            for row in rows:
                if row["hip_id"] == hip_id:
                    row.update(cells)

    def write(self):
        for cohort, rows in self.table.items():
            self._write_csv(self.root / "hips" / f"{cohort}.csv", rows)
            names = [row["hip_id"] for row in rows if row["status"] == "ok" or row["implant"]]
            stack = {
                "hip_id": np.array(names, dtype=str),
                "radiograph": np.array([self._radiograph() for _ in names], dtype=np.uint8).reshape(
                    -1, 150, 150
                ),
            }
            np.savez_compressed(self.root / "hips" / f"{cohort}.npz", **stack)
        for experiment, network in EXPERIMENTS.items():
            for repeat in range(REPEATS):
                for fold in range(FOLDS):
                    self._write_model(experiment, network, repeat, fold)
        self._write_records()
        self._write_explanations()
        self._evaluate()

    def _write_csv(self, path, rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, HIP_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def _radiograph(self):
        y, x = np.mgrid[:150, :150]
        cx, cy = self.random.uniform(60, 90, 2)
        head = np.hypot(x - cx, y - cy) < 28
        shaft = (np.abs(x - cx - 0.2 * (y - cy)) < 14) & (y > cy)
        return np.clip(60 + 120 * (head | shaft) + self.random.normal(0, 12, (150, 150)), 0, 255)

    def _write_model(self, experiment, network, repeat, fold):
        record = {"experiment": experiment, "network": network, "task": "combined", "loss": "classification"}
        record |= {"repeat": repeat, "fold": fold, "n_train": 20}
        record |= {"file": f"r{repeat}f{fold}.safetensors", "sha256": "0" * 64}
        record["history"] = [
            {"epoch": epoch, "learning_rate": 1e-4, "loss": 2 * 0.8**epoch + 0.05 * (fold + repeat)}
            for epoch in range(1, 9)
        ]
        path = self.root / "models" / experiment / f"r{repeat}f{fold}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
        for cohort, rows in self.table.items():
            seen = [
                row
                for number, row in enumerate(rows)
                if row["status"] == "ok" and (cohort != "labelled" or (number // 2 + repeat) % FOLDS == fold)
            ]
            folder = self.root / "predictions" / experiment / f"r{repeat}f{fold}"
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(folder / f"{cohort}.npz", **self._predict(seen))

    def _predict(self, rows):
        true = np.array([int(row["grade"] or self.random.integers(1, 8)) for row in rows], dtype=int)
        centre = np.clip(true - 1 + self.random.choice([-2, -1, 0, 0, 0, 0, 1], len(rows)), 0, 6)
        # Its label, class 1, contradicts every network.
        centre[[row["hip_id"] == "l014_L" for row in rows]] = 6
        logits = -1.2 * np.abs(np.arange(7) - centre[:, None, None]).astype(float)
        logits = logits + self.random.normal(0, 0.7, (len(rows), 6, 7))
        probability = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        return {
            "hip_id": np.array([row["hip_id"] for row in rows], dtype=str),
            "probability_grade": probability.astype(np.float32),
            "deterministic_grade": probability.mean(axis=1).astype(np.float32),
            "features": (self.random.normal(0, 1, (len(rows), 6)) + true[:, None]).astype(np.float32),
        }

    def _write_explanations(self):
        """Maps of some labelled hips, as the stage writes them; it would need trained networks."""
        (self.root / "explanations").mkdir()
        names = [row["hip_id"] for row in self.table["labelled"] if row["status"] == "ok" and row["grade"]][
            :4
        ]
        y, x = np.mgrid[:150, :150]
        heat = np.exp(-((x - 75) ** 2 + (y - 60) ** 2) / 600).astype(np.float16)
        grades = np.array([1, 2, 3, 4])
        np.savez(
            self.root / "explanations/vit.npz",
            hip_id=np.array(names),
            shown=np.array(["right", "right", "wrong", "wrong"]),
            grade=grades,
            predicted=grades + np.array([0, 0, 1, 2]),
            fold=grades % 2,
            heat=np.stack([heat] * 4),
            method=np.array("attention roll-out"),
        )

    def _write_records(self):
        (self.root / "weights").mkdir()
        record = {"network": "vgg16.tv_in1k", "source": "timm", "sha256": "0" * 64}
        (self.root / "weights" / "vgg16.tv_in1k.json").write_text(json.dumps(record))
        self.config()

    def config(self, **changed):
        given = {"study": "fabricated", "preset": "published", "repeats": REPEATS, "folds": {"folds": FOLDS}}
        given["data"] = {"cases": "/home/somebody/secret/cases.csv", "grades": "grades.csv"}
        rows = {name: {"network": network} for name, network in EXPERIMENTS.items()}
        content = resolve(given | {"experiments": {**rows, "densenet": None}})
        for section, values in changed.items():
            content[section] = {**content[section], **values} if isinstance(values, dict) else values
        (self.root / "config.json").write_text(json.dumps(content))

    def _evaluate(self):
        for experiment in EXPERIMENTS:
            uncertainty.run(
                UncertaintySettings(),
                experiment=experiment,
                predictions=sorted((self.root / "predictions" / experiment).glob("*/*.npz")),
                hips=self.hips,
                out=self.root / "uncertainty" / f"{experiment}.csv",
            )
        tables = self.uncertainty
        metrics.run(
            MetricsSettings(),
            uncertainty=tables,
            hips=self.hips,
            truth=[],
            class_table=json.dumps(PAIRS),
            out=self.root / "metrics.csv",
            confusion=self.root / "confusion.csv",
            subgroups=self.root / "subgroups.csv",
        )
        compare.run(
            CompareSettings(),
            uncertainty=tables,
            out=self.root / "compare.csv",
            differences=self.root / "differences.csv",
        )
        calibrate.run(
            uncertainty=tables,
            class_table=json.dumps(PAIRS),
            out=self.root / "calibration.csv",
            reliability=self.root / "reliability.csv",
            decision=self.root / "decision.csv",
        )
        detect.run(
            uncertainty=tables,
            out=self.root / "detection.csv",
            curves=self.root / "risk_coverage.csv",
        )
        conform.run(ConformSettings(), uncertainty=tables, out=self.root / "conformal.csv")
        embed.run(
            EmbedSettings(),
            predictions=sorted((self.root / "predictions").glob("*/*/labelled.npz")),
            hips=self.root / "hips" / "labelled.csv",
            out=self.root / "embedding.csv",
        )
        self.list_hips()
        rounds.run(
            uncertainty=tables,
            hips=self.root / "hips" / "labelled.csv",
            triage=self.root / "triage.csv",
            setup="one",
            history=self.root / "history",
            out=self.root / "rounds.csv",
        )
        agreement.run(
            HipsSettings(),
            uncertainty=tables,
            hips=self.hips,
            grades=[self._write_grades()],
            log=self.root / "no log",
            out=self.root / "agreement.csv",
        )
        self._simulate()

    def list_hips(self):
        """The hips to read next and the possible label errors."""
        tables = self.uncertainty
        ranking = self.root / "predictions" / next(iter(EXPERIMENTS))
        triage.run(
            TriageSettings(),
            uncertainty=tables,
            predictions=sorted(path for path in ranking.glob("r0f*/*.npz") if path.stem != "external"),
            hips=self.hips,
            differences=self.root / "differences.csv",
            out=self.root / "triage.csv",
        )
        label_errors.run(
            LabelErrorsSettings(),
            uncertainty=tables,
            hips=self.root / "hips" / "labelled.csv",
            differences=self.root / "differences.csv",
            out=self.root / "label_errors.csv",
        )

    def _write_grades(self):
        """The readings from which the columns `reader_grades` come."""
        path = self.root.parent / f"{self.root.name} grades.csv"
        path.parent.mkdir(exist_ok=True)
        write_grades(
            path,
            [
                Reading(row["case_id"], row["side"], *PAIRS[int(grade) - 1], reader)
                for rows in self.table.values()
                for row in rows
                for reader, grade in zip(("Ann", "Bob"), str(row["reader_grades"]).split(), strict=False)
            ],
        )
        return path

    def _simulate(self):
        random = np.random.default_rng([9])
        read = np.broadcast_to(np.arange(10, 60, 10), (3, 4, 5))
        error = random.integers(0, 3, (3, 4, 5, 12))
        curves = Curves(FROZEN, ("random", "entropy", "hybrid"), read, error, np.arange(12) // 2)
        counts = {"n_test_hips": 12, "n_test_patients": 6, "n_hips": 50, "n_seeds": 4}
        rows = [row | counts for row in describe(curves)]
        answer = {"quantity": ANSWER, "learner": FROZEN, "note": state_answer(rows, "the external cohort")}
        write_csv(self.root / "simulation.csv", SIMULATION_COLUMNS, [*rows, answer])

    @property
    def hips(self):
        return [self.root / "hips" / f"{cohort}.csv" for cohort in self.sizes]

    @property
    def stacks(self):
        return [path.with_suffix(".npz") for path in self.hips]

    @property
    def uncertainty(self):
        return [self.root / "uncertainty" / f"{experiment}.csv" for experiment in EXPERIMENTS]

    @property
    def models(self):
        return sorted((self.root / "models").glob("*/*.json"))

    def _write_augmentation(self):
        path = self.root / "augmentation.npz"
        if path.is_file():
            return path
        grades = np.array([3, 1, 7])
        images = np.stack([self._radiograph()[::2, ::2].astype(np.uint8) for _ in grades])
        names = np.array(["a_L", "b_R", "c_L"])
        np.savez(
            path, hip_id=names, grade=grades, original=images, changed=np.stack([images // 2] * 5, axis=1)
        )
        return path

    def draw(self, out=None):
        folder = out or self.root / "figures"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(style, "DPI", 72)
            figures.run(
                hips=self.hips,
                stacks=self.stacks,
                uncertainty=self.uncertainty,
                tables=[self.root / name for name in TABLES_DRAWN],
                models=self.models,
                augmentation=self._write_augmentation(),
                out=folder,
            )
        return folder

    def report(self, out="report.html", manifest="manifest.json", weights=None, ceilings=(), **settings):
        report.run(
            ReportSettings(**settings),
            study="fabricated",
            figures=self.root / "figures",
            hips=self.hips,
            stacks=self.stacks,
            tables=[self.root / name for name in TABLES],
            uncertainty=self.uncertainty,
            models=self.models,
            weights=sorted((self.root / "weights").glob("*.json")) if weights is None else weights,
            explanations=sorted((self.root / "explanations").glob("*.npz")),
            ceilings=list(ceilings),
            truth=[],
            config=self.root / "config.json",
            out=self.root / out,
            manifest=self.root / manifest,
        )
        # As a reader sees it: without what explains abbreviations.
        return re.sub("</?abbr[^>]*>", "", (self.root / out).read_text(encoding="utf-8"))


def fabricate(root, scanner="Scanner A", sizes=SIZES):
    """A study with one of everything that can happen to a hip."""
    study = Study(root, scanner, sizes)
    refusal = "slices are 0.6-5.0 mm apart: slices are missing"
    study.change("l003_L", status="refused", reason=refusal, grade="")
    study.change("l003_R", status="refused", reason=refusal, grade="")
    study.change("l004_R", status="excluded", reason="excluded by cases.csv", grade="")
    study.change("l005_L", crowe=3, kl=2, grade="", off_table="yes")
    study.change("l006_L", crowe="", kl=2, grade="")
    study.change("l007_L", crowe="", kl="", grade="", n_readings=0)
    study.change("p001_L", status="excluded", reason="implant (fixation)", implant="fixation")
    study.change("l008_L", status="excluded", reason="implant (replacement)", implant="replacement")
    study.change("p002_R", warnings="the hip lies near the edge of the CT")
    study.change("p004_L", cut="below", warnings="the CT ends within the field of view (below)")
    study.change("p005_R", confidence=0.512, warnings="the locator is not sure of this hip")
    study.change("p003_L", status="refused", reason="no hip was found")
    study.write()
    return study


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory):
    """Made once; copy it (`study`) to change it."""
    made = fabricate(tmp_path_factory.mktemp("made") / "fabricated")
    made.draw()
    return made


@pytest.fixture
def study(fabricated, tmp_path):
    """A copy of the fabricated study that a test may change."""
    shutil.copytree(fabricated.root, tmp_path / "fabricated")
    copy = object.__new__(Study)
    copy.__dict__.update(fabricated.__dict__)
    copy.root = Path(tmp_path / "fabricated")
    return copy
