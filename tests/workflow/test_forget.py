"""Nothing of a forgotten case is left, and nothing of the others is lost."""

import json
import re

import numpy as np
import pytest

from hipoa.cli import main
from hipoa.core.files import read_csv, read_json, read_npz, write_csv, write_json, write_npz
from hipoa.reading.log import Log
from hipoa.reading.rounds import hash_grades
from hipoa.workflow import forget

# P1 is the beginning of two others; P1 and P9 are one patient's.
CASES = {"P1": "A", "P10": "B", "P1_L": "C", "P9": "A"}
HIPS = [f"{case}_{side}" for case in CASES for side in "LR"]
MINE = ["P10_L", "P10_R"]
KEY = "0123456789abcdef-" + "ab" * 32 + ".npz"


def name(hip):
    case = hip.rpartition("_")[0]
    return {"hip_id": hip, "case_id": case, "patient_id": CASES[case]}


@pytest.fixture
def home(tmp_path):
    """A finished study of four cases, as far as its files name them."""
    results, history = tmp_path / "results/s", tmp_path / "history/s"
    rows = [name(hip) for hip in HIPS]
    for table in ("projections/labelled/0", "radiographs/labelled/0", "hips/labelled"):
        write_csv(results / f"{table}.csv", list(rows[0]), rows)
        write_npz(results / f"{table}.npz", {"hip_id": np.array(HIPS), "radiograph": np.zeros((8, 2, 2))})
    write_csv(results / "views/labelled/0.csv", list(rows[0]), rows)
    for table in ("uncertainty/vit", "label_errors", "embedding"):
        write_csv(results / f"{table}.csv", ["hip_id"], [{"hip_id": hip} for hip in HIPS])
    fold = [row | {"fold": 0} for row in rows] + [{"hip_id": "", "patient_id": "B", "fold": 1}]
    write_csv(results / "folds/r0.csv", list(fold[0]), fold)
    listed = [
        name(hip) | {"neighbours": "P1_L; P10_L; P9_R", "neighbour_grades": "1; 2; 3"} for hip in HIPS[:4]
    ]
    write_csv(results / "triage.csv", list(listed[0]), listed)
    for stack in ("predictions/vit/r0f0/labelled", "explanations/vit", "augmentation"):
        arrays = {"hip_id": np.array(HIPS), "features": np.arange(16).reshape(8, 2), "method": np.array("x")}
        write_npz(results / f"{stack}.npz", arrays)
    for case in CASES:
        for side in ("L", "R"):
            touch(results / f"radiographs/labelled/png/{case}_{side}.png")
        touch(results / f"views/labelled/png/{case}_pelvis.png")
        touch(tmp_path / f"cache/project/s/{case}/{KEY}")
        touch(tmp_path / f"cache/view/s/{case}/{KEY}")
    write_csv(results / "metrics.csv", ["value"], [{"value": 1}])
    touch(results / "models/vit/r0f0.safetensors")
    touch(tmp_path / "cache/train/s/vit/r0f0.pt")
    (results / "logs").mkdir()
    (results / "logs/project.log").write_text("P10: L ok, R ok, 1.0 s\n")
    (results / "logs/others.log").write_text("P1: L ok\nP1_L: L ok\nP100_L\n")
    (results / "report.html").write_text("<td>P10_L</td>")
    touch(results / "figures/radiographs.png")
    (results / "projections/labelled/.0123456789ab.0.csv").write_text("P10_L")
    write_csv(
        history / "folds/r0.csv",
        ("patient_id", "fold"),
        [{"patient_id": patient, "fold": 0} for patient in "ABC"],
    )
    graded = dict.fromkeys(HIPS, 3)
    table = {"hip": HIPS, "patient": [name(hip)["patient_id"] for hip in HIPS], "grade": [3] * 8}
    one = {"key": hash_grades(graded), "setup": "x", "graded": graded, "list": HIPS, "round": 1}
    write_json(history / "rounds/001.json", one | {"labelled": {"vit": table}, "external": {}})
    lines = [json.dumps(line(number, hip)) for number, hip in enumerate(HIPS)]
    (history / "readings.jsonl").write_text("\n".join(lines) + "\n")
    (history / "readings.torn").write_text('{"id": "x", "hip_id": "P10_L\n{"id": "y", "hip_id": "P9_R\n')
    return tmp_path


