"""Files and radiographs as data URLs, so that the page needs nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

_JPEG_QUALITY = 80
# Of the body alone: what is black, beside it or where the CT ends, and metal have no share in the grey.
_STRETCHED = (1.0, 99.5)
_SUFFIXES = {".svg": "image/svg+xml", ".png": "image/png"}


def embed_file(path: Path) -> str:
    """A figure as a data URL."""
    return _to_url(path.read_bytes(), _SUFFIXES[path.suffix])


def show_as_in_patient(image: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """An image (h, w) as the hip lies in the patient, seen from the front; networks may see it mirrored."""
    return image[:, ::-1] if mirrored else image


def embed_jpeg(image: np.ndarray) -> str:
    """A radiograph (h, w) uint8 as a small data URL, its grey stretched for the eye."""
    return _to_jpeg(Image.fromarray(stretch(image)))


def embed_heat(image: np.ndarray, heat: np.ndarray) -> str:
    """A radiograph (h, w) uint8 under a map (h, w) of 0 to 1, as a small data URL.

    The map is yellow and covers most where it is 1; its colour grows lighter with it.
    """
    grey = np.repeat(stretch(image)[..., None] / 255.0, 3, axis=2)
    share = np.clip(heat, 0, 1)[..., None] * 0.65
    colour = colormaps["inferno"](np.clip(0.25 + 0.65 * heat, 0, 1))[..., :3]
    return _to_jpeg(Image.fromarray(np.rint(255 * (grey * (1 - share) + colour * share)).astype(np.uint8)))


def _to_jpeg(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _to_url(buffer.getvalue(), "image/jpeg")


def stretch(image: np.ndarray) -> np.ndarray:
    """The grey of the body from black to white, (h, w) uint8."""
    body = image[image > 0]
    if not body.size:
        return np.ascontiguousarray(image)
    low, high = np.percentile(body, _STRETCHED)
    return np.rint(255 * np.clip((image - low) / max(high - low, 1), 0, 1)).astype(np.uint8)


def _to_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
