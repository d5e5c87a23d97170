"""CT volumes: int16 Hounsfield units with their place in the patient, whatever the file's axes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hipoa.core.ct_files import START_BYTES, SUFFIXES
from hipoa.core.errors import CtError
from hipoa.core.identifiers import parse_series
from hipoa.imaging.ct.file_kinds import refuse_kind
from hipoa.imaging.ct.gantry_tilt import straighten
from hipoa.imaging.ct.hounsfield import to_hu
from hipoa.imaging.ct.image import Gap, Image, Origin, check_affine, to_ras, turn_to_ras
from hipoa.imaging.ct.lazy_image import WHOLE, LazyImage, defer, hold
from hipoa.imaging.ct.nifti import read_nifti

if TYPE_CHECKING:
    from hipoa.imaging.ct.dicom.series import Found

# A network drive that fails is asked again after these pauses.
PAUSES_S = (0.2, 1.0)

T = TypeVar("T")


@dataclass(frozen=True)
class Volume:
    """A CT.

    Attributes:
        hu: int16 Hounsfield units (i, j, k); i runs to the patient's right, j to anterior, k to superior
            as nearly as the scan allows. Everything up to -1000 is air, whatever scanners pad with; i or k
            lies along memory, which may be that of the file: never written to.
        ras_from_ijk: 4 x 4 matrix from voxel indices (voxel centres) to RAS mm.
        warnings: What was corrected on reading.
        origin: What was read.
        gaps: Where slices beside it are missing.

    Raises:
        CtError: The parts do not make a volume.
    """

    hu: np.ndarray
    ras_from_ijk: np.ndarray
    warnings: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.int16 or min(self.hu.shape) < 2:
            raise CtError(
                "CT",
                f"the array has shape {self.hu.shape} and type {self.hu.dtype}",
                "Give a three-dimensional int16 array of HU with at least 2 voxels along each axis.",
            )
        check_affine(self.ras_from_ijk, "CT")

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along i, j, k in mm (3,)."""
        return np.linalg.norm(self.ras_from_ijk[:3, :3], axis=0)

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
    """A CT that was found, and is read when it is needed.

    Attributes:
        image: Its place, and what reads its slices.
        where: The file or folder, for messages.
    """

    image: LazyImage
    where: str

    def read(self, slices: slice = WHOLE) -> Volume:
        """The CT, or every so many of a range of its slices k.

        Raises:
            CtError: It cannot be read, does not hold HU, or is sheared as no gantry does.
        """
        image = self.image.read(slices)
        hu, notes = to_hu(image.values, self.where)
        hu, matrix, tilt_deg = straighten(hu, image.ras_from_ijk, self.where)
        if tilt_deg:
            notes += (f"the gantry was tilted by {tilt_deg:.1f} degrees: straightened",)
        return Volume(hu, matrix, (*image.warnings, *notes), image.origin, image.gaps)

    @property
    def outline(self) -> Volume:
        """Air in its place: what asks for the place alone reads nothing."""
        return Volume(np.broadcast_to(np.int16(-1000), self.image.shape), self.image.ras_from_ijk)


def stem(path: Path) -> str:
    """The name of a CT: that of its file or folder without extension; of a DICOMDIR that of its folder."""
    path = path.absolute()  # the folder in which one works is named "."
    name = path.parent.name if path.name.upper() == "DICOMDIR" else path.name
    suffixes = (*SUFFIXES, ".zip", ".dcm", ".dicom", ".ima")
    suffix = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def read_volume(path: Path, series: str = "") -> Volume:
    """Reads a CT: a file of one of :data:`SUFFIXES`, or DICOM, named by a folder, zip, DICOMDIR or image.

    Args:
        path: The file or folder.
        series: Of several DICOM series of CT, the name of the one to read; else the first by the rule.

    Raises:
        CtError: It cannot be read, is no single scalar volume, or does not hold HU.
    """
    return find_volumes(path, series)[0]().read()


