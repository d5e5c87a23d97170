"""Hip centres from a segmentation: a label map, or a folder of masks, of femora and hip bones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from hipoa.errors import CtError
from hipoa.imaging.hips import Hip, HipCentres
from hipoa.imaging.spheres import Sphere, fit_sphere_robustly
from hipoa.imaging.volume import read_image, to_ras
from hipoa.tables import SIDES

NAMES = ("femur_left", "femur_right", "hip_left", "hip_right")
# TotalSegmentator's values of these in its version 1; those of version 2 are the setting's default.
_VERSION_1 = (88, 89, 90, 91)
_SHOWN_VALUES = 12
CHECK_LABELS = (
    f"Check label_ids (TotalSegmentator 2: 75, 76, 77, 78; 1: {', '.join(map(str, _VERSION_1))}) and that "
    "the labels are of this CT."
)
"""What to do about labels that show no head where one must be."""
HEAD_RADIUS_MM = (15.0, 34.0)
# Joint space, cartilage and the rounding of two masks: the head's surface lies this near the hip bone.
_NEAR_SOCKET_MM = 8.0
_PROXIMAL_MM = 60.0

_FEMORA = {"femur_left", "femur_right"}
Mask = tuple[np.ndarray, np.ndarray]


def locate_by_labels(path: Path, label_ids: tuple[int, int, int, int]) -> HipCentres:
    """Fits a sphere to each femoral head of a segmentation.

    Args:
        path: A label map, or a folder with ``femur_left.nii.gz``, ``hip_left.nii.gz`` and so on.
        label_ids: The values of :data:`NAMES` in a label map.

    Raises:
        CtError: There is no femur in it, it cannot be read, or it exchanges the sides.
    """
    masks = _read_folder(path) if path.is_dir() else _read_map(path, label_ids)
    hips: dict[str, Hip] = {}
    missing: dict[str, str] = {}
    advice: dict[str, str] = {}
    for side, word in zip(SIDES, ("left", "right"), strict=True):
        femur = masks.get(f"femur_{word}")
        sphere = None if femur is None else fit_head(femur, masks.get(f"hip_{word}"))
        if femur is None:
            missing[side] = f"no hip found: the labels show no femur_{word}"
        elif sphere is None:
            missing[side] = f"no hip found: femur_{word} of the labels has no spherical head"
            advice[side] = f"{CHECK_LABELS} Or mark it by landmarks, or exclude it."
        else:
            hips[side] = _hip(side, sphere)
    return HipCentres(hips, missing, advice)


def fit_head(femur: Mask, pelvis: Mask | None) -> Sphere | None:
    """The sphere of the femoral head in RAS mm, or None if there is none.

    Only the femur's surface that faces the hip bone is used where both are on one grid, otherwise
    that of the femur's upper end: holes left by metal and the volume's end are no surface of the head.

    Args:
        femur: A mask (i, j, k) and its ras_from_ijk.
        pelvis: The same of the hip bone of that side, if it is known.
    """
    array, matrix = femur
    faces = surface(array)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    points = to_ras(matrix, faces)
    facing = np.zeros(len(faces), bool)
    if pelvis is not None and pelvis[0].shape == array.shape and np.allclose(pelvis[1], matrix, atol=1e-3):
        away = np.asarray(distance_transform_edt(~pelvis[0], sampling=spacing))
        lower, upper = np.floor(faces).astype(int), np.ceil(faces).astype(int)
        facing = np.minimum(away[tuple(lower.T)], away[tuple(upper.T)]) < _NEAR_SOCKET_MM + spacing.max()
    if facing.sum() < 60:
        facing = points[:, 2] > points[:, 2].max() - _PROXIMAL_MM
    return fit_sphere_robustly(
        points[facing], radius_mm=HEAD_RADIUS_MM, tolerance_mm=max(1.0, 0.6 * float(spacing.max()))
    )


def surface(mask: np.ndarray) -> np.ndarray:
    """The middles of the faces between mask and background, as voxel indices (n, 3).

    Faces on the array's border do not count: there the CT ends, not the bone.
    """
    found = []
    for axis in range(3):
        here = np.argwhere(np.diff(mask.astype(np.int8), axis=axis)).astype(float)
        here[:, axis] += 0.5
        found.append(here)
    return np.concatenate(found)


def _hip(side: str, sphere: Sphere) -> Hip:
    r, a, s = (round(float(x), 2) for x in sphere.centre_mm)
    # Half of the surface on one sphere is as much as a head with a fovea and a neck can have.
    confidence = round(min(1.0, 2 * sphere.inliers), 3)
    warnings = ("the femoral head of the labels is hardly a sphere",) if confidence < 0.5 else ()
    return Hip(side, (r, a, s), round(sphere.radius_mm, 2), "labels", confidence, warnings)


def _read_folder(folder: Path) -> dict[str, Mask]:
    masks: dict[str, Mask] = {}
    for name in NAMES:
        for suffix in (".nii.gz", ".nii", ".mha", ".mhd"):
            if name not in masks and (folder / (name + suffix)).is_file():
                array, matrix = read_image(folder / (name + suffix))
                _keep(masks, name, array > 0, matrix)
    if not masks.keys() & _FEMORA:
        raise CtError(
            folder.name,
            "the folder shows no femur: it has no file femur_left or femur_right that is not empty",
            "Name the masks femur_left.nii.gz, femur_right.nii.gz, hip_left.nii.gz and hip_right.nii.gz.",
        )
    return masks


def _read_map(path: Path, label_ids: tuple[int, int, int, int]) -> dict[str, Mask]:
    array, matrix = read_image(path)
    masks: dict[str, Mask] = {}
    for name, label in zip(NAMES, label_ids, strict=True):
        _keep(masks, name, array == label, matrix)
    if not masks.keys() & _FEMORA:
        raise _no_femur(path, [int(value) for value in np.unique(array) if value], label_ids)
    return masks


def _no_femur(path: Path, values: list[int], label_ids: tuple[int, int, int, int]) -> CtError:
    """What a label map holds instead of femora, and which label_ids to set."""
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    held = ", ".join(map(str, values[:_SHOWN_VALUES])) + more if values else "none but 0"
    found = (
        f"it shows no femur: label_ids names the values {label_ids[0]} and {label_ids[1]}, it holds {held}"
    )
    if not values:
        return CtError(path.name, found, "Give another label map, or none: the locator looks for the heads.")
    if set(_VERSION_1[:2]) & set(values):
        do = f"If it is TotalSegmentator's version 1, set label_ids to {list(_VERSION_1)}"
    else:
        do = f"Set label_ids to its values of {', '.join(NAMES)}"
    return CtError(path.name, found, f"{do}; or give no labels: the locator looks for the heads.")


def _keep(masks: dict[str, Mask], name: str, mask: np.ndarray, matrix: np.ndarray) -> None:
    if mask.any():
        masks[name] = (mask, matrix)
