"""How long evaluation and report take for a study of the full size, from simulated predictions.

396 labelled hips of 198 patients, 104 external hips of 52 and a pool of 2500 CTs (5000 hips) are graded by
three simulated networks in 15 repeats of 4 folds (180 models) with 50 passes each; then every stage from
`uncertainty` to `report` runs as the workflow runs it, each in a process of its own. Predictions, radiographs
and so all figures are made up: only time, memory and size mean anything.

    python benchmarks/evaluation.py --json evaluation.json
    python benchmarks/evaluation.py --small               # seconds: whether all of it runs
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.special import softmax

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hipoa.core.constants import CLASS_TABLE
from hipoa.core.files import write_csv, write_json, write_npz
from hipoa.core.tables.rows import COHORTS
from hipoa.reading.agreement import COLUMNS as AGREEMENT
from hipoa.reading.rounds import COLUMNS as ROUNDS
from hipoa.report.cohort import Hip
from hipoa.triage.simulation.simulate import COLUMNS as SIMULATED
from hipoa.workflow.config import resolve
from hipoa.workflow.parameters import record
from hipoa.workflow.stages import TABLES, TABLES_DRAWN
from hipoa.workflow.study import Study

SHARES = np.array([0.08, 0.10, 0.14, 0.28, 0.16, 0.12, 0.12])
"""Of the seven classes: most hips of a surgical clinic are severe."""

PX, FEATURES = 150, 768
_EXTRA = (
    "sex",
    "age",
    "png",
    "n_readings",
    "reader_grades",
    *(f"centre_{axis}_mm" for axis in "ras"),
)


def simulate_hips(random: np.random.Generator, cohort: str, patients: int) -> list[dict[str, object]]:
    """Two hips for each patient, whose classes correlate; the pool is not graded."""
    rows = []
    for patient in range(patients):
        case = f"{cohort[0]}{patient:05}"
        severity = random.normal(0, 1)
        for side in "LR":
            row: dict[str, object] = dict.fromkeys((*Hip._fields, *_EXTRA), "")
            row |= {
                "hip_id": f"{case}_{side}",
                "case_id": case,
                "patient_id": case,
                "side": side,
                "cohort": cohort,
            }
            row |= {
                "scanner": "phantom S",
                "status": "ok",
                "method": "locator",
                "confidence": 0.9,
                "radius_mm": 24,
            }
            row |= {
                "mirrored": "yes" if side == "L" else "",
                "mm_per_px": 1.2667,
                "head_x_mm": 0,
                "head_y_mm": 0,
            }
            row |= {
                "spacing_r_mm": 0.8,
                "spacing_a_mm": 0.8,
                "spacing_s_mm": 1.0,
                "tilt_deg": 0.5,
                "turn_deg": 0.5,
            }
            row |= {"sex": "FM"[patient % 2], "age": 40 + patient % 45}
            latent = 0.6**0.5 * severity + 0.4**0.5 * random.normal(0, 1)
            row["grade"] = 1 + int(np.searchsorted(np.cumsum(SHARES)[:-1], _to_share(latent)))
            rows.append(row)
    return rows


def _to_share(latent: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(latent))


def write_cohort(
    folder: Path, random: np.random.Generator, cohort: str, rows: list[dict[str, object]]
) -> np.ndarray:
    """The table and the stack of a cohort; returns the true classes (n,)."""
    grades = np.array([row["grade"] for row in rows], dtype=np.int64)
    for row, grade in zip(rows, grades.tolist(), strict=True):
        if cohort == "pool":
            row["grade"] = ""
        else:
            row["crowe"], row["kl"] = CLASS_TABLE[grade - 1]
            other = min(7, max(1, grade + int(random.choice([-1, 0, 0, 0, 1]))))
            row["reader_grades"], row["n_readings"] = f"{grade} {other}", 2
    write_csv(folder / "hips" / f"{cohort}.csv", list(rows[0]), rows)
    images = np.stack([_draw(random) for _ in rows])
    names = np.array([row["hip_id"] for row in rows])
    write_npz(folder / "hips" / f"{cohort}.npz", {"hip_id": names, "radiograph": images})
    return grades


def _draw(random: np.random.Generator) -> np.ndarray:
    """A disc on a bar with noise: as hard to compress as a radiograph."""
    y, x = np.mgrid[:PX, :PX]
    cx, cy = random.uniform(65, 85, 2)
    bone = 110.0 * ((np.hypot(x - cx, y - cy) < 25) | ((np.abs(x - cx) < 12) & (y > cy)))
    return np.clip(70 + bone + random.normal(0, 6, (PX, PX)), 0, 255).astype(np.uint8)


def simulate_passes(random: np.random.Generator, grades: np.ndarray, passes: int) -> dict[str, np.ndarray]:
    """Probabilities (n, passes, 7) near the true class, and features (n, D) that follow it."""
    n = len(grades)
    centre = grades - 1 + random.normal(0, 0.8, n)
    spread = random.uniform(0.8, 2.5, n)
    logits = -spread[:, None] * np.abs(np.arange(7) - centre[:, None])
    drawn = logits[:, None].astype(np.float32) + random.normal(0, 0.5, (n, passes, 7)).astype(np.float32)
    probability = softmax(drawn, axis=2).astype(np.float32)
    features = random.normal(0, 1, (n, FEATURES)).astype(np.float32)
    features[:, :20] += grades[:, None]
    return {
        "probability_grade": probability,
        "deterministic_grade": probability.mean(axis=1),
        "features": features,
    }


def write_predictions(
    study: Study,
    folder: Path,
    random: np.random.Generator,
    tables: dict[str, list],
    truth: dict[str, np.ndarray],
) -> None:
    """The predictions of every model, for the hips that it may see, and the models' records."""
    config = study.config
    for experiment, row in config["experiments"].items():
        for path in study.paths("predict", experiment=experiment):
            file = folder / Path(path).relative_to(study.results)
            cohort, model = file.stem, file.parent.name
            repeat, fold = (int(part) for part in model[1:].split("f"))
            keep = _seen(len(tables[cohort]), repeat, fold, config["folds"]["folds"], cohort)
            names = np.array([hip["hip_id"] for hip in tables[cohort]])[keep]
            write_npz(
                file,
                {
                    "hip_id": names,
                    **simulate_passes(random, truth[cohort][keep], config["predict"]["passes"]),
                },
            )
            _write_record(folder, experiment, row, repeat, fold)


