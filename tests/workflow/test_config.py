"""The configuration: refused before any job, by dotted path; declared once."""

import logging
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from snakemake.resources import Resources

from hipoa.core.errors import CohortError, ConfigError, TableError
from hipoa.core.files import read_json, write_csv
from hipoa.workflow.config import OLD_NAMES, Config, resolve
from hipoa.workflow.launch import (
    find_machine,
    find_missing_conda,
    find_unseen,
    is_repetition,
    pattern,
    shell_prefix,
)
from hipoa.workflow.parameters import to_flags
from hipoa.workflow.schema import preset, schema
from hipoa.workflow.study import Study

ROOT = Path(__file__).parents[2]


def test_schema_and_preset_are_those_of_the_settings():
    again = "make schema writes them anew"
    assert read_json(ROOT / "workflow/schemas/config.schema.json") == schema(), again
    assert (ROOT / "workflow/presets/published.yaml").read_text(encoding="utf-8") == preset(), again


@pytest.mark.parametrize("name", ["demo", "micro", "published"])
def test_a_preset_fills_everything_left_out(name):
    config = resolve({"study": "a", "preset": name, "data": {"builtin_cohort": True}})
    config.pop("not_for_results")
    assert Config.model_validate(config).model_dump(mode="json") == config
    assert Study(config).jobs["train"]


def test_every_preset_but_the_published_one_says_why_it_is_not_for_results():
    said = {
        path.stem: resolve({"preset": path.stem})["not_for_results"]
        for path in (ROOT / "workflow/presets").glob("*.yaml")
    }
    assert said.pop("published") == ""
    assert {"demo", "micro"} <= said.keys()
    for name, sentence in said.items():
        assert sentence.startswith(
            f"The preset {name} is not for results: unless config.yaml says otherwise, "
        )
    assert "a single epoch" in said["micro"]


def test_a_preset_of_ones_own_says_so_by_its_file_and_not_by_its_name(tmp_path):
    folder = tmp_path / "workflow/presets"
    folder.mkdir(parents=True)
    (folder / "demo.yaml").write_text("repeats: 3\n")
    (folder / "own.yaml").write_text("not_for_results: the folds are few\nfolds: {folds: 2}\n")
    assert resolve({"preset": "demo"}, tmp_path)["not_for_results"] == ""
    assert "the folds are few" in resolve({"preset": "own"}, tmp_path)["not_for_results"]


def test_no_user_can_turn_off_that_a_preset_is_not_for_results():
    with pytest.raises(ConfigError, match="not_for_results: there is no such setting"):
        resolve({"preset": "demo", "not_for_results": ""})


def test_the_published_preset_is_the_protocol_of_the_source():
    config = resolve({"preset": "published"})
    assert [row["network"] for row in config["experiments"].values()] == [
        *("vit_base_patch16_224.augreg_in1k", "vgg16.tv_in1k", "densenet161.tv_in1k")
    ]
    assert {row["input_px"] for row in config["experiments"].values()} == {224}
    assert (config["repeats"], config["folds"]["folds"]) == (15, 4)
    assert (config["train"]["epochs"], config["predict"]["passes"]) == (200, 50)


def test_as_delivered_it_runs_the_demo():
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert config["preset"] == "demo"
    assert Study(resolve(config)).used_cohorts == ["labelled", "external", "pool"]


def test_the_ceiling_of_each_synthetic_cohort_that_is_read_is_told_once():
    folder = "results/a/phantom"
    found = Study(resolve({"study": "a", "preset": "demo", "data": {"builtin_cohort": True}})).ceilings
    assert found == [f"{folder}/{cohort}/phantom0.ceiling.json" for cohort in ("labelled", "external")]


def test_the_study_is_one_setting():
    given = {"preset": "demo", "data": {"builtin_cohort": True, "shards": 300}}
    shards = {
        name: Study(resolve(given | {"phantom": phantom})).shards
        for name, phantom in {
            "demo": {},
            "study": {"population": "study"},
            "mixed": {"population": "study", "pool": 0},
        }.items()
    }
    assert len(shards["demo"]["labelled"]) < 27 < 90 < len(shards["study"]["labelled"])
    assert shards["mixed"] == shards["study"] | {"pool": {}}


