"""From line integrals to 8-bit radiographs of 150 x 150 pixels, the same window for every patient."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hipoa.core.constants import HIP_COLUMNS, RADIOGRAPH_PX, SHARD_COLUMNS
from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, read_npz, replacing, write_csv, write_npz
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.settings import DevelopSettings


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
    for row in rows:
        row |= dict.fromkeys(SHARD_COLUMNS[len(HIP_COLUMNS) :], "")
        if (number := index.get(row["hip_id"])) is None:
            continue
        projection = Projection(arrays["line_integral"][number], float(arrays["mm_per_px"][number]))
        images[number], texts = develop_hip(projection, row["side"], settings)
        file = png / f"{row['hip_id']}.png"
        write_png(file, images[number], texts)
        row["png"] = Path(os.path.relpath(file, out.parent)).as_posix()
        row["mm_per_px"] = texts["mm_per_px"]
        row["mirrored"] = texts["mirrored"].removesuffix("no")
    scale = np.full(len(index), settings.crop_mm / RADIOGRAPH_PX)
    write_npz(radiographs, {"hip_id": arrays["hip_id"], "radiograph": images, "mm_per_px": scale})
    remove_old_pngs(out, ("png",), rows)
    write_csv(out, [*(rows[0] if rows else SHARD_COLUMNS)], rows)


def develop_hip(
    projection: Projection, side: str, settings: DevelopSettings
) -> tuple[np.ndarray, dict[str, str]]:
    """The radiograph (150, 150) uint8 of a hip, mirrored if it is to be, and its PNG's text chunks.

    Raises:
        ConfigError: The crop is larger than the field of view.
    """
    image = develop(projection, settings)
    mirrored = settings.mirror_left and side == "L"
    mm_per_px = settings.crop_mm / RADIOGRAPH_PX
    texts = describe_image(projection, side, mm_per_px=mm_per_px, mirrored=mirrored)
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image), texts


def develop(projection: Projection, settings: DevelopSettings) -> np.ndarray:
    """A radiograph (150, 150) uint8 of a line integral image, not mirrored; bone is bright.

    Raises:
        ConfigError: The crop is larger than the field of view.
    """
    height, width = projection.line_integral.shape
    half = settings.crop_mm / projection.mm_per_px / 2
    # Half a pixel of rounding is no reason to refuse the whole field.
    if 2 * half > min(height, width) + 0.5:
        field_mm = min(height, width) * projection.mm_per_px
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


def describe_image(projection: Projection, side: str, *, mm_per_px: float, mirrored: bool) -> dict[str, str]:
    """The text chunks of a radiograph's PNG, without the patient."""
    line_integral = projection.line_integral.astype("<f4").tobytes()
    return {
        "side": side,
        "mirrored": "yes" if mirrored else "no",
        "mm_per_px": f"{mm_per_px:g}",
        "source_sha256": hashlib.sha256(line_integral).hexdigest(),
    }


def write_png(path: Path, image: np.ndarray, texts: Mapping[str, str]) -> None:
    """Writes a grey PNG of an image (H, W) uint8 or uint16, with text chunks by keyword."""
    chunks = PngInfo()
    for keyword, text in texts.items():
        chunks.add_text(keyword, text)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, pnginfo=chunks)


def remove_old_pngs(table: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Removes the PNGs that the table to be replaced names and the new rows do not, and no others."""
    kept = {row.get(column) for row in rows for column in columns}
    old = read_csv(table) if table.is_file() else []
    for name in {row.get(column, "") for row in old for column in columns} - kept - {""}:
        (table.parent / name).unlink(missing_ok=True)
