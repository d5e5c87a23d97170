"""Hip centres from a segmentation of femora and hip bones: a label map, or a folder of masks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from hipoa.core.constants import SIDE_NAMES
from hipoa.core.errors import CtError
from hipoa.imaging.ct.image import to_ras
from hipoa.imaging.localization.hip_centres import LEAST_APART_MM, Hip, HipCentres
from hipoa.imaging.localization.label_maps import LabelMap, Region, read_folder
from hipoa.imaging.localization.names import KNOWN_BONES
from hipoa.imaging.localization.sphere_fit import Sphere, fit_sphere_robustly

NAMES = ("femur_left", "femur_right", "hip_left", "hip_right")
# TotalSegmentator's values of these in its task "total"; those of version 2 are the setting's default. In
# version 1 the values 75 to 78 are right ribs, in version 2 are 88 and 89 the iliopsoas, 90 brain, 91 skull.
VERSION_1, VERSION_2 = (88, 89, 90, 91), (75, 76, 77, 78)
# MOOSE's model clin_ct_peripheral_bones, whose name its files bear: no hip bone, which is another model's.
# Source: its table of labels (github.com/ENHANCE-PET/MOOSE), in whose versions only other bones moved.
_MOOSE = {"femur_left": (0, 5), "femur_right": (0, 6)}
_NAMES_MOOSE = re.compile(r"peripheral[ _-]?bones", re.IGNORECASE)
_SHOWN_VALUES = 12
CHECK_LABELS = (
    f"Check label_ids (TotalSegmentator 2: 75, 76, 77, 78; 1: {', '.join(map(str, VERSION_1))}) and that "
    "the labels are of this CT."
)
"""What to do about labels that show no head where there must be one."""
_HEAD_RADIUS_MM = (15.0, 34.0)
# Joint space, cartilage and the rounding of two masks: the head's surface lies this near the hip bone.
_NEAR_SOCKET_MM = 8.0
_PROXIMAL_MM = 60.0
_LEAST_FACING = 60
_SURE = 0.5


def locate_by_labels(path: Path, label_ids: tuple[int, int, int, int]) -> HipCentres:
    """Fits a sphere to each femoral head of a label map, or of a folder of masks (``femur_left.nii.gz`` ...).

    Args:
        path: The file or folder.
        label_ids: The values of :data:`NAMES` in a label map that does not name its segments. Those of
            TotalSegmentator's version 2 stand for its version 1 too, where the heads show that it is.

    Raises:
        CtError: There is no femur in it, it cannot be read, or it exchanges the sides.
    """
    regions, note = (_read_folder(path), "") if path.is_dir() else _read_map(path, label_ids)
    hips: dict[str, Hip] = {}
    missing: dict[str, str] = {}
    advice: dict[str, str] = {}
    for side, word in SIDE_NAMES.items():
        femur = regions.get(f"femur_{word}", regions.get(f"head_{word}"))
        pelvis = regions.get(f"hip_{word}", regions.get("pelvis"))
        sphere = None if femur is None else fit_head(femur, pelvis)
        if femur is None:
            missing[side] = f"no hip found: the labels show no femur_{word}"
        elif sphere is None:
            missing[side] = f"no hip found: femur_{word} of the labels has no spherical head"
            advice[side] = f"{CHECK_LABELS} Or mark it by landmarks, or exclude it."
        else:
            hips[side] = _make_hip(side, sphere, note)
    return HipCentres(hips, missing, advice)


def fit_head(femur: Region, pelvis: Region | None) -> Sphere | None:
    """The sphere of the femoral head in RAS mm, or None if there is none.

    Of the femur, or of its head alone, only the surface that faces the hip bone is used where both are on one
    grid, else that of its upper end: holes left by metal and the volume's end are no surface of the head.
    """
    points, facing = _find_facing(femur, pelvis)
    if not facing.any():
        facing = points[:, 2] > points[:, 2].max(initial=-np.inf) - _PROXIMAL_MM
    tolerance_mm = max(1.0, 0.6 * float(femur.spacing_mm.max()))
    return fit_sphere_robustly(points[facing], radius_mm=_HEAD_RADIUS_MM, tolerance_mm=tolerance_mm)


def _find_facing(femur: Region, pelvis: Region | None) -> tuple[np.ndarray, np.ndarray]:
    """The femur's surface in RAS mm (n, 3), and which of it faces the hip bone (n,), if enough does."""
    spacing = femur.spacing_mm
    near_mm = _NEAR_SOCKET_MM + spacing.max()
    box = femur.widen(np.ceil(near_mm / spacing).astype(int) + 2)
    faces = _find_surface(femur.cut(box))
    points = to_ras(femur.ras_from_ijk, faces + [part.start for part in box])
    facing = np.zeros(len(faces), bool)
    if pelvis is None or not pelvis.shares_grid(femur) or not (socket := pelvis.cut(box)).any():
        return points, facing
    away = np.asarray(distance_transform_edt(~socket, sampling=spacing))
    lower, upper = np.floor(faces).astype(int), np.ceil(faces).astype(int)
    near = np.minimum(away[tuple(lower.T)], away[tuple(upper.T)]) < near_mm
    return points, near if near.sum() >= _LEAST_FACING else facing