def _seen(n: int, repeat: int, fold: int, folds: int, cohort: str) -> np.ndarray:
    if cohort != "labelled":
        return np.ones(n, dtype=bool)
    patients = np.random.default_rng([repeat]).permutation((n + 1) // 2) % folds
    return np.repeat(patients, 2)[:n] == fold


def _write_record(folder: Path, experiment: str, row: dict, repeat: int, fold: int) -> None:
    record = {
        "experiment": experiment,
        "network": row["network"],
        "task": "combined",
        "loss": "classification",
    }
    record |= {
        "repeat": repeat,
        "fold": fold,
        "n_train": 297,
        "file": f"r{repeat}f{fold}.safetensors",
    }
    history = [{"epoch": epoch, "learning_rate": 1e-4, "loss": 2 * 0.98**epoch} for epoch in range(1, 201)]
    write_json(
        folder / "models" / experiment / f"r{repeat}f{fold}.json",
        {**record, "sha256": "0" * 64, "history": history},
    )


def list_commands(study: Study, folder: Path) -> list[tuple[str, list[str]]]:
    """Every stage from `uncertainty` to `report`, as the workflow calls it."""
    names = list(study.config["experiments"])
    hips = ["--hips", *(f"hips/{cohort}.csv" for cohort in COHORTS)]
    stacks = ["--stacks", *(f"hips/{cohort}.npz" for cohort in COHORTS)]
    uncertainty = ["--uncertainty", *(f"uncertainty/{name}.csv" for name in names)]
    records = sorted((folder / "models").glob("*/*.json"))
    models = ["--models", *(str(path.relative_to(folder)) for path in records)]

    def files(**wanted: str) -> list[str]:
        paths = study.paths("predict", **wanted)
        return ["--predictions", *(str(Path(path).relative_to(study.results)) for path in paths)]

    def seen(experiment: str) -> list[str]:
        return ["--hips", *(f"hips/{cohort}.csv" for cohort in study.predicted_cohorts(experiment))]

    def evaluate(stage: str, **outputs: str) -> tuple[str, list[str]]:
        written = [part for name, path in outputs.items() for part in (f"--{name}", path)]
        return stage, [*uncertainty, *written]

    metrics = evaluate("metrics", out="metrics.csv", confusion="confusion.csv", subgroups="subgroups.csv")
    class_table = ["--class-table", json.dumps(CLASS_TABLE)]
    metrics[1].extend([*hips, "--truth", *class_table])
    calibrate = evaluate(
        "calibrate", out="calibration.csv", reliability="reliability.csv", decision="decision.csv"
    )
    calibrate[1].extend(class_table)
    compared = ["--predictions", *(str(Path(p).relative_to(study.results)) for p in study.feature_files())]
    mapped = [path for name in names for path in files(experiment=name, cohort="labelled")[1:]]
    shown = [*hips, *stacks, *uncertainty, *models]
    none = ["--weights", "--explanations", "--ceilings", "--truth"]
    written = ["--out", "report.html", "--manifest", "manifest.json"]
    given = ["--study", "full", "--config", "config.json", "--figures", "figures"]
    return [
        *(
            (
                "uncertainty",
                [
                    "--experiment",
                    name,
                    *files(experiment=name),
                    *seen(name),
                    "--out",
                    f"uncertainty/{name}.csv",
                ],
            )
            for name in names
        ),
        metrics,
        evaluate("compare", out="compare.csv", differences="differences.csv"),
        calibrate,
        evaluate("detect", out="detection.csv", curves="risk_coverage.csv"),
        evaluate("conform", out="conformal.csv"),
        ("embed", ["--predictions", *mapped, *hips[:2], "--out", "embedding.csv"]),
        ("triage", [*uncertainty, *compared, *hips, "--out", "triage.csv"]),
        ("label_errors", [*uncertainty, *hips[:2], "--out", "label_errors.csv"]),
        (
            "figures",
            [*shown, "--tables", *TABLES_DRAWN, "--augmentation", "augmentation.npz", "--out", "figures"],
        ),
        ("report", [*shown, "--tables", *TABLES, *given, *none, *written]),
    ]


def run_stage(folder: Path, stage: str, flags: list[str]) -> dict[str, float | str]:
    """Runs one stage in a process of its own: seconds and the largest memory of it."""
    code = (
        "import sys, resource; from hipoa.cli import main; status = main(sys.argv[1:]); "
        "peak = next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1]; "
        "print('peak', peak); sys.exit(status)"
    )
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, stage, *flags], cwd=folder, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{stage}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_kb = int(done.stdout.rsplit("peak ", 1)[1])
    return {"stage": stage, "wall_s": time.perf_counter() - start, "cpu_s": cpu, "peak_mb": peak_kb / 1024}


