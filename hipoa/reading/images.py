"""Images as the page shows them: 16 bits, seen from the front, never mirrored, with the file's hash."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from hipoa.core.errors import ReadingError

_MAX_PX = 4096
# The acetabular roof reaches to about one and a half radii from the middle of the head.
_JOINT_RADII = 1.8
# The densest bone stays this share of the window below white, so that its own shades are told apart.
_ABOVE_BONE = 0.05


@dataclass(frozen=True)
class ImageFile:
    """Where an image lies and what the tables say of it."""

    path: Path  # a PNG of 8 or 16 bits
    source: str  # view or radiograph
    side: str  # L, R or both
    mirrored: bool  # the file shows the hip mirrored
    mm_per_px: float  # scale, mm
    # (x, y, radius) of the femoral head, pixels; NaN where not known.
    head: tuple[float, ...] = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class LoadedImage:
    """An image that was read."""

    pixels: np.ndarray  # (H, W) uint16, bone bright, the patient's right at the image's left
    sha256: str  # of the file
    window: tuple[int, int]  # (low, high) pixel values to open it with
    file: ImageFile  # what was read

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


def load_image(file: ImageFile) -> LoadedImage:
    """Reads a PNG, or takes it from memory, and turns it as the patient is seen from the front.

    Raises:
        ReadingError: The file is missing or damaged, or its own text names another side.
    """
    # Both hips share the view of the pelvis, but each has its own head in it, without a radius.
    head = file.head if not any(map(math.isnan, file.head)) else None
    return LoadedImage(*_load(file.path, file.side, head, mirrored=file.mirrored), file)


@lru_cache(100)  # of views of 500 x 500 pixels 50 MB; the CT slices of a hip take 3 MB
def _load(
    path: Path, side: str, head: tuple[float, ...] | None, *, mirrored: bool
) -> tuple[np.ndarray, str, tuple[int, int]]:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as png:
            if max(png.size) > _MAX_PX:
                raise ReadingError(path.name, f"{png.size} pixels are too many", "Run snakemake again.")
            pixels = np.asarray(png)
            texts: dict[str, str] = getattr(png, "text", {})
    except (OSError, UnidentifiedImageError, SyntaxError):
        raise ReadingError(path.name, "the image cannot be read", "Run snakemake again.") from None
    # The tables and the file were written by two stages: if they differ, one of them is of another run.
    expected = (side, "yes" if mirrored else "no")
    found = texts.get("side", side), texts.get("mirrored", expected[1])
    if found != expected:
        raise ReadingError(
            path.name,
            f"the image says side {found[0]}, mirrored {found[1]}, the table side {side}",
            "Run snakemake again; do not read this hip.",
        )
    if pixels.ndim != 2:
        raise ReadingError(path.name, "the image is not grey", "Run snakemake again.")
    wide = pixels.astype(np.uint16) * (257 if pixels.dtype == np.uint8 else 1)
    turned = np.ascontiguousarray(wide[:, ::-1] if mirrored else wide)
    return turned, hashlib.sha256(content).hexdigest(), _choose_window(turned, texts, head)


def _choose_window(
    pixels: np.ndarray, texts: dict[str, str], head: tuple[float, ...] | None
) -> tuple[int, int]:
    """From the grey of the body, as the file says, but white no darker than the densest bone at the joint.

    The file's white is a percentile of the whole image. In a sclerotic roof, which is small, the bone would
    be white throughout, and its edges would not be seen.
    """
    try:
        white = float(texts["window_high"])
        low, high = (65535 * float(texts[name]) / white for name in ("shown_low", "shown_high"))
    except (KeyError, ValueError, ZeroDivisionError):
        low, high = np.percentile(pixels, (1, 99.8))
    if head is not None:
        x, y, reach = head[0], head[1], _JOINT_RADII * head[2]
        top, left = max(0, math.floor(y - reach)), max(0, math.floor(x - reach))
        box = pixels[top : math.ceil(y + reach), left : math.ceil(x + reach)]
        rows, columns = np.ogrid[: box.shape[0], : box.shape[1]]
        joint = box[(columns + left - x) ** 2 + (rows + top - y) ** 2 < reach**2]
        if joint.size:
            densest = float(np.percentile(joint, 99.9))
            high = max(high, densest + _ABOVE_BONE * max(0.0, densest - low))
    low = int(np.clip(low, 0, 65534))
    return low, int(np.clip(high, low + 1, 65535))
