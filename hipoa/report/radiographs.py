"""Radiographs of single hips, read out of the stacks and embedded in the page as data URLs."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from hipoa.core.errors import CohortError
from hipoa.report.cohort import Hip, order_cohorts

_JPEG_QUALITY = 80
# Percentiles of the body alone: the black beside it, the black where the CT ends, and metal do not count.
_STRETCHED = (1.0, 99.5)
_SUFFIXES = {".svg": "image/svg+xml", ".png": "image/png"}


def read_radiographs(paths: Iterable[Path], wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads single radiographs out of the stacks, one image in memory at a time.

    Args:
        paths: The files ``R/hips/{cohort}.npz``.
        wanted: Names of hips; those that have no radiograph are left out of the result.

    Returns:
        Hip to (150, 150) uint8.

    Raises:
        CohortError: A stack does not hold one uint8 radiograph per hip.
    """
    names = set(wanted)
    return {name: image for path in paths for name, image in _stream_stack(path, names)}


def _stream_stack(path: Path, wanted: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as archive:
        hip_id = archive["hip_id"].tolist()
    if not wanted.intersection(hip_id):
        return
    # A pool of 100 000 hips is 2 GB of pixels, of which a report shows a hundred images.
    with zipfile.ZipFile(path) as archive, archive.open("radiograph.npy") as file:
        np.lib.format.read_magic(file)
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        if fortran_order or dtype != np.uint8 or shape[0] != len(hip_id):
            raise CohortError(path.name, f"radiographs are {dtype} {shape}", "Make the stack of hips again.")
        for name in hip_id:
            pixels = file.read(shape[1] * shape[2])
            if name in wanted:
                yield name, np.frombuffer(pixels, dtype).reshape(shape[1:])


def embed_radiographs(hips: Sequence[Hip], stacks: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Radiographs as data URLs, each as the hip lies in the patient, one by one in the order of the cohorts.

    Args:
        hips: Those to show.
        stacks: The files ``R/hips/{cohort}.npz``.
    """
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in hips}
    for path in sorted(stacks, key=order_cohorts):
        for name, image in _stream_stack(path, set(mirrored)):
            yield name, embed_jpeg(show_as_in_patient(image, mirrored=mirrored[name]))


def show_as_in_patient(image: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """An image (h, w) as the hip lies in the patient, seen from the front; networks may see it mirrored."""
    return image[:, ::-1] if mirrored else image


def stretch(image: np.ndarray) -> np.ndarray:
    """Stretches the contrast of the body to the full range, (h, w) uint8."""
    body = image[image > 0]
    if not body.size:
        return np.ascontiguousarray(image)
    low, high = np.percentile(body, _STRETCHED)
    return np.rint(255 * np.clip((image - low) / max(high - low, 1), 0, 1)).astype(np.uint8)


def embed_file(path: Path) -> str:
    """A figure as a data URL."""
    return _to_url(path.read_bytes(), _SUFFIXES[path.suffix])


def embed_jpeg(image: np.ndarray) -> str:
    """A radiograph (h, w) uint8 as a data URL, its contrast stretched."""
    return _to_jpeg(stretch(image))


def embed_saliency(image: np.ndarray, saliency: np.ndarray) -> str:
    """A radiograph (h, w) uint8 under its saliency map (h, w), 0 to 1, as a data URL.

    The map is yellow and most opaque where it is 1.
    """
    grey = np.repeat(stretch(image)[..., None] / 255.0, 3, axis=2)
    opacity = np.clip(saliency, 0, 1)[..., None] * 0.65
    colour = colormaps["inferno"](np.clip(0.25 + 0.65 * saliency, 0, 1))[..., :3]
    return _to_jpeg(np.rint(255 * (grey * (1 - opacity) + colour * opacity)).astype(np.uint8))


def _to_jpeg(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _to_url(buffer.getvalue(), "image/jpeg")


def _to_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
