"""The small study from end to end: what lies in its results, and that it adds up."""

import csv
import json

import pytest


def rows(finished, file):
    return list(csv.DictReader(finished.read(file).splitlines()))


@pytest.fixture(scope="module")
def cases(finished):
    return list(
        csv.DictReader((finished.folder / "my data/cases.csv").read_text(encoding="utf-8").splitlines())
    )


def test_every_hip_of_every_case_is_accounted_for(finished, cases):
    hips = [
        row for cohort in ("labelled", "external", "pool") for row in rows(finished, f"hips/{cohort}.csv")
    ]
    assert sorted(row["hip_id"] for row in hips) == sorted(
        f"{case['case_id']}_{side}" for case in cases for side in "LR"
    )
    assert all(row["status"] == "ok" or row["reason"] for row in hips)


def test_no_patient_is_in_two_folds(finished):
    folds = {}
    for row in rows(finished, "folds/r0.csv"):
        folds.setdefault(row["patient_id"], set()).add(row["fold"])
    assert folds
    assert all(len(of_patient) == 1 for of_patient in folds.values())


def test_a_pool_hip_of_a_labelled_patient_is_predicted_by_its_own_fold_alone(finished):
    patients = {row["patient_id"]: row["fold"] for row in rows(finished, "folds/r0.csv")}
    table = [row for row in rows(finished, "uncertainty/efficientnet.csv") if row["cohort"] == "pool"]
    followed = [row for row in table if row["patient_id"] in patients]
    strangers = [row for row in table if row["patient_id"] not in patients]
    assert followed
    assert strangers
    assert all((row["fold"], row["n_models"]) == (patients[row["patient_id"]], "1") for row in followed)
    assert all(row["n_models"] == "2" for row in strangers)


def test_every_unread_hip_is_ranked_or_set_aside(finished):
    triage = rows(finished, "triage.csv")
    pool = rows(finished, "hips/pool.csv")
    assert {row["hip_id"] for row in pool} <= {row["hip_id"] for row in triage}
    assert all(bool(row["rank"]) != bool(row["set_aside"]) for row in triage)
    assert not any(row["cohort"] == "external" for row in triage)


@pytest.mark.usefixtures("real_ct")
def test_a_real_ct_is_graded(finished):
    triage = {row["hip_id"]: row for row in rows(finished, "triage.csv")}
    assert triage["real_L"]["set_aside"] == "excluded: implant (fixation)"
    # Voxels of 3 mm, and the CT ends at the head: the locator is sure of it all the same.
    assert triage["real_R"]["set_aside"] == ""
    assert triage["real_L"]["predicted"] == ""
    assert 1 <= int(triage["real_R"]["predicted"]) <= 7
    assert float(triage["real_R"]["uncertainty"]) > 0
    assert all(f"real_{side}" in finished.read("report.html") for side in "LR")


def test_the_report_is_of_own_data_with_a_preset_that_is_not_for_results(finished):
    report = finished.read("report.html")
    assert "The preset demo is not for results" in report
    assert json.loads(finished.read("manifest.json"))


def test_nothing_tells_where_it_was_made(finished):
    results = finished.folder / "results/small"
    for path in results.rglob("*"):
        if path.suffix in {".csv", ".json", ".html", ".svg"}:
            assert str(finished.made) not in path.read_text(encoding="utf-8"), path.name


def test_every_stage_says_what_it_does_and_leaves_a_log_and_a_benchmark(finished):
    results = finished.folder / "results/small"
    logs = {path.relative_to(results / "logs").with_suffix("") for path in (results / "logs").rglob("*.log")}
    benchmarks = {
        p.relative_to(results / "benchmarks").with_suffix("") for p in results.rglob("benchmarks/**/*.tsv")
    }
    assert logs == benchmarks
    assert "The report is results/small/report.html." in finished.run.stdout + finished.run.stderr


def test_an_experiment_of_another_task_goes_all_the_way(finished):
    """The experiment vit grades Crowe and KL apart, as a regression."""
    table = rows(finished, "uncertainty/vit.csv")
    assert all(1 <= float(row["value"]) <= 7 for row in table)
    assert all(row["predicted_crowe"] and float(row["variance_kl"]) > 0 for row in table)
    scored = {(row["experiment"], row["metric"]) for row in rows(finished, "metrics.csv")}
    assert {("vit", "ECA"), ("vit", "Crowe accuracy, graded apart")} <= scored
    assert ("efficientnet", "Crowe accuracy, graded apart") not in scored
    assert "Crowe and KL graded separately" in finished.read("report.html")
    assert "squared classes" in finished.read("report.html")


def test_snakemake_tells_the_same_in_its_own_report(finished):
    finished.snakemake("--report", "snakemake.html")
    page = (finished.folder / "snakemake.html").read_text(encoding="utf-8")
    for text in ("Hips to read next", "Tables", "Figures", "Exact class accuracy (ECA)", "metrics.csv"):
        assert text in page