def line(number, hip):
    who = {"id": f"reading-{number}", "kind": "reading", "reader": "Ann", "time": "2026-01-01T00:00"}
    return {**who, "hip_id": hip, "case_id": hip.rpartition("_")[0], "side": hip[-1], "crowe": 1, "kl": 2}


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def run(home, *arguments):
    return main(["forget", *arguments, "--study", str(home / "results/s")])


def find_traces(home, case):
    """Every file that bears the name of a case, or says it in its bytes or in an array's."""
    word = re.compile(rf"(?<![\w.-]){case}(_(L|R|pelvis))?(?![\w-])".encode(), re.ASCII)
    found = []
    for path in filter(lambda path: path.is_file(), home.rglob("*")):
        texts = [str(path.relative_to(home)).encode(), path.read_bytes()]
        if path.suffix == ".npz" and path.stat().st_size:
            texts += [str(array.tolist()).encode() for array in read_npz(path).values()]
        found += [str(path.relative_to(home)) for text in texts if word.search(text)]
    return found


def test_every_trace_of_a_case_is_gone_and_the_others_are_whole(home, capsys):
    assert len(find_traces(home, "P10")) > 20
    before = {case: set(find_traces(home, case)) for case in ("P1", "P1_L", "P9")}
    assert run(home, "P10", "--readings", "remove") == 0
    assert find_traces(home, "P10") == []
    results = home / "results/s"
    remade = {"results/s/projections", "results/s/radiographs", "results/s/views", "results/s/hips"}
    for case, files in before.items():
        lost = files - set(find_traces(home, case))
        # Tables of shards and stacks are made again from what is kept of the others.
        assert {"/".join(path.split("/")[:3]) for path in lost} <= remade
        assert not any(path.endswith(".png") for path in lost)
    left = [hip for hip in HIPS if hip not in MINE]
    assert [row["hip_id"] for row in read_csv(results / "hips/labelled.csv")] == left
    assert not (results / "hips/labelled.npz").exists()
    predicted = read_npz(results / "predictions/vit/r0f0/labelled.npz")
    assert predicted["hip_id"].tolist() == left
    assert predicted["features"].tolist() == [[2 * n, 2 * n + 1] for n in (0, 1, 4, 5, 6, 7)]
    assert str(predicted["method"]) == "x"
    for row in read_csv(results / "triage.csv"):
        assert (row["neighbours"], row["neighbour_grades"]) == ("P1_L; P9_R", "1; 3")
    assert {row["patient_id"] for row in read_csv(results / "folds/r0.csv")} == {"A", "C"}
    kept = read_csv(home / "history/s/folds/r0.csv")
    assert [row["patient_id"] for row in kept] == ["A", "C"]
    one = read_json(home / "history/s/rounds/001.json")
    assert one["key"] == hash_grades(dict.fromkeys(left, 3))  # the next run knows the round again
    assert (list(one["graded"]), one["list"]) == (sorted(left), left)
    assert len(one["labelled"]["vit"]["grade"]) == 6
    log = home / "history/s/readings.jsonl"
    assert [json.loads(each)["hip_id"] for each in log.read_text().splitlines()] == left
    assert log.with_suffix(".torn").read_text() == '{"id": "y", "hip_id": "P9_R\n'
    assert (results / "metrics.csv").exists()
    assert (results / "models/vit/r0f0.safetensors").exists()
    assert not (home / "cache/train/s").exists()
    told = capsys.readouterr().out
    assert "Models in results/s/models that were trained on its hips" in told
    assert "Take its rows out of cases.csv and grades.csv" in told
    assert run(home, "P10") == 2
    assert "P10: nothing of it lies in the study s." in capsys.readouterr().err


def test_a_case_whose_name_begins_others(home):
    assert run(home, "P1", "--readings", "remove") == 0
    assert (home / "results/s/radiographs/labelled/png/P1_L_L.png").exists()
    assert not (home / "results/s/radiographs/labelled/png/P1_L.png").exists()
    rows = read_csv(home / "results/s/hips/labelled.csv")
    assert [row["case_id"] for row in rows] == ["P10", "P10", "P1_L", "P1_L", "P9", "P9"]
    # The patient has another case, which stays in its fold.
    assert {row["patient_id"] for row in read_csv(home / "history/s/folds/r0.csv")} == set("ABC")