def test_the_user_has_the_last_word():
    config = resolve({"preset": "demo", "train": {"epochs": 3}, "experiments": {"vit": None}})
    assert config["train"]["epochs"] == 3
    assert config["train"]["batch_size"] == 16
    assert list(config["experiments"]) == ["efficientnet"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": {"epoch": 3}}, r"train\.epoch: there is no such setting \(did you mean train\.epochs\?\)"),
        ({"trian": {}}, r"trian: there is no such setting \(did you mean train\?\)"),
        ({"train": {"epochs": 0}}, r"train\.epochs: input should be greater than or equal to 1, not 0"),
        ({"train": {"epochs": "many"}}, r"train\.epochs: input should be a valid integer, .*, not 'many'"),
        ({"experiments": {"vit": {"netwrok": "x"}}}, r"experiments\.vit\.netwrok: there is no such setting"),
        ({"experiments": {"my vit": {}}}, r"experiments\.my vit: a name has at most 40 letters"),
        (
            {"phantom": {"population": "clinic"}},
            r"phantom\.population: input should be 'demo' or 'study', not 'clinic'",
        ),
        (
            {"project": {"renderer": "josephcpu"}},
            r"project\.renderer: .*, not 'josephcpu' \(did you mean joseph_cpu\?\)",
        ),
        ({"phantom": {"pool": 1000}}, r"phantom\.pool: input should be less than or equal to 999, not 1000"),
        ({"study": "../other"}, r"study: string should match pattern .*, not '\.\./other'"),
        ({"preset": "publisched"}, r'preset: "publisched" is no preset\. Use one of: demo, micro, published'),
    ],
)
def test_a_setting_that_cannot_be(given, message):
    with pytest.raises(ConfigError, match=message):
        resolve({"preset": "demo", **given})


def test_every_former_setting_is_answered_and_none_is_one_now():
    former = [path for path in OLD_NAMES if "=" not in path]
    given = {}
    for path in former:
        section, _, name = path.partition(".")
        given.setdefault(section, {}).update({name: 1} if name else {})
    with pytest.raises(ConfigError) as refused:
        resolve({"preset": "demo", **given})
    for path in former:
        assert f"{path}: {OLD_NAMES[path]}" in str(refused.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError, match=r"predict\.pases: .*train\.epoch"):
        resolve({"preset": "demo", "train": {"epoch": 3}, "predict": {"pases": 3}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"doubts": {}}, "doubts: is now called label_errors"),
        ({"project": {"renderer": "joseph"}}, "project.renderer: is now called joseph_cpu"),
        ({"experiments": {"vit": {"size": 3}}}, "experiments.vit.size: is input_px now"),
    ],
)
def test_a_former_name_is_answered_with_what_to_write_instead(monkeypatch, given, message):
    monkeypatch.setitem(OLD_NAMES, "experiments.*.size", "is input_px now")
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve({"preset": "demo", **given})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"builtin_cohort": False}}, "no table of cases and no built-in cohort"),
        ({"phantom": {"labelled": 0}, "data": {"builtin_cohort": True}}, "no case is graded"),
        ({"experiments": {"vit": None, "efficientnet": None}}, "experiments: there is none"),
        (
            {"experiments": {"other": {"network": "tf_efficientnet_lite0", "weights": "hub"}}},
            r'tf_efficientnet_lite0 has weights "package:.*" here and "hub" there',
        ),
    ],
)
def test_a_study_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        Study(resolve({"preset": "demo", "data": {"builtin_cohort": True}, **changes}))


