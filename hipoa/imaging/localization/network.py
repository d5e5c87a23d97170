"""The forward pass of the locator's two 3-D U-Nets in numpy, so that no stage that reads CTs imports torch.

They work on cells of 2 x 2 x 2 voxels. Their weights come from ``benchmarks/locator_training``, batch
normalisation folded into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from hipoa.core.errors import ConfigError

CLASSES = ("rest", "left head", "right head", "pelvis", "femur", "other bone")
# The network sees HU between these as 0 to 2; what lies outside a CT is air, 0.
LOW_HU, HIGH_HU, UNIT_HU = -200.0, 600.0, 400.0
SPACING_MM = {"coarse": 5.0, "fine": 2.0}
_UNIT_MM = 20.0
# Other weights find other centres: a stage reruns with its code, which therefore names the file.
_SHA256 = "15a1b57a15b7bd39c7fa1c2e7fd4726b86c1e2953785e280c325e3d8f6db16a1"
_SIDE = 16  # the sides of an input are multiples of it
_ROWS = 16384  # of a product of matrices, so that it stays in a core's cache


@dataclass(frozen=True)
class Output:
    """A network's output for each cell of 2 x 2 x 2 voxels, (a, b, c)."""

    probability: np.ndarray  # (a, b, c, 6), of each of :data:`CLASSES`
    # (a, b, c, 3), from the cell's middle to the centre of its head, along the input's axes
    offset_mm: np.ndarray
    error_mm: np.ndarray  # (a, b, c), the expected error of that offset


def apply_network(name: str, hu: np.ndarray) -> Output:
    """Runs a network.

    Args:
        name: Of :data:`SPACING_MM`: the size of the voxels it wants.
        hu: (i, j, k), any size; i to the patient's right, j to the front, k to the head.
    """
    image = np.zeros([-(-n // _SIDE) * _SIDE for n in hu.shape], np.float32)
    inner = tuple(slice(n) for n in hu.shape)
    image[inner] = (np.clip(hu, LOW_HU, HIGH_HU) - np.float32(LOW_HU)) / np.float32(UNIT_HU)
    a, b, c = (-(-n // 2) for n in hu.shape)
    out = _forward(load_weights()[name], image)[:a, :b, :c]
    logits, offset = out[..., : len(CLASSES)], out[..., len(CLASSES) : len(CLASSES) + 3]
    probability = np.exp(logits - logits.max(-1, keepdims=True))
    probability /= probability.sum(-1, keepdims=True)
    return Output(probability, _UNIT_MM * offset, _UNIT_MM * np.logaddexp(0, out[..., -1]))


@cache
def load_weights() -> dict[str, dict[str, np.ndarray]]:
    """The weights, float32, by network and layer; under "confidence" those of the logistic regression.

    Raises:
        ConfigError: The file is not the one of this version.
    """
    from safetensors.numpy import load

    content = (resources.files("hipoa.imaging.localization") / "weights.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ConfigError("locator", "its weights are not those of this version", "Install hipoa again.")
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, values in load(content).items():
        network, _, layer = key.partition(".")
        found.setdefault(network, {})[layer] = values.astype(np.float32)
    return found


def _forward(weights: Mapping[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    x1 = _convolve(_convolve(_halve(image[..., None]), weights, "enter1"), weights, "enter2")
    x2 = _convolve(_down(x1, weights, "down1"), weights, "mid1")
    x3 = _convolve(_down(x2, weights, "down2"), weights, "mid2")
    x4 = _convolve(_down(x3, weights, "down3"), weights, "deep")
    x3 = _convolve(_add_enlarged(x3, x4, weights, "up3"), weights, "join3")
    x2 = _convolve(_add_enlarged(x2, x3, weights, "up2"), weights, "join2")
    x1 = _convolve(_add_enlarged(x1, x2, weights, "up1"), weights, "join1")
    return x1 @ weights["out.weight"] + weights["out.bias"]


def _halve(x: np.ndarray) -> np.ndarray:
    """Cells of 2 x 2 x 2 voxels as channels: (i, j, k, c) to (i/2, j/2, k/2, 8c)."""
    i, j, k, c = x.shape
    cells = x.reshape(i // 2, 2, j // 2, 2, k // 2, 2, c).transpose(0, 2, 4, 1, 3, 5, 6)
    return np.ascontiguousarray(cells).reshape(i // 2, j // 2, k // 2, 8 * c)


def _down(x: np.ndarray, weights: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
    return np.maximum(_halve(x) @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"], 0)


def _add_enlarged(
    fine: np.ndarray, coarse: np.ndarray, weights: Mapping[str, np.ndarray], layer: str
) -> np.ndarray:
    added = coarse @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"]
    i, j, k, c = fine.shape
    cells = fine.reshape(i // 2, 2, j // 2, 2, k // 2, 2, c)
    cells += added[:, None, :, None, :, None]
    return cells.reshape(i, j, k, c)


def _convolve(x: np.ndarray, weights: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
    """A convolution of 3 x 3 x 3 with zeros about, and ReLU: (i, j, k, c) to (i, j, k, d).

    Rows and columns lie one after the other in memory, so that a shift along them is a shift of the rows of
    one matrix; only along k the three neighbours are copied side by side.
    """
    i, j, k, c = x.shape
    about = np.zeros((i + 3, j + 2, k, 3 * c), np.float32)
    inner = about[1 : i + 1, 1 : j + 1]
    inner[:, :, 1:, :c] = x[:, :, :-1]
    inner[:, :, :, c : 2 * c] = x
    inner[:, :, :-1, 2 * c :] = x[:, :, 1:]
    rows, kernel = about.reshape(-1, 3 * c), weights[f"{layer}.weight"]
    count = i * (j + 2) * k
    total = np.empty((count, kernel.shape[-1]), np.float32)
    shifts = [(a * (j + 2) + b) * k for a in range(3) for b in range(3)]
    part = np.empty((min(_ROWS, count), kernel.shape[-1]), np.float32)
    for start in range(0, count, _ROWS):
        stop = min(start + _ROWS, count)
        block, some = total[start:stop], part[: stop - start]
        np.matmul(rows[start + shifts[0] : stop + shifts[0]], kernel[0], out=block)
        for shift, tap in zip(shifts[1:], kernel[1:], strict=True):
            np.matmul(rows[start + shift : stop + shift], tap, out=some)
            block += some
        block += weights[f"{layer}.bias"]
        np.maximum(block, 0, out=block)
    return np.ascontiguousarray(total.reshape(i, j + 2, k, -1)[:, :j])
