"""Images as the page shows them: 16 bits, seen from the front, never mirrored, with the file's hash."""

from __future__ import annotations

import hashlib
import io
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from hipoa.core.errors import ReadingError

# A hundred views of 500 x 500 pixels are 50 MB.
_KEPT = 100
_MAX_PX = 4096


@dataclass(frozen=True)
class ImageFile:
    """Where an image lies and what the tables say of it.

    Attributes:
        path: A PNG of 8 or 16 bits.
        source: view or radiograph.
        side: L, R or both.
        mirrored: The file shows the hip mirrored, so it must be turned back.
        mm_per_px: Scale, mm.
        head: (x, y, radius) of the femoral head, pixels; NaN where not known.
    """

    path: Path
    source: str
    side: str
    mirrored: bool
    mm_per_px: float
    head: tuple[float, ...] = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Shown:
    """An image that was read.

    Attributes:
        pixels: (H, W) uint16, bone bright, the patient's right at the image's left.
        sha256: Of the file.
        window: (low, high) pixel values to open it with.
        file: What was read.
    """

    pixels: np.ndarray
    sha256: str
    window: tuple[int, int]
    file: ImageFile

    def describe(self) -> dict[str, Any]:
        """What the page needs to know of it, as JSON; no path."""
        height, width = self.pixels.shape
        x, y, radius = (None if math.isnan(value) else value for value in self.file.head)
        return {
            "width": width,
            "height": height,
            "mm_per_px": self.file.mm_per_px,
            "window": list(self.window),
            "source": self.file.source,
            "sha256": self.sha256,
            "head": None if x is None or y is None else [x, y, radius],
        }


class ImageStore:
    """Reads images and keeps the last ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Shown] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, file: ImageFile) -> Shown:
        """An image, from memory if it was read lately.

        Raises:
            ReadingError: It cannot be read, or says another side than the tables.
        """
        with self._lock:
            if file.path in self._kept:
                self._kept.move_to_end(file.path)
                # Both hips share the pelvis view, but each has its own place in it.
                return replace(self._kept[file.path], file=file)
        shown = read_image(file)
        with self._lock:
            self._kept[file.path] = shown
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return shown


def read_image(file: ImageFile) -> Shown:
    """Reads one PNG and turns it as the patient is seen from the front.

    Raises:
        ReadingError: The file is missing or damaged, or its own text names another side.
    """
    try:
        content = file.path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as png:
            if max(png.size) > _MAX_PX:
                raise ReadingError(file.path.name, f"{png.size} pixels are too many", "Make it again.")
            pixels = np.asarray(png)
            texts: dict[str, str] = getattr(png, "text", {})
    except (OSError, UnidentifiedImageError, SyntaxError):
        raise ReadingError(file.path.name, "the image cannot be read", "Run snakemake again.") from None
    _check_side(file, texts)
    if pixels.ndim != 2:
        raise ReadingError(file.path.name, "the image is not grey", "Run snakemake again.")
    wide = pixels.astype(np.uint16) * 257 if pixels.dtype == np.uint8 else pixels.astype(np.uint16)
    turned = np.ascontiguousarray(wide[:, ::-1] if file.mirrored else wide)
    return Shown(turned, hashlib.sha256(content).hexdigest(), _open_window(turned, texts), file)


def _check_side(file: ImageFile, texts: dict[str, str]) -> None:
    # The tables and the file were written by two stages: if they differ, one of them is another run's.
    said = texts.get("side", file.side), texts.get("mirrored", "yes" if file.mirrored else "no")
    if said != (file.side, "yes" if file.mirrored else "no"):
        raise ReadingError(
            file.path.name,
            f"the image says side {said[0]}, mirrored {said[1]}, the table side {file.side}",
            "Run snakemake again; do not read this hip.",
        )


def _open_window(pixels: np.ndarray, texts: dict[str, str]) -> tuple[int, int]:
    try:
        white = float(texts["window_high"])
        low, high = (65535 * float(texts[name]) / white for name in ("shown_low", "shown_high"))
    except (KeyError, ValueError, ZeroDivisionError):
        low, high = np.percentile(pixels, (1, 99.8))
    low = int(np.clip(low, 0, 65534))
    return low, int(np.clip(high, low + 1, 65535))