class TestOwnTables:
    """What a study of own tables can be is told from the tables, before any CT is read."""

    def study(self, folder, grades, cases="", **changes):
        for name in ("ct.nii", *(f"c{n}.nii" for n in range(4))):
            (folder / name).touch()
        rows = [f"c{n},p{n},c{n}.nii,\n" for n in range(4)]
        (folder / "cases.csv").write_text("case_id,patient_id,ct,external\n" + "".join(rows) + cases)
        (folder / "grades.csv").write_text("case_id,side,crowe,kl\n" + grades)
        data = {"cases": str(folder / "cases.csv"), "grades": str(folder / "grades.csv")}
        return Study(resolve({"preset": "demo", "data": data, "folds": {"folds": 4}, **changes}))

    def test_one_that_can_be(self, tmp_path):
        study = self.study(tmp_path, "".join(f"c{n},L,1,2\n" for n in range(4)))
        assert study.warnings == []
        assert study.shards["labelled"]

    @pytest.mark.parametrize(
        ("grades", "message"),
        [
            ("", r"the table of grades has no row: there is nothing to learn from\. Fill it in\."),
            ("e,L,1,2\n", r"every graded case is external: .*\. Mark fewer patients as external, or grade"),
        ],
    )
    def test_a_table_of_grades_that_teaches_nothing(self, tmp_path, grades, message):
        with pytest.raises(ConfigError, match=rf"^data\.grades: {message}"):
            self.study(tmp_path, grades, "e,p9,ct.nii,yes\n")

    def test_new_grades_without_kept_folds_are_warned_of(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        grades = [f"c{n},L,1,2\n" for n in range(4)]
        assert not self.study(tmp_path, "".join(grades)).warnings
        split = Path("results/demo/folds/r0.csv")
        write_csv(split, ("patient_id", "fold"), [{"patient_id": f"p{n}", "fold": n} for n in range(3)])
        (warning,) = self.study(tmp_path, "".join(grades)).warnings
        assert warning.startswith("warning: 1 patients were graded since the last run, and all patients will")
        assert warning.endswith("run first: python -m hipoa keep-folds --study results/demo")
        assert not self.study(tmp_path, "".join(grades[:3]), folds={"folds": 2}).warnings
        kept = [{"patient_id": f"p{n}", "fold": n} for n in range(4)]
        write_csv(Path("history/demo/folds/r0.csv"), ("patient_id", "fold"), kept)
        assert not self.study(tmp_path, "".join(grades)).warnings

    def test_no_table_of_grades(self, tmp_path):
        self.study(tmp_path, "".join(f"c{n},L,1,2\n" for n in range(4)))
        data = {"cases": str(tmp_path / "cases.csv")}
        with pytest.raises(ConfigError, match=r"no case is graded: .*\. Name a table of grades\."):
            Study(resolve({"preset": "demo", "data": data}))

    def test_grades_of_one_index(self, tmp_path):
        grades = "".join(f"c{n},L,,2\n" for n in range(4))
        with pytest.raises(CohortError, match=r"^grades.csv: 0 patients .* Fill the column crowe too"):
            self.study(tmp_path, grades)
        with pytest.raises(CohortError, match=r"^grades.csv: 0 patients .* Fill the column crowe too"):
            self.study(tmp_path, grades, experiments={"vit": {"task": "separate"}})
        assert self.study(tmp_path, grades.replace(",L,,", ",L,1,"))

    def test_settings_count(self, tmp_path):
        grades = "".join(f"c{n},L,2,2\n" for n in range(4))
        with pytest.raises(CohortError, match=r"set hips\.off_table: nearest"):
            self.study(tmp_path, grades)
        assert self.study(tmp_path, grades, hips={"off_table": "nearest"})
        table = [[1, 1], [2, 1], [2, 2], [2, 3], [2, 4], [3, 4], [4, 4]]
        assert self.study(tmp_path, grades, hips={"class_table": table})

    def test_an_inner_split(self, tmp_path):
        grades = "".join(f"c{n},L,1,2\n" for n in range(4))
        with pytest.raises(CohortError, match=r"^train.inner_folds: 3 patients .* or set it to 3"):
            self.study(tmp_path, grades, train={"inner_folds": 4})
        assert self.study(tmp_path, grades, train={"inner_folds": 3})

    def test_a_kept_split_goes_on(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        grades = "".join(f"c{n},L,1,{n + 1}\n" for n in range(4))
        with pytest.raises(CohortError, match="no class has more than 1 hips"):
            self.study(tmp_path, grades)
        former = tmp_path / "history/demo/folds/r0.csv"
        write_csv(former, ("patient_id", "fold"), [{"patient_id": f"p{n}", "fold": n} for n in range(4)])
        assert self.study(tmp_path, grades).former_folds(0) == ["history/demo/folds/r0.csv"]
        other = tmp_path / "other/r0.csv"
        other.parent.mkdir()
        former.rename(other)
        data = {name: str(tmp_path / f"{name}.csv") for name in ("cases", "grades")}
        given = {"preset": "demo", "folds": {"folds": 4}, "data": data | {"folds": "other"}}
        assert Study(resolve(given)).former_folds(0) == ["other/r0.csv"]
        with pytest.raises(CohortError, match=r"^other/r0.csv: it is no table .* all of the folds 0 to 2"):
            Study(resolve(given | {"folds": {"folds": 3}}))
        for folder, message in (
            ("nowhere", "there is no r0.csv in it"),
            ("results/demo/folds", "cannot read the folds that it writes"),
        ):
            with pytest.raises(ConfigError, match=rf"^data.folds: .*{message}"):
                Study(resolve(given | {"data": data | {"folds": folder}}))

    def test_names_that_look_alike_are_warned_of(self, tmp_path):
        grades = "".join(f"c{n},L,1,2\n" for n in range(4))
        (warning,) = self.study(tmp_path, grades, cases="c4,P3,ct.nii,\n").warnings
        assert warning.startswith("cases.csv: warning: rows 5 and 6: patient ids")

    def test_all_faults_of_both_tables(self, tmp_path):
        with pytest.raises(
            TableError, match=r'^cases.csv: row 6: .*; grades.csv: row 2: .*; row 3: side "B"'
        ):
            self.study(tmp_path, "z,L,1,1\nc1,B,1,1\n", cases="c4,,ct.nii,\n")


@pytest.mark.parametrize(
    ("local", "cores", "nodes", "limit", "asked", "found"),
    [
        (True, 8, None, None, 0, (8, None)),  # whatever GPUs this machine has
        (True, 8, None, 1, 1, (8, 1)),
        (True, 8, None, None, 1, (8, 8)),
        (False, None, 100, None, 1, (100, 100)),
        (False, None, 100, 4, 1, (100, 4)),
        (False, None, 100, 4, 0, (100, 0)),
    ],
)
def test_the_machine_of_a_run(local, cores, nodes, limit, asked, found):
    known = {"_cores": cores, "_nodes": nodes} | ({} if limit is None else {"gpu": limit})
    resources = Resources()
    for name, value in known.items():
        resources[name] = value
    job = SimpleNamespace(resources={"gpu": asked} if asked else {})
    workflow = SimpleNamespace(local_exec=local, global_resources=resources)
    assert find_machine(workflow, [job]) == found


def test_only_the_command_of_a_failed_job_is_a_repetition():
    def record(message, exception):
        return logging.makeLogRecord({"msg": message, "exception": exception})

    command = "CalledProcessError in file 'stage.smk', line 17: Command 'python -m hipoa train' returned ..."
    assert is_repetition(record(f"RuleException:\n{command}", "RuleException"))
    assert not is_repetition(
        record("RuleException:\nWildcards in input files cannot be determined", "RuleException")
    )
    assert not is_repetition(record(command, "WorkflowError"))
    assert not is_repetition(logging.makeLogRecord({"msg": command}))


def test_conda_is_missed_only_where_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_missing_conda(None).startswith("--use-conda: there is no conda on the PATH. Install one")
    assert find_missing_conda(tmp_path) == ""  # named by --conda-base-path
    (tmp_path / "conda").touch(mode=0o755)
    assert find_missing_conda(None) == ""


@pytest.mark.parametrize(
    ("missing", "named"),
    [("PARAMS", "changed settings, grades, CTs and code"), ("INPUT", "cases that came or left")],
)
def test_triggers_that_leave_changes_unseen(missing, named):
    triggers = {"MTIME", "PARAMS", "INPUT", "SOFTWARE_ENV", "CODE"}
    assert find_unseen(triggers) == ""
    assert f"does not see {named}: " in find_unseen(triggers - {missing})


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]+_?[a-z]+", fullmatch=True), st.text() | st.integers() | st.booleans()
    )
)
def test_flags_survive_a_shell(section):
    assert shlex.split(to_flags(section)) == [
        f"--{name.replace('_', '-')}={value if isinstance(value, str) else str(value).lower()}"
        for name, value in section.items()
    ]


