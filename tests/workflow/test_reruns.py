"""Which stages run again after which change."""

import shutil
import sys
import venv
from collections import Counter
from pathlib import Path

import pytest

from hipoa.core.files import read_csv
from hipoa.core.tables.rows import shard_of

EVALUATED = (
    *("metrics", "compare", "calibrate", "detect", "conform", "explain"),
    *("triage", "label_errors", "rounds", "agreement", "figures", "report"),
)
"""What every new prediction makes anew."""

ALL_PREDICTED = 2 * 2 * 3 - 2  # experiments x folds x cohorts; one experiment predicts the pool


# The longest one, first: meanwhile another process builds the study that the others need.
def test_the_built_in_cohort(unrun):
    """Its own code, model or settings make it anew, with all below and nothing else."""
    unrun.configure(
        data={"builtin_cohort": True, "shards": 1},
        phantom={
            "labelled": 2,
            "external": 0,
            "pool": 1,
            "spacing_mm": [5.0, 5.0, 5.0],
            "with_landmarks": True,
        },
    )
    unrun.snakemake(
        *(f"results/small/hips/{cohort}.csv" for cohort in ("labelled", "pool")),
        "results/small/weights/tf_efficientnet_lite0.safetensors",
    )
    made = unrun.planned()
    below = {"phantom": 2, "project": 2, "develop": 2, "hips": 2}
    assert not made.keys() & {*below, "weights"}
    assert made["train"] == 4
    unrun.configure(report={"title": "Another"}, train__epochs=2)
    assert unrun.planned() == made
    unrun.edit("hipoa/phantom/anatomy/bones.py", "N_MODES = 8", "N_MODES = 7")
    assert unrun.planned() == made | below
    unrun.edit("hipoa/phantom/anatomy/bones.py", "N_MODES = 7", "N_MODES = 8")
    unrun.configure(phantom__seed=2)
    assert unrun.planned() == made | below
    unrun.configure(phantom__seed=1)
    assert unrun.planned() == made
    unrun.edit("hipoa/imaging/projection/render.py", "annotations\n", "annotations\n\n_NEW = 1\n")
    assert unrun.planned() == made | {"project": 2, "develop": 2, "hips": 2}


def test_nothing_changed(study):
    assert study.planned() == {}


def test_changes_that_go_unseen_are_said(study):
    """Also where nothing is to be done; once, and not as a matter of course."""
    study.configure(train__epochs=2)
    done = study.snakemake("--rerun-triggers", "mtime")
    assert "Nothing to be done" in done.stdout + done.stderr
    assert done.stderr.count("a run does not see changed settings, grades, CTs and code") == 1
    assert "--rerun-triggers" not in study.snakemake("--dry-run").stderr


def test_names_that_look_alike_are_said_once_at_the_start(study):
    """By the run, and by none of its jobs."""
    table = study.folder / "my data/cases.csv"
    first = table.read_text(encoding="utf-8").splitlines()[1].split(",")
    with table.open("a") as file:
        file.write(",".join(["again", first[1].upper(), "again.nii.gz", *first[3:]]) + "\n")
    shutil.copy2(table.parent / first[2], table.parent / "again.nii.gz")
    target = f"results/small/projections/pool/{shard_of('again', 2)}.csv"
    done = study.snakemake("--forcerun", "project", "--until", "project", target)
    assert done.stderr.count("cases.csv: warning: rows 2 and ") == 1
    assert done.stdout.count("cases.csv: warning") == 0


def test_a_row_that_names_another_file_of_equal_name_size_and_time(study):
    data = study.folder / "my data"
    pool = read_csv(data / "pool.cases.csv")[0]
    for folder in ("one", "two"):
        (data / folder).mkdir()
        shutil.copy2(data / pool["ct"], data / folder / "ct.nii.gz")
    study.edit("my data/cases.csv", pool["ct"], "one/ct.nii.gz")
    target = f"results/small/projections/pool/{shard_of(pool['case_id'], 2)}.csv"
    study.snakemake(target)
    assert "project" not in study.planned(target)
    study.edit("my data/cases.csv", "one/ct.nii.gz", "two/ct.nii.gz")
    assert study.planned(target) == {"project": 1}


def test_more_patience_in_reading(study):
    study.configure(data__read_timeout_s=1800)
    assert study.planned() == {"report": 1}  # it lists all settings


def test_views_for_a_reader_train_nothing_again(study):
    study.configure(reading=True)
    planned = study.planned()
    assert planned.keys() == {"view", "report"}
    assert planned["view"] > 3


def test_a_reading_that_is_not_yet_a_grade(study):
    """Readers are compared anew, and nothing is trained."""
    log = study.folder / "history/small/readings.jsonl"
    log.write_text("{}\n")
    assert study.planned() == {"agreement": 1, "report": 1}


