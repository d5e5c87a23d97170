"""From line integrals to 8-bit radiographs of 150 x 150 pixels, the same window for every patient."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, read_npz, replacing, write_csv, write_npz
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.settings import DevelopSettings

RADIOGRAPH_PX = 150
"""Source: the source work's radiographs have 150 x 150 pixels."""

ADDED_COLUMNS = ("png", "mm_per_px", "mirrored")


def run(
    settings: DevelopSettings,
    *,
    projections: Path,
    stack: Path,
    out: Path,
    radiographs: Path,
    png: Path,
) -> None:
    """Develops the line integrals of one shard.

    Args:
        settings: Crop, window, mirroring.
        projections: The shard's table, as project writes it.
        stack: The shard's line integrals.
        out: The table to write.
        radiographs: The .npz to write: hip_id (n,), radiograph (n, 150, 150) uint8, mm_per_px (n,).
        png: The folder of the PNGs, which show what the networks see.

    Raises:
        ConfigError: The crop is larger than the field of view.
    """
    arrays = read_npz(stack)
    index = {name: number for number, name in enumerate(arrays["hip_id"].tolist())}
    rows = read_csv(projections)
    images = np.zeros((len(index), RADIOGRAPH_PX, RADIOGRAPH_PX), np.uint8)
    mm_per_px = settings.crop_mm / RADIOGRAPH_PX
    for row in rows:
        if (number := index.get(row["hip_id"])) is None:
            row |= dict.fromkeys(ADDED_COLUMNS, "")
            continue
        projection = Projection(arrays["line_integral"][number], float(arrays["mm_per_px"][number]))
        mirrored = settings.mirror_left and row["side"] == "L"
        image = develop(projection, settings)
        images[number] = image[:, ::-1] if mirrored else image
        file = png / f"{row['hip_id']}.png"
        texts = describe(projection, row["side"], mm_per_px=mm_per_px, mirrored=mirrored)
        write_png(file, images[number], texts)
        row |= {
            "png": Path(os.path.relpath(file, out.parent)).as_posix(),
            "mm_per_px": f"{mm_per_px:g}",
            "mirrored": "yes" if mirrored else "",
        }
    scale = np.full(len(index), mm_per_px)
    write_npz(radiographs, {"hip_id": arrays["hip_id"], "radiograph": images, "mm_per_px": scale})
    columns = [*(rows[0] if rows else _header(projections)), *(() if rows else ADDED_COLUMNS)]
    forget(out, ("png",), rows)
    write_csv(out, columns, rows)


def develop(projection: Projection, settings: DevelopSettings) -> np.ndarray:
    """A radiograph (150, 150) uint8 of a line integral image, not mirrored; bone is bright.

    Raises:
        ConfigError: The crop is larger than the field of view.
    """
    height, width = projection.line_integral.shape
    half = settings.crop_mm / projection.mm_per_px / 2
    # Half a pixel of rounding is no reason to refuse the whole field.
    field_mm = min(height, width) * projection.mm_per_px
    if 2 * half > min(height, width) + 0.5:
        raise ConfigError(
            "develop.crop_mm",
            f"{settings.crop_mm:g} mm is more than the {field_mm:g} mm projected",
            "Lower it, or raise project.field_of_view_mm.",
        )
    half = min(half, height / 2, width / 2)
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    # Pillow widens the filter when it shrinks, so that fine structures do not alias.
    resized = Image.fromarray(projection.line_integral).resize(
        (RADIOGRAPH_PX, RADIOGRAPH_PX), Image.Resampling.BILINEAR, box=box
    )
    share = (np.asarray(resized) - settings.window_low) / (settings.window_high - settings.window_low)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def describe(projection: Projection, side: str, *, mm_per_px: float, mirrored: bool) -> dict[str, str]:
    """What a radiograph's PNG says of itself; whose it is, only its name says."""
    return {
        "side": side,
        "mirrored": "yes" if mirrored else "no",
        "mm_per_px": f"{mm_per_px:g}",
        "source_sha256": hash_source(projection),
    }


def hash_source(projection: Projection) -> str:
    """The SHA-256 of a line integral image's numbers, in hexadecimal."""
    return hashlib.sha256(projection.line_integral.astype("<f4").tobytes()).hexdigest()


def write_png(path: Path, image: np.ndarray, texts: Mapping[str, str]) -> None:
    """Writes a grey PNG, of 8 bits or of 16 as the image has.

    Args:
        path: The file.
        image: (H, W) uint8 or uint16.
        texts: Text chunks, keyword to text.
    """
    chunks = PngInfo()
    for keyword, text in texts.items():
        chunks.add_text(keyword, text)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, pnginfo=chunks)


def forget(table: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Removes the PNGs that the table to be replaced names and the new rows do not, and no others."""
    kept = {row.get(column) for row in rows for column in columns}
    old = read_csv(table) if table.is_file() else []
    for name in {row.get(column, "") for row in old for column in columns} - kept - {""}:
        (table.parent / name).unlink(missing_ok=True)


def _header(table: Path) -> list[str]:
    return table.read_text(encoding="utf-8").splitlines()[0].split(",")
