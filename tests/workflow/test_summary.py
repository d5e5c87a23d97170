"""What a run says at its end, from the files that it left."""

import pytest

from hipoa.core.files import write_csv, write_json
from hipoa.workflow.summary import describe, describe_caveats, describe_failures

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


def test_cases_refusals_and_costs(tmp_path):
    columns = ("case_id", "status", "reason")
    hips = [("a", "ok", ""), ("a", "refused", "cut"), ("b", "refused", "no hip"), ("b", "refused", "no hip")]
    rows = [dict(zip(columns, hip, strict=True)) for hip in [*hips, ("c", "excluded", "left out")]]
    write_csv(tmp_path / "hips/pool.csv", columns, rows)
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
        "    2 x no hip",
        "    1 x cut",
        "stage          jobs    in all   longest  most memory",
        "hips              1   0:00:01   0:00:01         0 MB",
        "train             2   1:01:30   1:00:00       800 MB",
    ]


def test_after_a_failure_times_are_left_out(tmp_path):
    write_csv(tmp_path / "hips/pool.csv", ("case_id", "status", "reason"), [{"case_id": "a", "status": "ok"}])
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/figures.tsv").write_text("s\tmax_rss\n1\t2\n")
    assert describe(tmp_path, stages=False) == ["pool: 1 of 1 CTs done"]
    assert len(describe(tmp_path)) == 3


def test_nothing_is_said_of_what_is_not_there_yet(tmp_path):
    assert describe(tmp_path) == describe_caveats(tmp_path) == []


@pytest.mark.parametrize("caveat", ["this order is not shown to be better than a random one: vit", ""])
@pytest.mark.parametrize("preset", ["The preset micro is not for results.", ""])
def test_why_results_are_worth_little(tmp_path, caveat, preset):
    write_json(tmp_path / "manifest.json", {"configuration": {"not_for_results": preset}})
    rows = [{"rank": "1", "caveat": caveat}, {"rank": "2", "caveat": caveat}, {"rank": "", "caveat": ""}]
    write_csv(tmp_path / "triage.csv", ("rank", "caveat"), rows)
    of_list = f"triage.csv: {caveat}." if caveat else ""
    assert describe_caveats(tmp_path) == [line for line in (preset, of_list) if line]