def test_the_report_title(study):
    study.configure(report__title="Another title")
    assert study.planned() == {"report": 1}


def test_another_batch_or_simulation_makes_no_prediction(study):
    study.configure(triage__budget=7)
    assert study.planned() == {"triage": 1, "rounds": 1, "report": 1}
    study.configure(triage__budget=50, simulate__simulate_seeds=3, label_errors__rank_by="self_confidence")
    assert study.planned() == {"simulate": 1, "label_errors": 1, "figures": 1, "report": 1}


def test_a_new_report_option_in_the_code(study):
    study.edit(
        "hipoa/report/settings.py",
        """    sheets_mb: float""",
        """    new_option: int = Field(3, ge=1, description="something new, a count")
    sheets_mb: float""",
    )
    assert study.planned() == {"report": 1}


def test_a_template_of_the_report(study):
    study.edit("hipoa/report/sections/triage.html", "There is no unread hip", "No unread hip is there")
    assert study.planned() == {"report": 1}


def test_the_number_of_passes(study):
    study.configure(predict__passes=4)
    assert study.planned() == {
        "predict": ALL_PREDICTED,
        "uncertainty": 2,
        **dict.fromkeys((*EVALUATED, "embed"), 1),
        "explain": 2,
    }


@pytest.mark.parametrize(
    ("room", "before", "stage", "untouched"),
    [
        ("imaging", "    renderer:", "project", {"phantom", "weights"}),
        ("imaging", "    crop_mm:", "develop", {"project", "weights"}),
        ("grading", "    max_refused_share:", "hips", {"project", "develop", "weights"}),
        ("grading", "    folds: int", "folds", {"project", "develop", "hips", "weights"}),
        ("grading", "    epochs: int", "train", {"project", "develop", "hips", "folds", "weights"}),
        ("grading", "    passes: int", "predict", {"project", "develop", "hips", "folds", "train"}),
        ("evaluation", "    age_bounds_years:", "metrics", {"hips", "train", "predict", "uncertainty"}),
        ("triage", "    set_aside_poor: bool", "triage", {"uncertainty", "metrics", "compare", "embed"}),
        ("phantom", "    seed: int", None, {"project", "develop", "hips", "train"}),
    ],
)
def test_a_new_setting_of_a_room_runs_that_room_again(study, room, before, stage, untouched):
    new = '    new_option: int = Field(3, description="something new, a count")\n'
    study.edit(f"hipoa/{room}/settings.py", before, new + before)
    planned = study.planned()
    assert stage is None or planned[stage] >= 1
    assert "report" in planned or stage is None
    assert not planned.keys() & untouched


def test_a_function_of_the_imaging_room(study):
    study.edit("hipoa/imaging/projection/attenuation.py", "/ 10", "/ 10.5")
    planned = study.planned()
    assert planned["project"] == planned["develop"] > 3
    assert planned["train"] == 4
    assert planned["report"] == 1
    assert "weights" not in planned


def test_a_docstring_and_a_comment(study):
    study.edit("hipoa/imaging/projection/attenuation.py", '"""', '"""Said otherwise. ')
    study.edit("hipoa/grading/training/train.py", "\n\n\n", "\n\n\n# A comment.\n")
    assert study.planned() == {}


def test_the_wording_of_an_error(study):
    study.edit("hipoa/core/errors.py", "{where}: {found}. {do}", "{where}! {found}. {do}")
    assert study.planned() == {}


