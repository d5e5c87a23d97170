"""How far the built-in locator is off on real CTs, how still it stands, what it makes of CTs without a hip.

    python benchmarks/real_hips.py tests/data --overlays overlays

A folder holds CTs (.nii.gz) and ``heads.csv``: file, side, r, a, s (RAS mm by eye), radius_mm, error_mm; a CT
without a row has no hip. Of CTs that show whole heads every finding is looked for again after resampling,
turning, mirroring, cropping, padding and noise.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.ct.image import Image, to_canonical
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import HipCentres
from hipoa.imaging.localization.locator import locate
from hipoa.imaging.settings import ProjectSettings

Move = Callable[[np.ndarray], np.ndarray]
"""Where a point (3,) of the CT comes to lie, RAS mm."""
OTHER_SIDE = {"L": "R", "R": "L"}
_SPACINGS_MM = ((1, 1, 1), (3, 3, 3), (5, 5, 5), (1, 1, 5))
_ORDERS = ("RAS", "LPS", "LPI", "SAR", "ASL", "PIR", "ILA")
_AIR_MM, _TURN_DEG, _NOISE_HU, _HALF_MM = 60, 15, 60, 50


def find(volume: Volume) -> HipCentres:
    """The hips at the confidence that is needed by default."""
    return locate(volume, find_body(volume), ProjectSettings.model_validate({}).locator_confidence)


def resample(
    volume: Volume, spacing_mm: tuple[float, ...] | np.ndarray, turn: np.ndarray | None = None
) -> tuple[Volume, Move]:
    """The CT on a grid of other voxels, turned about its middle by a matrix (3, 3)."""
    rotation = np.eye(3) if turn is None else turn
    spacing = np.asarray(spacing_mm, float)
    corners = volume.corners_ras_mm
    middle = (corners.min(0) + corners.max(0)) / 2
    half = np.abs((corners - middle) @ rotation.T).max(0)
    shape = np.maximum(2, np.ceil(2 * half / spacing)).astype(int)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = middle - (shape - 1) / 2 * spacing
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = rotation.T, middle - rotation.T @ middle
    index = np.linalg.inv(volume.ras_from_ijk) @ back @ matrix
    # Larger voxels are means, as thicker slices are.
    blur = 0.3 * np.maximum(spacing / volume.spacing_mm - 1, 0)
    smooth = ndimage.gaussian_filter(volume.hu.astype(np.float32), blur)
    hu = ndimage.affine_transform(
        smooth, index[:3, :3], index[:3, 3], tuple(shape), order=1, mode="grid-constant", cval=-1000
    )
    return Volume(hu.astype(np.int16), matrix), lambda point: rotation @ (point - middle) + middle


def crop(volume: Volume, low_ras_mm: np.ndarray, high_ras_mm: np.ndarray) -> Volume:
    """The voxels of a box."""
    index = np.sort(np.rint(volume.ijk(np.stack([low_ras_mm, high_ras_mm]))).astype(int), 0)
    low, high = np.maximum(index[0], 0), np.minimum(index[1] + 1, volume.hu.shape)
    matrix = volume.ras_from_ijk.copy()
    matrix[:3, 3] += volume.ras_from_ijk[:3, :3] @ low
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Volume(np.ascontiguousarray(volume.hu[box]), matrix)


def mirror(volume: Volume) -> Volume:
    """The patient's mirror image, whose sides are exchanged."""
    image = to_canonical(Image(volume.hu, np.diag([-1.0, 1, 1, 1]) @ volume.ras_from_ijk))
    return Volume(image.values, image.ras_from_ijk)


def pad(volume: Volume, width_mm: float) -> Volume:
    """The CT with air about it."""
    wide = np.rint(width_mm / volume.spacing_mm).astype(int)
    matrix = volume.ras_from_ijk.copy()
    matrix[:3, 3] -= matrix[:3, :3] @ wide
    return Volume(np.pad(volume.hu, [(n, n) for n in wide], constant_values=-1000), matrix)


def store(volume: Volume, order: str) -> Volume:
    """The CT read from a file whose axes run otherwise."""
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order))
    stored = np.ascontiguousarray(apply_orientation(volume.hu, turn))
    image = to_canonical(Image(stored, volume.ras_from_ijk @ inv_ornt_aff(turn, volume.hu.shape)))
    return Volume(image.values, image.ras_from_ijk)


def add_noise(volume: Volume, noise_hu: float) -> Volume:
    """The CT with white noise of this standard deviation."""
    noise = np.random.default_rng([3]).normal(0, noise_hu, volume.hu.shape)
    return Volume(np.clip(volume.hu + noise, -1024, 8000).astype(np.int16), volume.ras_from_ijk)


def vary(volume: Volume) -> Iterator[tuple[str, Volume, Move, bool]]:
    """The CT as others might have scanned and stored it: a name, the CT, what moves, whether sides change."""
    for spacing in _SPACINGS_MM:
        yield "x".join(f"{s:g}" for s in spacing) + " mm", *resample(volume, spacing), False
    for axis in "xyz":
        for deg in (-_TURN_DEG, _TURN_DEG):
            turn = Rotation.from_euler(axis, deg, degrees=True).as_matrix()
            yield f"{deg} deg about {axis}", *resample(volume, volume.spacing_mm, turn), False
    yield "mirrored", mirror(volume), lambda point: point * [-1, 1, 1], True
    others = [
        (f"{_AIR_MM} mm of air", pad(volume, _AIR_MM)),
        (f"{_NOISE_HU} HU", add_noise(volume, _NOISE_HU)),
    ]
    others += [(order, store(volume, order)) for order in _ORDERS]
    for name, other in others:
        yield name, other, lambda point: point, False