def find_volumes(path: Path, series: str = "") -> list[Callable[[], LazyVolume]]:
    """The CTs of a file or folder, the likeliest first, each as the function that opens it.

    Args:
        path: A file of one of :data:`SUFFIXES` holds one, DICOM one for each stack of slices.
        series: Only those of the series of this number, or the one of this name.

    Raises:
        CtError: There is none.
    """
    if path.name.lower().endswith(SUFFIXES) and not path.is_dir():
        if series:
            raise CtError(
                path.name,
                f"series {series} was named, but the CT is one file",
                "Name a series only for a folder, zip or DICOMDIR of several.",
            )
        return [lambda: _open_file(path)]
    # Here, not above: NIfTI needs none of it.
    from hipoa.imaging.ct.dicom.gather import gather
    from hipoa.imaging.ct.dicom.series import find_stacks

    try:
        name = parse_series(series)
    except ValueError as error:
        raise CtError(path.name, f"what was given as series {error}", "Mend it.") from None
    found = _persist(lambda: find_stacks(gather(path), path.name, name), path.name)
    return [partial(_open_stack, one, path.name) for one in found]


def read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a label map or a mask, its axes turned and flipped to the nearest RAS order.

    Returns:
        uint16 (i, j, k) and its 4 x 4 ras_from_ijk.

    Raises:
        CtError: It cannot be read, is no single scalar volume, or has no place in the patient.
    """
    image = turn_to_ras(_read_file(path, np.uint16))
    return image.values, image.ras_from_ijk


def read_labels(path: Path) -> Image:
    """Reads a label map of one or more layers, its axes turned and flipped to the nearest RAS order.

    Returns:
        Its values are uint16 (i, j, k, layers).

    Raises:
        CtError: It cannot be read, or has no place in the patient.
    """
    image = _read_file(path, np.uint16, layers=True)
    values = image.values if image.values.ndim == 4 else image.values[..., None]
    return turn_to_ras(replace(image, values=values))


def _open_file(path: Path) -> LazyVolume:
    image = turn_to_ras(_read_file(path, np.int16))
    # A file may hold its axes in any order: slices are axial.
    step_mm = round(float(np.linalg.norm(image.ras_from_ijk[:3, 2])), 3)
    origin = replace(image.origin, slices=image.values.shape[2], step_mm=step_mm)
    return LazyVolume(hold(replace(image, origin=origin)), path.name)


def _open_stack(found: Found, where: str) -> LazyVolume:
    from hipoa.imaging.ct.dicom.series import lay_out, read_stack

    shape, matrix = lay_out(found.stack, where)
    check_affine(matrix, where)
    return LazyVolume(
        defer(shape, matrix, lambda part: _persist(lambda: read_stack(found, where, part), where)), where
    )


def _read_file(path: Path, dtype: type[np.integer], *, layers: bool = False) -> Image:
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise _persist(lambda: _refuse_file(path), path.name)
    if ".nii" in name[-7:]:
        read = read_nifti
    else:
        from hipoa.imaging.ct.itk import read_metaimage

        read = partial(read_metaimage, layers=layers)
    image = _persist(lambda: read(path, dtype), path.name)
    check_affine(image.ras_from_ijk, path.name)
    return image


def _refuse_file(path: Path) -> CtError:
    if not path.exists():
        return CtError(path.name, "there is no such file or folder", "Check the path.")
    with path.open("rb") as file:
        return refuse_kind(path.name, file.read(START_BYTES))


def _persist(read: Callable[[], T], where: str) -> T:
    """Reads, and tries again after a fault that may pass; what does not pass is refused in one line."""
    for pause_s in (*PAUSES_S, None):
        try:
            return read()
        except CtError:
            raise
        except Exception as error:
            # Whatever a reader trips over costs this CT alone. Its own words may hold a name: never told.
            if pause_s is None:
                gone = isinstance(error, FileNotFoundError)
                do = "Check the path." if gone else "Copy or export the CT again."
                raise CtError(where, _describe(error), do) from None
        time.sleep(pause_s)
    raise AssertionError


def _describe(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is too little memory for it"
    if isinstance(error, OSError) and error.strerror:
        return f"the file cannot be read ({error.strerror})"
    if isinstance(error, RuntimeError):
        return "the file, or a slice of the series, cannot be read as an image"
    return f"the reader failed ({type(error).__name__})"