def test_one_more_ct_in_the_pool(study):
    data = study.folder / "my data"
    first = (data / "pool.cases.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    shutil.copy(data / first[2], data / "ct/new.nii.gz")
    with (data / "cases.csv").open("a") as table:
        table.write("new,new,ct/new.nii.gz" + "," * 7 + "\n")
    assert study.planned() == {
        "project": 1,
        "develop": 1,
        "hips": 1,
        "predict": 2,
        "uncertainty": 1,
        **dict.fromkeys(EVALUATED, 1),
    }
    assert all("/pool/" in path for path in study.planned_outputs("project"))
    assert all(path.endswith("/pool.npz") for path in study.planned_outputs("predict"))


def test_a_replaced_ct(study):
    data = study.folder / "my data"
    first = (data / "pool.cases.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    (data / first[2]).touch()
    planned = study.planned()
    assert (planned["project"], planned["develop"], planned["hips"]) == (1, 1, 1)
    assert "train" not in planned


def test_a_changed_grade(study):
    grades = study.folder / "my data/grades.csv"
    lines = grades.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    cells[3] = "2" if cells[3] != "2" else "3"
    grades.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    planned = study.planned()
    assert not planned.keys() & {"project", "develop", "weights"}
    assert (planned["hips"], planned["folds"], planned["train"]) == (1, 1, 4)
    assert study.planned_outputs("hips") == ["results/small/hips/labelled.csv"]


def test_a_newly_graded_hip_of_the_pool(study):
    """Its case changes the cohort: two shards again, from what was kept of each CT, then folds and below."""
    data = study.folder / "my data"
    pool = [row["case_id"] for row in read_csv(study.folder / "results/small/hips/pool.csv")]
    crowded = Counter(shard_of(case, 2) for case in pool).most_common(1)[0][0]
    case = next(case for case in pool if shard_of(case, 2) == crowded and case != "real")
    with (data / "grades.csv").open("a") as table:
        table.write(f"{case},R,1,1" + "," * 2 + "\n")
    planned = study.planned()
    assert (planned["project"], planned["develop"], planned["hips"]) == (2, 2, 2)
    assert (planned["folds"], planned["train"]) == (1, 4)
    shards = study.planned_outputs("project")
    assert sorted(path.split("/")[3] for path in shards) == ["labelled", "pool"]
    # Who reads a CT fails.
    hook = "import hipoa.imaging.localization.scan\n    hipoa.imaging.localization.scan.locate_hips = None\n"
    (study.folder / "sitecustomize.py").write_text(f"import sys\nif 'project' in sys.orig_argv:\n    {hook}")
    study.snakemake(*shards)
    for shard in shards:
        refused = [row for row in read_csv(study.folder / shard) if row["status"] == "refused"]
        assert refused == []


def test_a_fourth_experiment(study):
    study.configure(experiments__fourth={"network": "test_vit.r160_in1k", "weights": "none", "input_px": 48})
    assert study.planned() == {
        "train": 2,
        "predict": 4,
        "uncertainty": 1,
        **dict.fromkeys((*EVALUATED, "embed"), 1),
    }


def test_one_more_repeat(study):
    study.configure(repeats=2)
    assert study.planned() == {
        "folds": 1,
        "train": 4,
        "predict": 8,
        "uncertainty": 2,
        **dict.fromkeys((*EVALUATED, "embed"), 1),
        "explain": 2,
    }
    assert all("/r1f" in path for path in study.planned_outputs("train"))


@pytest.mark.parametrize(
    ("room", "first"),
    [("imaging", {"project": 4, "develop": 4}), ("grading", {"hips": 3}), ("evaluation", {"uncertainty": 2})],
)
def test_an_environment(study, room, first):
    """All rules that use it, and what lies below; with environments of Snakemake's own alone."""
    path = study.folder / f"envs/{room}.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "# a comment\n")
    planned = study.planned()
    assert planned == {} or planned.items() >= first.items()
    above = {"imaging": {"weights"}, "grading": {"project", "develop"}, "evaluation": {"train", "predict"}}
    assert not planned.keys() & above[room]


def test_another_machine(study):
    """More or fewer cores, threads, memory and time, a profile: nothing is made again."""
    profile = "workflow/profiles/slurm"
    assert study.planned("--cores", "1", "--set-threads", "project=1", "--workflow-profile", profile) == {}


def test_a_moved_folder(study, tmp_path):
    study.folder = study.folder.rename(tmp_path / "moved to a place with spaces")
    assert study.planned() == {}


def test_a_checkout_and_a_copy_elsewhere(study, tmp_path):
    """A fresh checkout has new times on every file of the workflow; a copy of all keeps them (cp -a)."""
    for name in ("Snakefile", "config.yaml"):
        (study.folder / name).touch()
    code = [path for name in ("workflow", "envs", "hipoa") for path in (study.folder / name).rglob("*")]
    for path in [*filter(Path.is_file, code), *(study.folder / "my data").glob("*.csv")]:
        path.touch()
    copy = tmp_path / "elsewhere"
    shutil.copytree(study.folder, copy, copy_function=shutil.copy2)
    study.folder = copy
    assert study.planned() == {}


def test_another_python_for_the_head(study, tmp_path):
    """Where and of which version the interpreter is that runs Snakemake is in no parameter."""
    venv.create(tmp_path / "venv", symlinks=True)
    site = next(tmp_path.glob("venv/lib/python3*/site-packages"))
    (site / "others.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
    study.python = tmp_path / "venv/bin/python"
    # Who reads a CT fails.
    hook = "import platform, sys\nplatform.python_version = lambda: '3.99.0'\n"
    (site / "sitecustomize.py").write_text(hook + "sys.version = '3.99.0' + sys.version[6:]\n")
    assert study.planned() == {}