def test_readings_are_kept_without_a_terminal_and_that_is_said(home, capsys):
    before = (home / "history/s/readings.jsonl").read_bytes()
    assert run(home, "P10") == 0
    assert "- 3 readings in readings.jsonl: --readings remove takes them out." in capsys.readouterr().out
    assert (home / "history/s/readings.jsonl").read_bytes() == before
    assert run(home, "P10", "--readings", "remove") == 0
    assert find_traces(home, "P10") == []
    assert (home / "history/s/readings.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("typed", "left"), [("y", 6), ("", 8), ("maybe", 8)])
def test_a_terminal_is_asked_about_readings(home, monkeypatch, typed, left):
    asked = []
    monkeypatch.setattr(forget.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or typed)
    assert run(home, "P10") == 0
    assert asked == ["3 readings of P10 cannot be made again. Remove them too? [y/N] "]
    assert len((home / "history/s/readings.jsonl").read_text().splitlines()) == left


def test_history_of_a_case_that_a_run_removed_already(home, capsys):
    """No table tells the patient any more: the user does."""
    for path in sorted((home / "results").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert run(home, "P10", "--readings", "remove") == 0
    assert "history/s/folds, if any: --patient PATIENT_ID takes it out." in capsys.readouterr().out
    assert {row["patient_id"] for row in read_csv(home / "history/s/folds/r0.csv")} == set("ABC")
    assert run(home, "P10", "--patient", "B") == 0
    assert {row["patient_id"] for row in read_csv(home / "history/s/folds/r0.csv")} == set("AC")


def test_a_patient_named_by_hand_does_not_take_another_ones_fold(home):
    assert run(home, "P10", "--patient", "C") == 0
    assert {row["patient_id"] for row in read_csv(home / "history/s/folds/r0.csv")} == set("AC")


def test_other_studies_keep_it_and_that_is_said(home, capsys):
    image = home / "results/other/radiographs/pool/png/P10_L.png"
    touch(image)
    assert run(home, "P10") == 0
    assert image.exists()
    assert "- The case in other studies: other." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("nobody", "nobody: nothing of it lies in the study s. Write the case_id as in cases.csv"),
        ("P100", "P100: nothing of it lies in the study s"),  # but for a word of a log
        ("../s", "CASE_ID: it is no safe file name"),
        ("P10/..", "CASE_ID: it is no safe file name"),
        ("P*", "CASE_ID: it is no safe file name"),
        ("", "CASE_ID: it is empty"),
    ],
)
def test_what_is_no_case_of_the_study_is_refused(home, capsys, case, words):
    before = sorted(home.rglob("*"))
    assert run(home, case) == 2
    assert words in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before


def test_nothing_is_removed_while_a_run_or_the_page_works_on_it(home, capsys):
    before = sorted(home.rglob("*"))
    opened = Log(home / "history/s/readings.jsonl")
    assert run(home, "P10") == 2
    assert "another page is open on this log" in capsys.readouterr().err
    opened.close()
    touch(home / ".snakemake/locks/0.output.lock")
    assert run(home, "P10") == 2
    assert "s: a run works on it, or was killed." in capsys.readouterr().err
    assert [path for path in sorted(home.rglob("*")) if ".snakemake" not in path.parts] == before


def test_another_word_about_readings(home, capsys):
    assert run(home, "P10", "--readings", "burn") == 2
    assert '--readings: "burn" is neither remove nor keep. Write one of the two.' in capsys.readouterr().err
    assert (home / "results/s/report.html").exists()


@pytest.mark.parametrize("folder", [".", "results", "my data"])
def test_another_folder_is_refused_for_the_users_own_files_lie_there(home, folder, monkeypatch, capsys):
    touch(home / "my data/ct/phantom-p001.nii.gz")
    monkeypatch.chdir(home)
    before = sorted(home.rglob("*"))
    assert main(["forget", "phantom-p001", "--study", folder]) == 2
    assert "it is no folder of a study's results. Name results/NAME" in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before
