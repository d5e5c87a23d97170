"""Requests that no page of ours makes: each is refused, and nothing is recorded."""

import json
import stat
from pathlib import Path

import pytest

from hipoa.core.errors import ConfigError
from hipoa.reading import read
from hipoa.reading.settings import ReadSettings

from .conftest import HOME, KEY, PORT

TRAVERSALS = [
    "/static/../read.py",
    "/static/..%2fread.py",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/static//etc/passwd",
    "/../../etc/passwd",
    "/api/images/..%2f..%2ftriage.csv/hip/" + "0" * 64,
    "/api/images/p00000_L/..%2f..%2fsecret/" + "0" * 64,
    "/api/images/%00/hip/" + "0" * 64,
    "/api/references/..%2f..%2fsecret",
    "/api/references/-1",
    "/api/references/999999999999999999999",
    "/history/small/readings.jsonl",
    "/api/consensus/..%2f..%2fsecret",
]


@pytest.fixture
def ann(page):
    return page.reader("Ann")


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_to_the_file_system(ann, path):
    answer = ann.get(path)
    assert answer.status_code in {400, 404, 405}
    assert b"root:" not in answer.data
    assert b"SECRET" not in answer.data


HOSTS = [
    "evil.example",
    f"evil.example:{PORT}",
    "127.0.0.1",
    f"127.0.0.1.evil.example:{PORT}",
    f"0.0.0.0:{PORT}",
]
HOSTS += [f"127.0.0.1:{PORT + 1}", f"localhost.:{PORT}", ""]


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_that_was_bound_to_this_machine_is_refused(page, ann, host):
    for path in ("/", f"/?key={KEY}", "/api/state", "/api/next"):
        assert ann.client.get(path, base_url=HOME, headers={"Host": host}).status_code == 421


