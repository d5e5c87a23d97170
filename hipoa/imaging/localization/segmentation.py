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
HEAD_RADIUS_MM = (15.0, 34.0)
# Joint space, cartilage and the rounding of two masks: the head's surface lies this near the hip bone.
_NEAR_SOCKET_MM = 8.0
_PROXIMAL_MM = 60.0

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
    if not any(name.startswith("femur") for name in masks):
        raise CtError(
            path.name,
            "it shows no femur",
            f"Give masks named femur_left and femur_right, or a label map with the values {label_ids}.",
        )
    hips: dict[str, Hip] = {}
    missing: dict[str, str] = {}
    for side, word in zip(SIDES, ("left", "right"), strict=True):
        femur = masks.get(f"femur_{word}")
        sphere = None if femur is None else fit_head(femur, masks.get(f"hip_{word}"))
        if femur is None:
            missing[side] = f"no hip found: the labels show no femur_{word}"
        elif sphere is None:
            missing[side] = f"no hip found: femur_{word} of the labels has no spherical head"
        else:
            hips[side] = _hip(side, sphere)
    return HipCentres(hips, missing)


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
    return masks


def _read_map(path: Path, label_ids: tuple[int, int, int, int]) -> dict[str, Mask]:
    array, matrix = read_image(path)
    masks: dict[str, Mask] = {}
    for name, label in zip(NAMES, label_ids, strict=True):
        _keep(masks, name, array == label, matrix)
    return masks


def _keep(masks: dict[str, Mask], name: str, mask: np.ndarray, matrix: np.ndarray) -> None:
    if mask.any():
        masks[name] = (mask, matrix)
