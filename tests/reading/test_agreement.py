"""Kappas against scikit-learn, what they are taken of, and readers beside networks."""

import csv

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from hipoa.core.files import read_csv
from hipoa.core.tables.rows import CONSENSUS, Reading
from hipoa.evaluation.graded import grades_only
from hipoa.grading.settings import HipsSettings
from hipoa.reading.agreement import join_readings, measure_agreement, run, tabulate
from hipoa.reading.records import ReadingIndex

from .test_records import record

TABLE = HipsSettings()


@pytest.fixture(scope="module")
def graded():
    random = np.random.default_rng([5])
    crowe = random.integers(1, 5, (60, 2))
    kl = np.clip(random.integers(0, 5, (60, 1)) + random.integers(-1, 2, (60, 2)), 0, 4)
    return crowe, kl


@pytest.fixture(scope="module")
def rows(graded):
    crowe, kl = graded
    records = [
        record(n % 28, name, f"p{n}", crowe=int(crowe[n, k]), kl=int(kl[n, k]), id=f"reading-{name}-{n}")
        for n in range(60)
        for k, name in enumerate(("Ann", "Bob"))
    ]
    return measure_agreement(
        ReadingIndex(records), {f"p{n}_L": f"patient {n // 2}" for n in range(60)}, TABLE
    )


@pytest.mark.parametrize(("score", "weights"), [("kappa", None), ("quadratic weighted kappa", "quadratic")])
@pytest.mark.parametrize("index", ["Crowe", "KL"])
def test_a_kappa_is_scikit_learns(graded, rows, score, weights, index):
    one, other = graded[("Crowe", "KL").index(index)].T
    (row,) = [row for row in rows if (row["index"], row["metric"]) == (index, score)]
    assert float(row["value"]) == pytest.approx(cohen_kappa_score(one, other, weights=weights), rel=1e-5)
    assert float(row["low"]) < float(row["value"]) < float(row["high"])
    assert (row["n_hips"], row["n_patients"]) == (60, 30)


def test_the_class_counts_only_pairs_that_both_readers_put_on_the_table(graded, rows):
    crowe, kl = graded
    on = [
        all((int(c), max(1, int(k))) in TABLE.class_table for c, k in zip(crowe[n], kl[n], strict=True))
        for n in range(60)
    ]
    assert {row["n_hips"] for row in rows if row["index"] == "class"} == {sum(on)}


def test_a_hip_that_one_cannot_grade_is_left_out():
    records = [
        record(n, name, f"p{n}", id=f"reading-{name}-{n}") for n in range(3) for name in ("Ann", "Bob")
    ]
    refused = record(9, "Bob", "p0", crowe=None, kl=None, reason="implant")
    rows = measure_agreement(ReadingIndex([*records, refused]), {}, TABLE)
    assert {row["n_hips"] for row in rows} == {2}
    assert [row["value"] for row in rows if row["metric"] == "kappa"] == [""] * 3
    assert [row["value"] for row in rows if row["metric"] == "ECA"] == ["1"] * 3


def test_second_readings_give_the_intra_reader_agreement():
    first = [record(n, "Ann", f"p{n}", kl=n % 4 + 1) for n in range(8)]
    later = [record(n + 8, "Ann", f"p{n}", kl=max(1, n % 4), again=True) for n in range(8)]
    rows = measure_agreement(ReadingIndex([*first, *later]), {}, TABLE)
    assert {(row["question"], row["a"], row["b"]) for row in rows} == {("intra-reader", "Ann", "Ann")}
    (row,) = [row for row in rows if (row["index"], row["metric"]) == ("KL", "ECA")]
    assert row["value"] == "0.25"


def test_a_second_reading_needs_a_first_one_that_is_a_grade():
    refused = record(0, crowe=None, kl=None, reason="implant")
    later = [record(n + 8, "Ann", f"p{n}", again=True) for n in range(2)]
    assert measure_agreement(ReadingIndex([refused, *later]), {}, TABLE) == []


# Readings of a study


def read(case, crowe, kl, reader="Ann", date=""):
    return Reading(case, "L", crowe, kl, reader, date)


def test_readings_of_tables_come_first_and_of_the_log_what_these_lack():
    rows = [read("p1", 1, 2), read("p1", 1, 3, date="2020-01-02"), read("p2", 1, 1, "Bob")]
    log = [
        record(0, "Ann", "p1", kl=4),
        record(1, "Ann", "p3", kl=1),
        record(2, "Ann", "p3", kl=2, again=True),
    ]
    found = join_readings(rows, ReadingIndex(log))
    assert found == {"Ann": {"p1_L": [(1, 2), (1, 3)], "p3_L": [(1, 1), (1, 2)]}, "Bob": {"p2_L": [(1, 1)]}}


def test_a_consensus_no_name_and_half_a_grade_are_no_reader():
    rows = [read("p1", 1, 2, CONSENSUS), read("p1", 1, 2, ""), read("p1", 1, None), read("p1", 2, 4, "Bob")]
    settled = record(0, "Ann", "p1", kind="consensus")
    found = join_readings(rows, ReadingIndex([settled]))
    assert {reader: of_hip for reader, of_hip in found.items() if of_hip} == {"Bob": {"p1_L": [(2, 4)]}}


