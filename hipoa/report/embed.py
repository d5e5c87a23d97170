"""Files and radiographs as data URLs, so that the page needs nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_SUFFIXES = {".svg": "image/svg+xml", ".png": "image/png"}


def embed_file(path: Path) -> str:
    """A figure as a data URL."""
    return _to_url(path.read_bytes(), _SUFFIXES[path.suffix])


def embed_radiograph(image: np.ndarray) -> str:
    """A radiograph (h, w) uint8 as a data URL, its grey stretched for the eye."""
    buffer = io.BytesIO()
    stretched = ImageOps.autocontrast(Image.fromarray(np.ascontiguousarray(image)), cutoff=(1, 0.2))
    stretched.save(buffer, format="PNG", optimize=True)
    return _to_url(buffer.getvalue(), "image/png")


def _to_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