def main() -> None:
    """Simulates a study, runs its stages and prints what each took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a study of seconds")
    parser.add_argument("--folder", type=Path, help="keep the results there")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    patients = (
        {"labelled": 30, "external": 10, "pool": 20}
        if given.small
        else {"labelled": 198, "external": 52, "pool": 2500}
    )
    own = {"repeats": 2, "predict": {"passes": 5}} if given.small else {}
    config = resolve({"study": "full", "preset": "published", "data": {"builtin_cohort": True}, **own})
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        rows = measure(Study(config), folder, patients)
    if given.json:
        write_json(given.json, rows)


def measure(study: Study, folder: Path, patients: dict[str, int]) -> list[dict[str, float | str]]:
    """Simulates and runs everything in a folder."""
    random = np.random.default_rng([1])
    tables = {cohort: simulate_hips(random, cohort, count) for cohort, count in patients.items()}
    truth = {cohort: write_cohort(folder, random, cohort, rows) for cohort, rows in tables.items()}
    write_predictions(study, folder, random, tables, truth)
    image = np.stack([_draw(random) for _ in range(7)])
    write_npz(folder / "augmentation.npz", {
        "hip_id": np.array([f"l0000{k}_L" for k in range(7)]), "grade": np.arange(1, 8), "original": image,
        "changed": np.stack([image] * 5, axis=1),
    })  # fmt: skip
    # Of other rooms: hours of training, the rounds before, and single readings.
    write_csv(folder / "simulation.csv", SIMULATED, [])
    write_csv(folder / "rounds.csv", ROUNDS, [])
    write_csv(folder / "agreement.csv", AGREEMENT, [])
    write_json(folder / "config.json", json.loads(record(study)))
    rows = []
    for stage, flags in list_commands(study, folder):
        rows.append(run_stage(folder, stage, flags))
        print(
            "{stage:12} {wall_s:7.1f} s {cpu_s:7.1f} CPU s {peak_mb:7.0f} MB".format(**rows[-1]), flush=True
        )
    size = (folder / "report.html").stat().st_size / 1e6
    print(f"all: {sum(float(row['wall_s']) for row in rows):.0f} s, report.html {size:.1f} MB")
    return [*rows, {"stage": "report.html", "size_mb": size}]


if __name__ == "__main__":
    main()