def measure_stillness(volume: Volume, found: HipCentres) -> Iterator[dict]:
    """By variation and hip how far the finding moved, mm; None where it was lost."""
    for name, other, move, exchanged in vary(volume):
        again = find(other).hips
        for side, hip in found.hips.items():
            there = again.get(OTHER_SIDE[side] if exchanged else side)
            yield {
                "variation": name,
                "side": side,
                "moved_mm": _away(there, move(np.array(hip.centre_ras_mm))),
            }
    for side, hip in found.hips.items():
        centre = np.array(hip.centre_ras_mm)
        near = find(crop(volume, centre - _HALF_MM, centre + _HALF_MM)).hips.get(side)
        yield {
            "variation": f"{2 * _HALF_MM} mm about the head",
            "side": side,
            "moved_mm": _away(near, centre),
        }


def _away(hip: object, centre: np.ndarray) -> float | None:
    return None if hip is None else float(np.linalg.norm(np.array(hip.centre_ras_mm) - centre))


def examine(file: Path, truth: dict[str, dict], overlays: Path | None) -> Iterator[dict]:
    """One row per side that is there, or was found."""
    volume = read_volume(file)
    found = find(volume)
    for side in "LR":
        hip, known = found.hips.get(side), truth.get(side)
        if hip is None and known is None:
            continue
        row: dict = {"file": file.name, "side": side}
        if hip is None:
            row["refused"] = found.missing[side]
        else:
            row |= {"confidence": hip.confidence, "radius_mm": hip.radius_mm, "centre": hip.centre_ras_mm}
            if known:
                row["error_mm"] = _away(hip, known["centre"])
        if known:
            row["eye_mm"] = known["error_mm"]
        yield row
        if overlays:
            draw_overlay(volume, row, known, overlays / f"{file.name.split('.')[0]}_{side}.png")
    if truth and found.hips:
        yield {"file": file.name, "stillness": list(measure_stillness(volume, found))}


def draw_overlay(volume: Volume, row: dict, known: dict | None, out: Path) -> None:
    """Three planes through the head: green where it was found, yellow where the eye sees it."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    centre = np.array(row["centre"] if "centre" in row else known["centre"])
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2))
    line = np.arange(-70, 70, 0.5)
    for panel, (across, up) in zip(axes, ((0, 2), (0, 1), (1, 2)), strict=True):
        points = np.tile(centre, (len(line), len(line), 1))
        points[..., across] += line[None, :]
        points[..., up] += line[::-1, None]
        index = np.moveaxis(volume.ijk(points), -1, 0)
        hu = ndimage.map_coordinates(
            volume.hu.astype(np.float32), index, order=1, mode="constant", cval=-1000
        )
        flip = -1 if across == 0 else 1
        extent = [flip * -70, flip * 70, -70, 70]
        panel.imshow(hu, cmap="gray", vmin=-200, vmax=600, extent=extent)
        circles = [(centre, row["radius_mm"], "lime")] if "centre" in row else []
        circles += [(known["centre"], known["radius_mm"], "yellow")] if known else []
        for at, radius, colour in circles:
            aside, above, off = (
                at[across] - centre[across],
                at[up] - centre[up],
                (set(range(3)) - {across, up}).pop(),
            )
            seen = np.sqrt(max(radius**2 - (at[off] - centre[off]) ** 2, 0))
            panel.add_patch(plt.Circle((aside, above), seen, fill=False, color=colour, lw=1))
        panel.set_xlim(*([70, -70] if across == 0 else [-70, 70]))
        panel.set_title(("coronal", "axial", "sagittal")[list(axes).index(panel)])
        panel.axis("off")
    said = (
        f"error {row['error_mm']:.1f} mm, confidence {row['confidence']}"
        if "error_mm" in row
        else str(row.get("refused", "no head here"))
    )
    figure.suptitle(f"{row['file']} {row['side']}: {said}", fontsize=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=70, bbox_inches="tight")
    plt.close(figure)


def read_truth(file: Path) -> dict[str, dict[str, dict]]:
    """By file and side the centre (3,), radius and error of the eye, mm."""
    truth: dict[str, dict[str, dict]] = {}
    for row in csv.DictReader(file.open()):
        centre = np.array([float(row[axis]) for axis in "ras"])
        numbers = {name: float(row[name]) for name in ("radius_mm", "error_mm")}
        truth.setdefault(row["file"], {})[row["side"]] = {"centre": centre, **numbers}
    return truth


def main() -> None:
    """Prints a line per hip, and how still the findings stand."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the CTs")
    parser.add_argument(
        "--heads", type=Path, help="the table of centres; heads.csv of the folder if not given"
    )
    parser.add_argument("--overlays", type=Path, help="where to draw the heads on three planes")
    parser.add_argument("--json", type=Path, help="where to write all rows")
    options = parser.parse_args()
    truth = read_truth(options.heads or options.folder / "heads.csv")
    files, rows = sorted(options.folder.rglob("*.nii.gz")), []
    for file in files:
        if "masks" in file.parts:
            continue
        found = list(examine(file, truth.get(file.name, {}), options.overlays))
        rows += found
        if not found:
            print(f"{file.name}: no hip, none found")
        for row in found:
            if "stillness" in row:
                moved = [each["moved_mm"] for each in row["stillness"]]
                kept = [each for each in moved if each is not None]
                print(
                    f"{row['file']}: {len(moved)} variations, {moved.count(None)} lost, "
                    f"moved by at most {max(kept):.1f} mm"
                )
            else:
                print(", ".join(f"{key} {value}" for key, value in row.items() if key != "centre"))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