ORIGINS = ["http://evil.example", "null", "", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", "file://"]
ORIGINS += [
    f"http://localhost:{PORT}",
    f"http://127.0.0.1:{PORT}.evil.example",
    f"http://evil@127.0.0.1:{PORT}",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_forged_origin_records_nothing(page, ann, origin):
    body = {"form_token": ann.next()["form_token"], "crowe": 1, "kl": 1}
    assert ann.post("/api/readings", body, Origin=origin).status_code == 403
    assert page.path.read_text() == ""


def test_a_request_without_an_origin_records_nothing(page, ann):
    body = {"form_token": ann.next()["form_token"], "crowe": 1, "kl": 1}
    answer = ann.client.post("/api/readings", json=body, base_url=HOME, headers={"X-CSRF-Token": ann.csrf})
    assert answer.status_code == 403
    assert page.path.read_text() == ""


@pytest.mark.parametrize("token", ["", "guess", "\u00e9"])
def test_a_wrong_csrf_token_records_nothing(page, ann, token):
    body = {"form_token": ann.next()["form_token"], "crowe": 1, "kl": 1}
    assert ann.post("/api/readings", body, X_CSRF_Token=token).status_code == 403
    assert page.path.read_text() == ""


def test_another_sessions_csrf_token_is_refused(page, ann):
    bob = page.reader("Bob")
    body = {"form_token": ann.next()["form_token"], "crowe": 1, "kl": 1}
    assert ann.post("/api/readings", body, X_CSRF_Token=bob.csrf).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_gets_neither_images_nor_data(ann, site):
    hip = ann.next()
    image = f"/api/images/{hip['hip_id']}/hip/{hip['images']['hip']['sha256']}"
    for path in ("/api/next", image):
        assert ann.get(path, **{"Sec-Fetch-Site": site}).status_code == 403


def test_a_form_of_another_kind_is_refused(page, ann):
    headers = {"Origin": HOME, "X-CSRF-Token": ann.csrf}
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = ann.client.post(
            "/api/readings", data="{}", content_type=kind, base_url=HOME, headers=headers
        )
        assert answer.status_code == 415


@pytest.mark.parametrize("key", ["", "guess", KEY + "x", KEY[:-1]])
def test_without_the_key_nobody_gets_in(page, key):
    client = page.app.test_client()
    assert client.get(f"/?key={key}", base_url=HOME).status_code == 403
    for path in (
        "/api/state",
        "/api/next",
        "/api/mine",
        "/api/references",
        f"/api/images/p00000_L/hip/{'0' * 64}",
    ):
        assert client.get(path, base_url=HOME).status_code == 401


def test_the_key_leaves_the_address(page):
    answer = page.app.test_client().get(f"/?key={KEY}", base_url=HOME)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_a_forged_cookie_is_no_session(page):
    client = page.app.test_client()
    name = page.app.config["SESSION_COOKIE_NAME"]
    client.set_cookie(
        name, "eyJpbiI6dHJ1ZSwicmVhZGVyIjoiQW5uIn0.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb", domain="127.0.0.1"
    )
    assert client.get("/api/next", base_url=HOME).status_code == 401


def test_a_reader_cannot_use_anothers_form_token(page, ann):
    bob = page.reader("Bob")
    assert bob.read(hip=ann.next()).status_code == 400
    assert page.path.read_text() == ""


def test_a_reader_cannot_undo_anothers_reading(page, ann):
    done = ann.read().json["recorded"]
    bob = page.reader("Bob")
    answer = bob.post("/api/undo", {"id": done["id"]})
    assert answer.status_code == 400
    assert "you can only undo your own readings" in answer.json["error"]
    assert len(page.lines()) == 1


def test_a_reader_cannot_write_under_anothers_name(page, ann):
    assert ann.post("/api/reader", {"name": "Bob"}).status_code == 409
    assert ann.read(reader="Bob", id="reading-of-bob", hip_id="p00003_R", again=True).status_code == 200
    (line,) = page.lines()
    assert (line["reader"], line["hip_id"], line["again"]) == ("Ann", "p00000_L", False)


def test_a_reader_sees_only_her_own_record(page, ann):
    ann.read(comment="between us")
    bob = page.reader("Bob")
    for path in ("/api/mine", "/api/disagreements", "/api/next", "/api/state"):
        assert "between us" not in bob.get(path).get_data(as_text=True)


def test_a_page_for_one_reader_takes_no_other(results, page):
    page.log.close()
    page.open(only_reader="Ann")
    reader = page.reader()
    assert reader.get("/api/state").json["reader"] == "Ann"
    assert reader.post("/api/reader", {"name": "Bob"}).status_code == 403


TOKENS = [None, "", 7, [], {}, "forged", "e30.aaaa", "x" * 10_000]


@pytest.mark.parametrize("token", TOKENS)
def test_a_forged_token_records_nothing(page, ann, token):
    assert ann.post("/api/readings", {"form_token": token, "crowe": 1, "kl": 1}).status_code == 400
    assert page.path.read_text() == ""


def test_a_token_that_was_changed_records_nothing(page, ann):
    token = ann.next()["form_token"]
    content, _, signature = token.rpartition(".")
    for changed in (content[:-2] + "." + signature, token[:-1], "A" + token):
        assert ann.post("/api/readings", {"form_token": changed, "crowe": 1, "kl": 1}).status_code == 400
    assert page.path.read_text() == ""


GRADES = [(0, 1), (5, 1), (1, 5), (1, -1), ("1", "1"), (1.0, 1), (True, 1), ([], {}), (None, 1), (10**30, 1)]


@pytest.mark.parametrize(("crowe", "kl"), GRADES)
def test_what_is_no_grade_is_refused(page, ann, crowe, kl):
    assert ann.read(crowe, kl).status_code == 400
    assert page.path.read_text() == ""


@pytest.mark.parametrize("body", ["", "[]", "7", "null", '"text"', "{", '{"form_token":', "\x00"])
def test_what_is_no_object_is_refused(page, ann, body):
    headers = {"Origin": HOME, "X-CSRF-Token": ann.csrf}
    for path in ("/api/readings", "/api/undo", "/api/reader", "/api/later"):
        sent = {"data": body, "content_type": "application/json", "base_url": HOME, "headers": headers}
        assert ann.client.post(path, **sent).status_code == 400
    assert page.path.read_text() == ""


def test_an_oversized_request_is_refused(page, ann):
    assert ann.read(comment="x" * 1001).status_code == 400
    assert ann.read(comment="x" * 20_000).status_code == 413
    assert page.path.read_text() == ""


SCRIPTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "=1+1",
    "\u202eevil",
]


@pytest.mark.parametrize("comment", SCRIPTS)
def test_a_script_in_a_comment_stays_text(page, ann, comment):
    ann.read(comment=comment)
    answer = ann.get("/api/mine")
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json["readings"][0]["comment"] == comment.replace("\u202e", "").strip()


def test_a_comment_cannot_make_a_second_line_in_the_log(page, ann):
    ann.read(comment='x\n{"id":"forged-line","kind":"reading"}\u2028\r\n')
    assert len(page.path.read_bytes().splitlines()) == 1
    assert page.lines()[0]["comment"] == 'x {"id":"forged-line","kind":"reading"}'


NAMES = ["", " ", "=cmd", "-x", "<b>", "../Ann", "a/b", "x" * 41, "A\n,B", 7, None, ["Ann"]]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_name_is_refused(page, name):
    assert page.reader().post("/api/reader", {"name": name}).status_code == 400


@pytest.mark.parametrize("name", ["Ann\u202e", "\uff21nn", " ann\u200b "])
def test_what_cannot_be_seen_makes_no_second_reader(page, ann, name):
    ann.read()
    answer = page.reader().post("/api/reader", {"name": name})
    assert (answer.status_code, answer.json["reader"]) == (200, "Ann")


@pytest.mark.parametrize("seconds", [-5, 1e308, float("inf"), "long", None, True, [1]])
def test_an_impossible_duration_is_bounded(page, ann, seconds):
    answer = ann.read(seconds=seconds)
    assert answer.status_code == 200
    assert 0 <= page.lines()[0]["seconds"] < 60


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
def test_other_methods_are_refused(ann, method):
    headers = {"Origin": HOME, "X-CSRF-Token": ann.csrf}
    sent = {"method": method, "base_url": HOME, "headers": headers, "json": {}}
    assert ann.client.open("/api/readings", **sent).status_code in {400, 405}


def test_every_answer_is_sealed(ann):
    for path in ("/", "/static/read.js", "/api/state", "/nowhere", "/api/next"):
        headers = ann.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers


def test_the_cookie_is_kept_from_scripts_and_other_sites(page):
    cookie = page.app.test_client().get(f"/?key={KEY}", base_url=HOME).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_the_page_holds_no_inline_script_or_style(ann):
    page = ann.get("/").get_data(as_text=True)
    assert "<script>" not in page
    assert "style=" not in page
    names = sorted(file.name for file in Path(read.__file__).parent.glob("server/static/*.js"))
    assert "read.js" in names
    for name in names:
        script = ann.get(f"/static/{name}").get_data(as_text=True)
        for dangerous in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert dangerous not in script


def test_the_secret_is_for_its_owner_alone(tmp_path):
    secret = read.read_secret(tmp_path / "secret")
    assert len(secret) == 64
    assert read.read_secret(tmp_path / "secret") == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("port", [0, 80, 70_000])
def test_a_port_that_is_not_allowed_is_an_error(results, port):
    with pytest.raises(ConfigError, match=f"--port: {port} is not allowed"):
        read.run(ReadSettings(), study=results, port=port)


def test_errors_tell_no_path(page, ann, results):
    (results / "radiographs/pool/png/p00000_L.png").unlink()
    answer = ann.get("/api/next").json
    assert "the image cannot be read" in answer["skipped"][0]
    assert str(results) not in json.dumps(answer)
