"""Which stages run again after which change."""

import shutil

EVALUATED = ("metrics", "compare", "calibrate", "detect", "conform", "triage", "rounds", "figures", "report")
"""What every new prediction makes anew."""

ALL_PREDICTED = 2 * 2 * 3 - 2  # experiments x folds x cohorts; one experiment predicts the pool


def test_nothing_changed(study):
    assert study.planned() == {}


def test_more_patience_in_reading(study):
    study.configure(data__read_timeout_s=1800)
    assert study.planned() == {"report": 1}  # it lists all settings


def test_views_for_a_reader_train_nothing_again(study):
    study.configure(reading=True)
    planned = study.planned()
    assert planned.keys() == {"view", "report"}
    assert planned["view"] > 3


def test_the_report_title(study):
    study.configure(report__title="Another title")
    assert study.planned() == {"report": 1}


def test_a_new_report_option_in_the_code(study):
    study.edit(
        "hipoa/report/settings.py",
        """    reason_rows: int""",
        """    new_option: int = Field(3, ge=1, description="something new, a count")
    reason_rows: int""",
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
    }


def test_a_new_setting_of_the_passes_retrains_nothing(study):
    study.edit(
        "hipoa/grading/settings.py",
        "    passes: int",
        '    new_option: int = Field(3, description="something new, a count")\n    passes: int',
    )
    planned = study.planned()
    assert planned["predict"] == ALL_PREDICTED
    assert not planned.keys() & {"project", "develop", "hips", "folds", "train", "weights"}


def test_a_function_of_the_imaging_room(study):
    study.edit("hipoa/imaging/attenuation.py", "/ 10", "/ 10.5")
    planned = study.planned()
    assert planned["project"] == planned["develop"] > 3
    assert planned["train"] == 4
    assert planned["report"] == 1
    assert "weights" not in planned


def test_a_docstring_and_a_comment(study):
    study.edit("hipoa/imaging/attenuation.py", '"""', '"""Said otherwise. ')
    study.edit("hipoa/grading/train.py", "\n\n\n", "\n\n\n# A comment.\n")
    assert study.planned() == {}


def test_the_wording_of_an_error(study):
    study.edit("hipoa/errors.py", "{where}: {found}. {do}", "{where}! {found}. {do}")
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
    planned = study.planned()
    assert (planned["folds"], planned["train"], planned["predict"]) == (1, 4, 8)
    assert all("/r1f" in path for path in study.planned_outputs("train"))
    assert not planned.keys() & {"project", "develop", "hips", "weights"}


def test_an_environment(study):
    path = study.folder / "envs/evaluation.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "# a comment\n")
    assert study.planned().keys() <= {*("uncertainty", *EVALUATED, "embed")}


def test_more_cores_and_a_moved_folder(study, tmp_path):
    moved = study.folder.rename(tmp_path / "moved to a place with spaces")
    study.folder = moved
    assert study.planned("--cores", "1") == {}


def test_the_built_in_cohort(unrun):
    """Its own code, model or settings make it anew, with all below and nothing else."""
    unrun.configure(
        data={"builtin_cohort": True, "shards": 1},
        phantom={
            "labelled": 1,
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
    unrun.edit("hipoa/phantom/bones.py", "N_MODES = 8", "N_MODES = 7")
    assert unrun.planned() == made | below
    unrun.edit("hipoa/phantom/bones.py", "N_MODES = 7", "N_MODES = 8")
    unrun.configure(phantom__noise_hu=12)
    assert unrun.planned() == made | below
    unrun.configure(phantom__noise_hu=9)
    assert unrun.planned() == made
    unrun.edit("hipoa/imaging/render.py", "def ", "_NEW = 1\n\n\ndef ")
    assert unrun.planned() == made | {"project": 2, "develop": 2, "hips": 2}