def _find_surface(mask: np.ndarray) -> np.ndarray:
    """The middles of the faces between mask and background, as voxel indices (n, 3).

    Faces on the array's border do not count: there the CT ends, not the bone.
    """
    found = []
    for axis in range(3):
        here = np.argwhere(np.diff(mask.astype(np.int8), axis=axis)).astype(float)
        here[:, axis] += 0.5
        found.append(here)
    return np.concatenate(found)


def _rate(sphere: Sphere) -> float:
    """The confidence: half of the surface on one sphere is as much as a head with fovea and neck can have."""
    return round(min(1.0, 2 * sphere.inliers), 3)


def _make_hip(side: str, sphere: Sphere, note: str) -> Hip:
    r, a, s = (round(float(x), 2) for x in sphere.centre_mm)
    confidence = _rate(sphere)
    doubt = "the femoral head of the labels is hardly a sphere" if confidence < _SURE else ""
    warnings = tuple(filter(None, (note, doubt)))
    return Hip(side, (r, a, s), round(sphere.radius_mm, 2), "labels", confidence, warnings)


def _read_folder(folder: Path) -> dict[str, Region]:
    regions = read_folder(folder)
    if not _shows_femur(regions):
        raise CtError(
            folder.name,
            "the folder shows no femur: it has no file femur_left or femur_right that is not empty",
            "Name the masks femur_left.nii.gz, femur_right.nii.gz, hip_left.nii.gz and hip_right.nii.gz.",
        )
    return regions


def _read_map(path: Path, label_ids: tuple[int, int, int, int]) -> tuple[dict[str, Region], str]:
    """The regions of a label map, and what it was taken for where that is not what the settings say."""
    labels = LabelMap(path)
    regions = labels.take_named()
    if _shows_femur(regions):
        return regions, ""
    if labels.n_layers > 1:
        raise CtError(
            path.name,
            f"it has {labels.n_layers} layers, and none of its segments is named as a femur of a side",
            f"Name its segments in 3D Slicer ({KNOWN_BONES}).",
        )
    if label_ids == VERSION_2 and _NAMES_MOOSE.search(path.name):
        regions = labels.take(_MOOSE.items())
        if regions:
            return regions, "the label map was taken for one of MOOSE's peripheral bones, by its name"
    regions = _take_ids(labels, label_ids)
    old = _take_ids(labels, VERSION_1) if label_ids == VERSION_2 else {}
    if old and _is_version_1(regions, old, path.name):
        return old, "the label map was taken for one of TotalSegmentator's version 1"
    if not _shows_femur(regions):
        raise _no_femur(path, labels, label_ids)
    return regions, ""


def _is_version_1(new: Mapping[str, Region], old: Mapping[str, Region], where: str) -> bool:
    """Whether the values of version 1 show more heads than those of version 2.

    Raises:
        CtError: Both show as many.
    """
    old_heads = _count_heads(old)
    new_heads = _count_heads(new) if old_heads else 0
    if old_heads and old_heads == new_heads:
        raise CtError(
            where,
            "its values show heads both as TotalSegmentator's version 1 and as its version 2",
            f"Give the masks as a folder with a file each: {', '.join(NAMES)}.",
        )
    return old_heads > new_heads


def _take_ids(labels: LabelMap, label_ids: tuple[int, int, int, int]) -> dict[str, Region]:
    return labels.take((name, (0, value)) for name, value in zip(NAMES, label_ids, strict=True))


def _shows_femur(regions: Mapping[str, Region]) -> bool:
    return any(name.startswith(("femur_", "head_")) for name in regions)


def _count_heads(regions: Mapping[str, Region]) -> int:
    """How many of the femora have a head in their hip bone; none if these are not left and right."""
    found: dict[str, float] = {}
    for word in SIDE_NAMES.values():
        femur, pelvis = regions.get(f"femur_{word}"), regions.get(f"hip_{word}")
        if femur is None or pelvis is None or not _find_facing(femur, pelvis)[1].any():
            continue
        sphere = fit_head(femur, pelvis)
        if sphere is not None and _rate(sphere) >= _SURE:
            found[word] = float(sphere.centre_mm[0])
    return 0 if len(found) == 2 and found["right"] - found["left"] < LEAST_APART_MM else len(found)


def _no_femur(path: Path, labels: LabelMap, label_ids: tuple[int, int, int, int]) -> CtError:
    """What a label map holds instead of femora, and which label_ids to set."""
    values = labels.values
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    held = ", ".join(map(str, values[:_SHOWN_VALUES])) + more if values else "none but 0"
    unnamed = "none of its segments is named as one, " if labels.names else ""
    found = (
        f"it shows no femur: {unnamed}label_ids names the values {label_ids[0]} and {label_ids[1]}, "
        f"it holds {held}"
    )
    if not values:
        return CtError(path.name, found, "Give another label map, or none: the locator looks for the heads.")
    do = f"Set label_ids to its values of {', '.join(NAMES)}"
    if set(VERSION_1[:2]) & set(values):
        do = f"If it is TotalSegmentator's version 1, set label_ids to {list(VERSION_1)}"
    name = f" or name its segments ({KNOWN_BONES});" if labels.names else ""
    return CtError(path.name, found, f"{do};{name} or give no labels: the locator looks for the heads.")