def test_the_package_is_found_in_a_folder_of_any_name(tmp_path):
    prefix = shell_prefix(tmp_path / "a {b} 'c'")
    assert "{{b}}" in prefix
    assert shlex.split(prefix.format())[-1] == f"PYTHONPATH={tmp_path}/a {{b}} 'c';"
    assert "PATH=/opt/bin:" in shell_prefix(tmp_path, Path("/opt/bin/python"))


def test_a_pattern_admits_its_names_alone():
    assert re.fullmatch(pattern(["a.b", "c"]), "a.b")
    assert not re.fullmatch(pattern(["a.b", "c"]), "axb")
    assert not re.fullmatch(pattern([]), "")


class TestSnakefile:
    def refused(self, unrun, *arguments):
        done = unrun.snakemake("--dry-run", *arguments, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    def test_a_misspelt_key_stops_before_any_job(self, unrun):
        unrun.configure(train={"epoch": 3})
        errors = self.refused(unrun)
        assert "train.epoch: there is no such setting (did you mean train.epochs?)" in errors
        assert len(errors.strip().splitlines()) == 1

    def test_tables_are_checked_before_any_job(self, unrun):
        assert "cases.csv: the file cannot be read" in self.refused(unrun)

    def test_too_few_patients_stop_before_any_job(self, unrun):
        unrun.configure(data={"builtin_cohort": True}, phantom={"labelled": 1})
        assert self.refused(unrun).startswith("folds: 1 patients with a graded, usable hip for 2 folds. ")

    def test_a_bare_snakemake_is_enough(self, unrun):
        """Nothing is imported but the standard library and what Snakemake itself brings along."""
        snakefile = (ROOT / "Snakefile").read_text("utf-8")
        imports = re.findall(r"^from hipoa.* import (?:\([^)]*\)|.*$)", snakefile, re.MULTILINE)
        blocked = ("numpy", "pandas", "torch", "nibabel", "scipy", "timm", "matplotlib")
        use = [
            'study = Study(resolve({"preset": "demo", "data": {"builtin_cohort": True}}))',
            "record(study), study.lasting_files(), study.truths, ask_memory(study), list(describe(Path()))",
        ]
        lines = ["import sys", *(f"sys.modules[{name!r}] = None" for name in blocked)]
        text = "\n".join([*lines, "from pathlib import Path", *imports, *use])
        subprocess.run([sys.executable, "-c", text], cwd=unrun.folder, check=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"efficientnet": 1, "vit": 0}),
        ({"triage": {"experiment": "vit"}}, {"efficientnet": 0, "vit": 1}),
        ({"pool": {"repeats": None}}, {"efficientnet": 2, "vit": 0}),
        ({"pool": {"experiments": "all", "repeats": 5}}, {"efficientnet": 2, "vit": 2}),
    ],
)
def test_the_pool_is_predicted_as_often_as_was_asked(given, expected):
    study = Study(resolve({"preset": "demo", "data": {"builtin_cohort": True}, **given}))
    for experiment, repeats in expected.items():
        files = study.paths("predict", experiment=experiment, cohort="pool")
        assert len(files) == 4 * repeats
        assert study.predicted_cohorts(experiment) == ["labelled", "external", "pool"][: 3 if repeats else 2]
        for cohort in ("labelled", "external"):
            assert len(study.paths("predict", experiment=experiment, cohort=cohort)) == 2 * 4
