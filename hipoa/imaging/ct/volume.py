"""CT volumes: int16 Hounsfield units with their position in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.core.errors import CtError
from hipoa.imaging.ct.hounsfield import to_hu
from hipoa.imaging.ct.image import Gap, Image, OnGrid, Origin, check_affine, to_canonical, to_ras

WHOLE = slice(None)
_OUTSIDE_HU = -1024
# A smaller angle moves no voxel at the rim by more than a few millimetres, and may come from rounding.
_LEAST_TILT_DEG, _MOST_TILT_DEG = 0.3, 31.0


@dataclass(frozen=True)
class Volume(OnGrid):
    """A CT.

    Raises:
        CtError: The parts do not make a volume.
    """

    # int16 Hounsfield units (i, j, k); i runs to the patient's right, j to anterior, k to superior as nearly
    # as the scan allows. Everything up to -1000 is air, whatever scanners pad with; i or k lies along memory,
    # which may be that of the file: never written to.
    hu: np.ndarray
    ras_from_ijk: np.ndarray  # 4 x 4 matrix from voxel indices (voxel centres) to RAS mm
    warnings: tuple[str, ...] = ()  # what was corrected on reading
    origin: Origin = field(default_factory=Origin)  # what was read
    gaps: tuple[Gap, ...] = ()  # where slices are missing beside it

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.int16 or min(self.hu.shape) < 2:
            do = "Give a three-dimensional int16 array of HU with at least 2 voxels along each axis."
            raise CtError("CT", f"the array has shape {self.hu.shape} and type {self.hu.dtype}", do)
        check_affine(self.ras_from_ijk, "CT")

    @property
    def mapped(self) -> bool:
        """Whether the voxels lie in a file, of which only what is used is read."""
        base: Any = self.hu
        while base is not None and not isinstance(base, np.memmap):
            base = getattr(base, "base", None)
        return base is not None

    @property
    def corners_ras_mm(self) -> np.ndarray:
        """The outer corners of the corner voxels in RAS mm (8, 3)."""
        ends = [(-0.5, n - 0.5) for n in self.hu.shape]
        return to_ras(self.ras_from_ijk, np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))

    def ijk(self, ras_mm: np.ndarray) -> np.ndarray:
        """Voxel indices (..., 3), not rounded, of points in RAS mm (..., 3)."""
        return to_ras(np.linalg.inv(self.ras_from_ijk), ras_mm)

    def box(self, low_ras_mm: np.ndarray, high_ras_mm: np.ndarray) -> tuple[slice, slice, slice]:
        """The voxels that cover a box in RAS mm, as slices; empty where the box misses the volume."""
        ends = np.stack([low_ras_mm, high_ras_mm])
        index = self.ijk(np.stack(np.meshgrid(*ends.T, indexing="ij"), -1).reshape(-1, 3))
        low = np.clip(np.floor(index.min(0)).astype(int), 0, self.hu.shape)
        high = np.clip(np.ceil(index.max(0)).astype(int) + 1, 0, self.hu.shape)
        i, j, k = (slice(a, max(a, b)) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        return i, j, k

    def contains(self, ras_mm: np.ndarray) -> bool:
        """Whether a point in RAS mm (3,) lies in the volume."""
        index = self.ijk(ras_mm)
        return bool(np.all(index >= -0.5) and np.all(index <= np.array(self.hu.shape) - 0.5))


@dataclass(frozen=True)
class LazyVolume:
    """A CT of known extent, whose slices are read on demand."""

    where: str  # the file or folder, for messages
    shape: tuple[int, ...]  # voxels along i, j, k, in the nearest RAS order
    ras_from_ijk: np.ndarray  # 4 x 4 matrix from voxel indices (voxel centres) to RAS mm
    load: Callable[[slice], Image]  # reads a range of k

    @classmethod
    def defer(
        cls, where: str, shape: tuple[int, int, int], ras_from_ijk: np.ndarray, load: Callable[[slice], Image]
    ) -> LazyVolume:
        """From slices in files of their own: ``load`` reads a range along the last of the stored axes."""
        from nibabel.orientations import io_orientation

        # A view of a single voxel: only the order of the axes is needed.
        whole = to_canonical(Image(np.broadcast_to(np.int16(0), shape), ras_from_ijk))
        axis, direction = io_orientation(ras_from_ijk)[2]

        def load_canonical(part: slice) -> Image:
            if axis != 2:  # sagittal or coronal slices hold a line of every k
                return to_canonical(load(WHOLE)).take(part)
            if direction < 0:
                rows = range(shape[2])[part]
                part = slice(shape[2] - 1 - rows[-1], shape[2] - rows[0], rows.step)
            return to_canonical(load(part))

        return cls(where, whole.values.shape, whole.ras_from_ijk, load_canonical)

    def read(self, part: slice = WHOLE) -> Volume:
        """The CT, or every n-th of a range of its slices k.

        Raises:
            CtError: It cannot be read, does not hold HU, or is sheared as no gantry does.
        """
        image = self.load(part)
        # However a part is stored, its matrix follows from that of the whole.
        first, _, step = part.indices(self.shape[2])
        matrix = self.ras_from_ijk @ np.diag([1.0, 1.0, step, 1.0])
        matrix[:3, 3] = to_ras(self.ras_from_ijk, np.array([0, 0, first]))
        hu, notes = to_hu(image.values, self.where)
        hu, matrix, tilt_deg = _straighten(hu, matrix, self.where)
        if tilt_deg:
            notes += (f"the gantry was tilted by {tilt_deg:.1f} degrees: straightened",)
        return Volume(hu, matrix, (*image.warnings, *notes), image.origin, image.gaps)

    @property
    def outline(self) -> Volume:
        """A volume of air with the same extent, for questions about geometry; reads nothing."""
        return Volume(np.broadcast_to(np.int16(-1000), self.shape), self.ras_from_ijk)


def _straighten(hu: np.ndarray, ras_from_ijk: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Resamples a CT of a tilted gantry, whose slices are sheared, to a grid with right angles.

    Values are interpolated linearly along k, the table's direction. What no slice reached is air. The last
    value is the gantry tilt in degrees.
    """
    axes = ras_from_ijk[:3, :3]
    unit = axes / np.linalg.norm(axes, axis=0)
    # Sines of how far i and j lean towards k, and i towards j.
    lean = np.array([unit[:, 0] @ unit[:, 2], unit[:, 1] @ unit[:, 2]])
    skew_deg = float(np.degrees(np.arcsin(np.clip(abs(unit[:, 0] @ unit[:, 1]), 0, 1))))
    tilt_deg = float(np.degrees(np.arcsin(np.clip(np.linalg.norm(lean), 0, 1))))
    if max(tilt_deg, skew_deg) <= _LEAST_TILT_DEG:
        return hu, ras_from_ijk, 0.0
    if skew_deg > 2 * _LEAST_TILT_DEG or tilt_deg > _MOST_TILT_DEG:
        found = f"its axes are {max(tilt_deg, skew_deg):.1f} degrees from right angles"
        do = "Export the series again, reconstructed without tilt."
        raise CtError(where, f"{found}, a gantry tilts slices by at most 30", do)
    per_voxel = lean * np.linalg.norm(axes[:, :2], axis=0) / np.linalg.norm(axes[:, 2])
    ends = np.outer(per_voxel, [0, 1]) * (np.array(hu.shape[:2]) - 1)[:, None]
    first = int(np.floor(ends.min(1).sum()))
    last = hu.shape[2] - 1 + int(np.ceil(ends.max(1).sum()))
    shear = np.eye(3)
    shear[2, :2] = -per_voxel
    # scipy takes one offset per axis, which its annotation does not know.
    offset: Any = (0, 0, first)
    shape = (*hu.shape[:2], last - first + 1)
    values = np.maximum(hu, np.int16(_OUTSIDE_HU))
    straight = ndimage.affine_transform(
        values, shear, offset, shape, output=np.int16, order=1, cval=_OUTSIDE_HU
    )
    matrix = ras_from_ijk.copy()
    matrix[:3, :2] -= np.outer(axes[:, 2], per_voxel)
    matrix[:3, 3] += first * axes[:, 2]
    return straight, matrix, tilt_deg
