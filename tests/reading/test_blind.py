"""What a reader can know before she grades a hip: nothing of the model, nor whether the hip comes again."""

import base64
import json
import zlib

import pytest

from hipoa.reading.server.queue import queue_hips

from .conftest import Page, make_study

PATHS = ("/", "/api/state", "/api/next", "/api/references", "/api/mine", "/api/disagreements")


def list_classes(text):
    """Every mention of a class by the model in an answer."""
    return [
        word for word in ("predicted", "uncertainty", '"prediction":{', '"predictions":{"p') if word in text
    ]


def shown(reader):
    return set(reader.post("/api/model", {}).json["predictions"])


@pytest.fixture
def long_page(tmp_path):
    return Page(make_study(tmp_path / "results" / "again", pool=40), again_every=5)


def read_all(page, reader):
    """Reads the list to its end; what the page was told of each hip."""
    told = []
    while (answer := reader.get("/api/next").json)["hips"]:
        told.append(answer)
        saved = reader.read(1, 1 + len(told) % 4)
        told[-1]["saved"] = saved.json
    return told


def test_nothing_of_the_model_is_sent_before_both_sides_are_read(page):
    reader, other = page.reader("Ann"), page.reader("Bob")
    other.read(1, 4)
    for _ in range(2):
        for path in PATHS:
            assert list_classes(reader.get(path).get_data(as_text=True)) == []
        assert shown(reader) == set()
        assert "prediction" not in reader.next()
        answer = reader.read(1, 1)
        assert list_classes(answer.get_data(as_text=True)) == []
    # Both hips of the first patient are read.
    assert reader.get("/api/mine").json["n_to_show"] == 2
    assert reader.get("/api/mine").json["predictions"] == {}
    assert shown(reader) == {"p00000_L", "p00000_R"}
    reader.read()
    assert shown(reader) == {"p00000_L", "p00000_R"}
    assert shown(other) == set()


def test_what_was_shown_is_in_the_log_and_a_hip_read_again_is_not_blind(page):
    reader = page.reader("Ann")
    done = [reader.read(1, 1).json["recorded"] for _ in range(2)]
    reader.post("/api/undo", {"id": done[0]["id"]})
    assert shown(reader) == set()  # one side is to be read again
    early = reader.next()
    reader.read(1, 1, early)
    shown(reader)
    reader.post("/api/undo", {"id": done[1]["id"]})
    # Its class was seen once, but the other hip's stays hidden while this one is read again.
    assert reader.get("/api/mine").json["predictions"] == {}
    reader.read(1, 1)
    assert [
        (line["kind"], line["hip_id"], line["blind"]) for line in page.lines() if line["kind"] != "undo"
    ] == [
        ("reading", "p00000_L", True),
        ("reading", "p00000_R", True),
        ("reading", "p00000_L", True),
        ("shown", "p00000_R", True),
        ("shown", "p00000_L", True),
        ("reading", "p00000_R", False),
    ]


def test_a_form_that_was_open_while_the_model_was_shown_is_not_blind(page):
    reader = page.reader("Ann")
    first = reader.next()
    reader.read(1, 1)
    reader.read(1, 1)
    shown(reader)
    assert reader.read(1, 2, first).status_code == 200
    assert [line["blind"] for line in page.lines() if line["kind"] == "reading"] == [True, True, False]


@pytest.mark.parametrize("setting", ["never", "before"])
def test_the_model_may_be_never_or_always_shown(make_page, setting):
    page = make_page(prediction=setting)
    reader = page.reader("Ann")
    told = read_all(page, reader)
    assert all(("prediction" in one["hips"][0]) is (setting == "before") for one in told)
    assert len(shown(reader)) == (0 if setting == "never" else 12)
    assert {line["blind"] for line in page.lines() if line["kind"] == "reading"} == {setting == "never"}


def test_hips_come_a_second_time_unmarked_and_untold(long_page):
    reader = long_page.reader("Ann")
    told = read_all(long_page, reader)
    seen = [one["hips"][0]["hip_id"] for one in told]
    lines = long_page.lines()
    twice = [line["hip_id"] for line in lines if line["again"]]
    assert len(twice) > 8
    assert len(seen) == 80 + len(twice)
    assert all(line["blind"] for line in lines)
    for hip in twice:
        first, second = (n for n, name in enumerate(seen) if name == hip)
        assert second - first >= 20
    agreed = reader.get("/api/disagreements").json["agreement"]
    assert {row["question"] for row in agreed} == {"intra-reader"}


def test_a_second_reading_looks_like_any_other(long_page):
    reader = long_page.reader("Ann")
    told = read_all(long_page, reader)
    assert len({json.dumps(shape(one)) for one in told[:-2]}) == 1
    # The number of hips to go falls by one with each reading, first or second.
    assert {one["read"] + one["left"] for one in told} == {len(told)}
    assert [one["read"] for one in told] == list(range(len(told)))
    assert [one["notes"] for one in (one["saved"] for one in told) if one["notes"]] == []


def shape(value):
    """The names and types of an answer, without its values."""
    if isinstance(value, dict):
        return {name: shape(held) for name, held in value.items()}
    return [shape(held) for held in value[:1]] if isinstance(value, list) else type(value).__name__


def open_token(token):
    """What whoever has a form token can read in it."""
    content = token.split(".")
    content = content[1] if token.startswith(".") else content[0]
    raw = base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))
    return json.loads(zlib.decompress(raw) if token.startswith(".") else raw)