def test_a_reading_by_a_reader_who_saw_the_models_class_does_not_count():
    log = ReadingIndex([record(0, "Ann", "p1", blind=False), record(1, "Ann", "p2")])
    assert join_readings([read("p1", 1, 2)], log)["Ann"].keys() == {"p2_L"}


@pytest.fixture
def pairs_of_grades():
    random = np.random.default_rng([8])
    truth = random.integers(1, 5, 40)
    return truth, *(np.clip(truth + random.integers(-1, 2, 40), 1, 4) for _ in range(3))


@pytest.fixture
def study(pairs_of_grades):
    """Readings by two readers (KL is the class), hips of two patients each, and a network's predictions."""
    truth, ann, bob, network = pairs_of_grades
    names = [f"p{n}_L" for n in range(40)]
    hips = {hip: ("labelled", f"patient {n // 2}") for n, hip in enumerate(names)}
    readings = {
        "reader 1": {hip: [(1, int(kl))] for hip, kl in zip(names, ann, strict=True)},
        "reader 2": {hip: [(1, int(kl))] for hip, kl in zip(names[:30], bob, strict=False)},
    }
    table = grades_only(
        "vit",
        cohort=np.full(40, "labelled"),
        hip=np.array(names),
        patient=np.array([hips[name][1] for name in names]),
        grade=truth,
        predicted=network,
    )
    return readings, hips, table


def find(rows, **cells):
    (row,) = [row for row in rows if cells.items() <= row.items()]
    return float(row["value"]), row["n_hips"]


def test_readers_networks_and_the_ceiling_of_one_cohort(study, pairs_of_grades):
    truth, ann, bob, network = pairs_of_grades
    readings, hips, table = study
    rows = list(tabulate(readings, hips, [table], TABLE))
    eca = {"cohort": "labelled", "index": "class", "metric": "ECA"}
    agreed = (ann[:30] == bob[:30]).mean()

    def share(one, other):
        return pytest.approx((one == other).mean(), rel=1e-5)

    of_network = eca | {"question": "network", "a": "vit"}
    assert find(rows, **of_network, b="reader 1", hips="reader 1") == (share(network, ann), 40)
    assert find(rows, **of_network, b="reader 2", hips="reader 2") == (share(network[:30], bob[:30]), 30)
    assert find(rows, **of_network, b="label", hips="reader 2") == (share(network[:30], truth[:30]), 30)
    pair = {"question": "inter-reader", "a": "reader 1", "b": "reader 2"}
    assert find(rows, **eca, **pair) == (pytest.approx(agreed, rel=1e-5), 30)
    assert find(rows, **eca, question="ceiling", a="reachable") == (pytest.approx(agreed, rel=1e-5), 30)
    assert find(rows, **eca, question="ceiling", a="limit") == (pytest.approx(agreed**0.5, rel=1e-5), 30)
    difference, n_hips = find(rows, **eca, question="difference", hips="reader 1")
    assert difference == pytest.approx((network[:30] == ann[:30]).mean() - agreed, abs=1e-6)
    assert n_hips == 30


def test_hips_of_other_cohorts_and_of_none_do_not_count(study):
    readings, hips, table = study
    apart = {hip: ("pool" if hip < "p2" else cohort, patient) for hip, (cohort, patient) in hips.items()}
    del apart["p5_L"]
    rows = list(tabulate(readings, apart, [table], TABLE))
    counts = {row["cohort"]: row["n_hips"] for row in rows if row["question"] == "inter-reader"}
    pool = sum(hip < "p2" for hip in readings["reader 2"])
    assert counts == {"pool": pool, "labelled": 30 - pool - 1}


def test_one_reader_has_no_ceiling_and_no_other(study):
    readings, hips, table = study
    alone = {"reader 1": readings["reader 1"]}
    rows = tabulate(alone, hips, [table], TABLE)
    assert {row["question"] for row in rows} == {"network"}


def test_no_name_is_in_the_table(tmp_path):
    hips, grades, log = (tmp_path / name for name in ("labelled.csv", "grades.csv", "readings.jsonl"))
    with hips.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("hip_id", "cohort", "patient_id", "status"))
        writer.writerows((f"p{n}_L", "labelled", f"patient {n}", "ok" if n else "refused") for n in range(4))
    rows = ["case_id,side,crowe,kl,reader,date", *(f"p{n},L,1,{n % 3 + 1},Dr Who," for n in range(4))]
    grades.write_text("\n".join(rows) + "\n")
    records = [record(n, "Ann", f"p{n}") for n in range(4)]
    log.write_text("".join(one.model_dump_json() + "\n" for one in records))
    out = tmp_path / "agreement.csv"
    run(TABLE, uncertainty=[], hips=[hips], grades=[grades], log=log, out=out)
    found = read_csv(out)
    assert {(row["a"], row["b"]) for row in found if row["question"] == "inter-reader"} == {
        ("reader 1", "reader 2")
    }
    assert {row["n_hips"] for row in found} == {"3"}
    assert not {"Who", "Ann"} & set(out.read_text().replace(",", " ").split())
    run(TABLE, uncertainty=[], hips=[], grades=[], log=tmp_path / "none", out=out)
    assert read_csv(out) == []
