"""The CT of the comparisons: a synthetic pelvis, 512 x 512 x 400 voxels of 0.75 x 0.75 x 1.25 mm, int16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from hipoa.phantom.anatomy.solids import Grid
from hipoa.phantom.cohort.measure import measure_hip
from hipoa.phantom.cohort.members import plan_cases
from hipoa.phantom.phantom import build_case
from hipoa.phantom.scanner.scanner import add_noise
from hipoa.phantom.scanner.voxels import render
from hipoa.phantom.settings import PhantomSettings

SHAPE, SPACING_MM = (512, 512, 400), (0.75, 0.75, 1.25)
_SEED = 4
# Sockets this far above the lowest slice.
_BELOW_MM = 180.0


@dataclass(frozen=True)
class BuiltCase:
    """The files of the case, and where its heads are.

    Attributes:
        packed: The CT as .nii.gz, stored as most converters do: first axis to the left, second to the back.
        plain: The same, not compressed.
        landmarks: The table of hip centres.
        centres_ras_mm: The same by side, (3,) each.
    """

    packed: Path
    plain: Path
    landmarks: Path
    centres_ras_mm: dict[str, np.ndarray]


def make_case(folder: Path, quick: bool = False) -> BuiltCase:
    """Writes the case, or reuses what an earlier run wrote.

    Args:
        folder: Where its files lie.
        quick: A quarter of the resolution along each axis.
    """
    case = BuiltCase(folder / "ct.nii.gz", folder / "ct.nii", folder / "landmarks.csv", {})
    hips = _patient()
    for side, hip in hips.items():
        centre = measure_hip(hip).centre
        case.centres_ras_mm[side] = np.array([centre[0] * (1 if side == "R" else -1), *centre[1:]])
    if case.packed.is_file():
        return case
    folder.mkdir(parents=True, exist_ok=True)
    coarse = 4 if quick else 2
    hu, matrix = _draw(hips, coarse)
    if not quick:
        hu = _double(hu)
        matrix = matrix @ np.diag([0.5, 0.5, 0.5, 1.0])
    hu = add_noise(hu, 12.0, np.random.default_rng([_SEED]))
    # Stored from right to left and from front to back, as DICOM converters write it.
    image = nib.Nifti1Image(hu[::-1, ::-1], matrix @ _flip(hu.shape))
    image.header.set_xyzt_units("mm")
    nib.save(image, case.plain)
    rows = [",".join([side, *(f"{x:.3f}" for x in c)]) for side, c in case.centres_ras_mm.items()]
    header = "side,centre_r_mm,centre_a_mm,centre_s_mm"
    case.landmarks.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    nib.save(image, case.packed)
    return case


def _patient() -> dict:
    settings = PhantomSettings.model_validate({})
    return build_case(settings, plan_cases({"labelled": 1, "external": 0, "pool": 0})["labelled"][0])


def _draw(hips: dict, coarse: int) -> tuple[np.ndarray, np.ndarray]:
    """HU (float32) in voxels larger by a factor, and their matrix, whose RAS is the patient's own frame."""
    shape = tuple(n // coarse for n in SHAPE)
    spacing = np.array(SPACING_MM) * coarse
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = [-SHAPE[0] / 2 * SPACING_MM[0], -SHAPE[1] / 2 * SPACING_MM[1], -_BELOW_MM]
    rng = np.random.default_rng([_SEED])
    return render(Grid((shape[0], shape[1], shape[2]), matrix), hips, {}, rng), matrix


def _double(hu: np.ndarray) -> np.ndarray:
    """Twice as many voxels along each axis, interpolated linearly; the last ones are repeated."""
    for axis in range(3):
        after = np.concatenate([hu, hu.take([-1], axis)], axis)
        ends = [slice(None)] * 3
        ends[axis] = slice(1, None)
        middle = (hu + after[tuple(ends)]) / 2
        hu = np.stack([hu, middle], axis + 1).reshape([n * (1 + (a == axis)) for a, n in enumerate(hu.shape)])
    return hu


def _flip(shape: tuple[int, ...]) -> np.ndarray:
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    turn[:2, 3] = np.array(shape[:2]) - 1
    return turn