def test_the_form_does_not_tell_that_the_hip_comes_again(long_page):
    reader = long_page.reader("Ann")
    told = read_all(long_page, reader)
    tokens = [open_token(one["hips"][0]["form_token"]) for one in told]
    assert {tuple(sorted(token)) for token in tokens} == {tuple(sorted(tokens[0]))}
    assert "again" not in tokens[0]
    assert len({len(token["mark"]) for token in tokens}) == 1


def test_putting_a_hip_off_does_not_tell_whether_it_comes_again(long_page):
    reader = long_page.reader("Ann")
    fewer, seen = {}, []
    while (before := reader.get("/api/next").json)["hips"]:
        hip = before["hips"][0]
        after = reader.post("/api/later", {"form_token": hip["form_token"]}).json
        fewer.setdefault(hip["hip_id"], before["left"] - after["left"])
        seen.append(hip["hip_id"])
        assert reader.post("/api/undo", {"id": after["recorded"]["id"]}).json["left"] == before["left"]
        reader.read(1, 1)
    assert len(seen) > len(fewer) == 80  # some came a second time
    assert set(fewer.values()) == {0}


def test_which_hips_come_again_follows_from_no_name_that_the_page_shows(long_page):
    twice = []
    for name, secret in (("Ann", "s" * 64), ("Bob", "s" * 64), ("Cid", "t" * 64)):
        long_page.log.close()
        long_page.secret = secret
        read_all(long_page.open(), long_page.reader(name))
        lines = long_page.lines()
        twice.append({line["hip_id"] for line in lines if line["reader"] == name and line["again"]})
    assert all(twice)
    assert twice[0] != twice[1] != twice[2] != twice[0]


def test_the_agreement_does_not_tell_what_another_said_of_a_hip_that_may_come_again(long_page):
    ann, bob = long_page.reader("Ann"), long_page.reader("Bob")
    for count in range(1, 61):
        bob.read(1, 4)
        ann.read(1, 2)
        rows = ann.get("/api/disagreements").json["agreement"]
        pairs = [row for row in rows if row["question"] == "inter-reader"]
        lately = [line["hip_id"] for line in long_page.lines() if line["reader"] == "Ann"][-40:]
        read = {line["hip_id"] for line in long_page.lines() if line["reader"] == "Ann"}
        assert {row["n_hips"] for row in pairs} <= {len(read - set(lately))}
        assert bool(pairs) == (len(read - set(lately)) > 1), count
    read_all(long_page, ann)
    rows = ann.get("/api/disagreements").json["agreement"]
    assert {row["n_hips"] for row in rows if row["question"] == "inter-reader"} == {
        len(read_by(long_page, "Bob"))
    }


def read_by(page, name):
    return {line["hip_id"] for line in page.lines() if line["reader"] == name}


def test_no_second_reading_comes_between_the_hips_of_a_patient(long_page):
    reader = long_page.reader("Ann")
    read_all(long_page, reader)
    firsts = [line for line in long_page.lines() if not line["again"]]
    order = [line["id"] for line in long_page.lines()]
    for left, right in zip(firsts[::2], firsts[1::2], strict=True):
        assert left["case_id"] == right["case_id"]
        assert order.index(right["id"]) == order.index(left["id"]) + 1


def test_the_model_is_shown_alike_of_hips_that_come_again_and_of_others(long_page):
    reader = long_page.reader("Ann")
    for count in range(1, 61):
        reader.read(1, 1)
        seen = [line["hip_id"] for line in long_page.lines() if line["kind"] == "reading"]
        settled = set(seen[: max(0, count - 40)])
        # Neither the patient of a hip that was read lately, nor any hole among the earlier ones.
        lately = {name[:-2] for name in seen[max(0, count - 40) :]}
        assert reader.get("/api/mine").json["n_to_show"] == sum(name[:-2] not in lately for name in settled)
    assert any(line["again"] for line in long_page.lines())


def returning(page):
    queue = queue_hips("Ann", page.worklist, page.log.index, page.settings, page.secret)
    return {hip.hip_id for hip, again in queue if again}


@pytest.mark.parametrize("show", [False, True])
def test_a_hip_whose_class_was_shown_does_not_come_a_second_time(tmp_path, show):
    study = make_study(tmp_path / "results" / "short", pool=6)
    page = Page(study, again_every=1)
    reader = page.reader("Ann")
    assert len(read_all(page, reader)) == 12  # too few for a second reading
    if show:
        assert len(shown(reader)) == 12
    page.log.close()
    make_study(study, pool=30)  # the list of the next round is longer
    page.open()
    early = {line["hip_id"] for line in page.lines()}
    assert early & returning(page) == (set() if show else early)
    assert returning(page) - early


def test_a_consensus_brings_no_second_reading(tmp_path):
    page = Page(make_study(tmp_path / "results" / "again", pool=12), again_every=1)
    ann, bob = page.reader("Ann"), page.reader("Bob")
    bob.read(1, 4)
    told = read_all(page, ann)
    for _ in range(3):
        ann.read(1, 1, ann.get("/api/consensus/p00000_L").json["hips"][0])
    answer = ann.get("/api/next").json
    assert (answer["hips"], answer["read"]) == ([], len(told))


def test_others_readings_of_a_hip_that_will_come_again_stay_hidden(tmp_path):
    page = Page(make_study(tmp_path / "results" / "again", pool=30), again_every=1)
    ann, bob = page.reader("Ann"), page.reader("Bob")
    for _ in range(4):
        ann.read(1, 1)
        bob.read(1, 4)
    assert ann.get("/api/disagreements").json["open"] == []
    assert ann.get("/api/consensus/p00000_L").status_code == 400
    page.log.close()
    page.settings = page.settings.model_copy(update={"again_every": 0})
    assert len(page.open().reader("Ann").get("/api/disagreements").json["open"]) == 4
