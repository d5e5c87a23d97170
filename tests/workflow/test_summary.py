"""What a run says at its end, from the files that it left."""

from pathlib import Path

import pytest

from hipoa.core.errors import ConfigError
from hipoa.core.files import write_csv, write_json
from hipoa.workflow.summary import describe, describe_caveats, describe_failures, run

LOG = """
[Thu Nov 26 00:07:36 2026]
Error in rule train:
    message: SLURM-job '5' failed, SLURM status is: 'TIMEOUT'. For further error details see ...
    jobid: 7
    input: a.csv
    log: {folder}/train.log (check log file(s) for error details)
Trying to restart job 7.
[Thu Nov 26 00:08:36 2026]
Error in rule folds:
    message: None
    jobid: 3
    log: {folder}/folds.log (check log file(s) for error details)
Finished jobid: 3 (Rule: folds)
1 of 9 steps (11%) done
[Thu Nov 26 00:09:36 2026]
Error in rule hips:
    message: None
    jobid: 4
    log: {folder}/nowhere.log (check log file(s) for error details)
"""


@pytest.fixture
def log(tmp_path):
    (tmp_path / "train.log").write_text("first\n\nsecond\nthird\nlast words\n")
    path = tmp_path / "snakemake.log"
    path.write_text(LOG.format(folder=tmp_path))
    return path


def test_the_last_words_of_what_failed_and_was_not_done_later(log, tmp_path):
    assert list(describe_failures([str(log)])) == [
        f"train failed: {tmp_path}/train.log",
        "    SLURM-job '5' failed, SLURM status is: 'TIMEOUT'",
        "    second",
        "    third",
        "    last words",
        f"hips failed: {tmp_path}/nowhere.log",
        "    (it wrote no log)",
    ]


def test_a_run_without_a_log_says_nothing_of_failures():
    assert list(describe_failures([])) == []


COLUMNS = ("hip_id", "case_id", "status", "reason", "implant", "crowe", "kl", "grade", "n_readings")


def write_hips(path, hips):
    """Hips (case, status, reason, then as far as they go the cells from implant on)."""
    rows = [
        {"hip_id": f"h{number}", "n_readings": 0} | dict(zip(COLUMNS[1:], hip, strict=False))
        for number, hip in enumerate(hips)
    ]
    write_csv(path, COLUMNS, rows)


def test_hips_with_an_implant_are_counted_by_kind_and_unused_grades_are_named(tmp_path):
    excluded = [
        ("a", "excluded", "implant (replacement)", "replacement", 1, 1, 1, 1),
        ("b", "excluded", "implant (fixation)", "fixation"),
        ("b", "excluded", "implant (fixation)", "fixation"),
    ]
    used = [("a", "ok", "", "", 1, 1, 1, 1), ("c", "ok", "", "fixation", 1, 2, 2, 1), ("c", "ok", "", "")]
    table = tmp_path / "hips/labelled.csv"
    write_hips(
        table, [*excluded, *used, ("d", "ok", "", "", 2, 3, "", 1), ("d", "refused", "cut", "", 1, 1, 1, 1)]
    )
    assert describe(tmp_path) == [
        f"labelled: 4 of 4 CTs done, 1 hip refused, 2 hips left out for nails, screws or plates, 1 hip left "
        f"out for a replacement of the joint ({table})",
        "    1 x cut (h7)",
        "    warning: 3 graded hips are neither trained on nor scored",
        "        h0: excluded: implant (replacement)",
        "        h6: Crowe II, KL 3 is in no class",
        "        h7: refused: cut",
    ]
    write_hips(table, used)
    assert describe(tmp_path) == ["labelled: 2 of 2 CTs done"]
    write_hips(table, [("d", "ok", "", "", 2, 3, "", 1)] * 23)
    assert describe(tmp_path)[-2:] == [
        "        h19: Crowe II, KL 3 is in no class",
        f"        and 3 more ({table})",
    ]


def test_cases_refusals_and_costs(tmp_path):
    hips = [("a", "ok", ""), ("a", "refused", "cut"), ("b", "refused", "no hip"), ("b", "refused", "no hip")]
    write_hips(tmp_path / "hips/pool.csv", [*hips, ("c", "excluded", "left out")])
    for name, row in {
        "train/vit/r0f0": "90.5\t800.2",
        "train/vit/r0f1": "3600\tNA",
        "hips/pool": "1\t-",
    }.items():
        path = tmp_path / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\n{row}\n")
    assert describe(tmp_path) == [
        f"pool: 1 of 3 CTs done, 3 hips refused ({tmp_path}/hips/pool.csv)",
        "    2 x no hip (h2, h3)",
        "    1 x cut (h1)",
        "    warning: 3 of 5 hips of the pool cannot be ranked or read",
        "stage          jobs    in all   longest  most memory",
        "hips              1   0:00:01   0:00:01         0 MB",
        "train             2   1:01:30   1:00:00       800 MB",
    ]


def test_of_many_refused_hips_the_first_are_named(tmp_path):
    write_hips(tmp_path / "hips/external.csv", [("a", "refused", "cut")] * 6)
    assert describe(tmp_path)[1] == "    6 x cut (h0, h1, h2, h3 and 2 more)"


def test_a_study_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r'^--results: "nowhere" is no folder. Name that of a study'):
        run(results=Path("nowhere"))
    run(results=tmp_path)


def test_after_a_failure_times_are_left_out(tmp_path):
    write_hips(tmp_path / "hips/pool.csv", [("a", "ok")])
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/figures.tsv").write_text("s\tmax_rss\n1\t2\n")
    assert describe(tmp_path, stages=False) == ["pool: 1 of 1 CTs done"]
    assert len(describe(tmp_path)) == 3


def test_nothing_is_said_of_what_is_not_there_yet(tmp_path):
    assert describe(tmp_path) == describe_caveats(tmp_path) == []


@pytest.mark.parametrize(
    "caveat", ["the order of hips to read is not shown to be better than a random one: vit", ""]
)
@pytest.mark.parametrize("preset", ["The preset micro is not for results.", ""])
def test_why_results_are_worth_little(tmp_path, caveat, preset):
    write_json(tmp_path / "manifest.json", {"configuration": {"not_for_results": preset}})
    rows = [{"rank": "1", "caveat": caveat}, {"rank": "2", "caveat": caveat}, {"rank": "", "caveat": ""}]
    write_csv(tmp_path / "triage.csv", ("rank", "caveat"), rows)
    of_list = f"triage.csv: {caveat}." if caveat else ""
    assert describe_caveats(tmp_path) == [line for line in (preset, of_list) if line]
