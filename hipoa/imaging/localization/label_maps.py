"""Reads femora and hip bones from a label map, or from a folder of masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import numpy as np
from scipy.ndimage import find_objects

from hipoa.core.errors import CtError
from hipoa.imaging.ct.formats import SUFFIXES, read_labels, stem
from hipoa.imaging.ct.image import OnGrid
from hipoa.imaging.localization.names import KNOWN_BONES, read_bone

T = TypeVar("T")
Box = tuple[slice, ...]
Slot = tuple[int, int]
"""Where a segment is stored: its layer and its value there."""

_SEGMENT = re.compile(r"Segment(\d+)_(\w+)")
# 3D Slicer's default names: the terminology then says what it is.
_UNNAMED = re.compile(r"(?:segment)?[\s_]*\d*", re.IGNORECASE)
# A comment, which TotalSegmentator uses, and Caret's.
_XML_EXTENSIONS = (0, 6, 30)


@dataclass(frozen=True)
class Region(OnGrid):
    """The voxels of one structure: a mask no larger than it, and where in the whole grid it starts."""

    mask: np.ndarray  # bool (i, j, k)
    start: tuple[int, ...]  # the first voxel of the mask in the grid (3,)
    shape: tuple[int, ...]  # of the grid
    ras_from_ijk: np.ndarray  # 4 x 4, of the grid

    def widen(self, margin: np.ndarray) -> Box:
        """The box of the region and a margin (3,) in voxels about it, as far as the grid goes."""
        low = np.maximum(0, self.start - margin)
        high = np.minimum(self.shape, np.add(self.start, self.mask.shape) + margin)
        return tuple(map(slice, low, high))

    def cut(self, box: Box) -> np.ndarray:
        """What lies in a box of the grid: bool, of the box's shape."""
        first = np.array([part.start for part in box])
        cut = np.zeros([part.stop - part.start for part in box], bool)
        low = np.maximum(self.start, first)
        high = np.minimum(np.add(self.start, self.mask.shape), first + cut.shape)
        if (low < high).all():
            inside = tuple(map(slice, low - self.start, high - self.start))
            cut[tuple(map(slice, low - first, high - first))] = self.mask[inside]
        return cut

    def shares_grid(self, other: Region) -> bool:
        """Whether the voxels of both are the same places."""
        return self.shape == other.shape and np.allclose(self.ras_from_ijk, other.ras_from_ijk, atol=1e-3)


class LabelMap:
    """A label map in one of the formats of CTs, of which only the regions that are asked for are copied.

    Raises:
        CtError: It cannot be read, or has no place in the patient.
    """

    def __init__(self, path: Path) -> None:
        image = read_labels(path)
        self._voxels, self._matrix, self._where = image.values, image.ras_from_ijk, path.name
        self.n_layers = self._voxels.shape[3]
        self._boxes = [find_objects(self._voxels[..., layer]) for layer in range(self.n_layers)]
        self.values = [value for value, box in enumerate(self._boxes[0], 1) if box]  # of the first layer
        self.names = _read_names(path)  # as far as the file names its segments

    def take(self, slots: Iterable[tuple[str, Slot]]) -> dict[str, Region]:
        """The regions of some names, without those that are empty."""
        return {name: region for name, slot in slots if (region := self._cut(*slot))}

    def take_named(self) -> dict[str, Region]:
        """The regions of femora and hip bones by the names in the file.

        Raises:
            CtError: Two segments have one name.
        """
        return self.take(_name_bones(self.names, self._where, "segments"))

    def _cut(self, layer: int, value: int) -> Region | None:
        boxes = self._boxes[layer] if 0 <= layer < self.n_layers else []
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            return None
        voxels = self._voxels[..., layer]
        return Region(voxels[box] == value, tuple(part.start for part in box), voxels.shape, self._matrix)


def read_folder(folder: Path) -> dict[str, Region]:
    """The masks of a folder by what their files' names mean; any but 0 belongs to the mask.

    Raises:
        CtError: Two files have one name, or one cannot be read.
    """
    files = [
        (stem(file), file)
        for file in sorted(folder.iterdir())
        if file.name.lower().endswith(SUFFIXES) and not file.name.startswith(".") and file.is_file()
    ]
    found = _name_bones(files, folder.name, "masks")
    return {name: region for name, file in found if (region := _read_mask(file))}


def _read_mask(file: Path) -> Region | None:
    image = read_labels(file, layers=False)
    inside = image.values > 0
    box = next(iter(find_objects(inside.view(np.uint8))), None)
    if box is None:
        return None
    return Region(inside[box].copy(), tuple(part.start for part in box), inside.shape, image.ras_from_ijk)


def _name_bones(named: Iterable[tuple[str, T]], where: str, what: str) -> list[tuple[str, T]]:
    found = [(bone, item) for name, item in named if (bone := read_bone(name))]
    bones = [bone for bone, _ in found]
    twice = sorted({bone for bone in bones if bones.count(bone) > 1})
    if twice:
        raise CtError(
            where,
            f"several {what} are named as {', '.join(twice)}",
            f"Keep one of each, or rename ({KNOWN_BONES}).",
        )
    return found


def _read_names(path: Path) -> list[tuple[str, Slot]]:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return list(_read_nifti_names(path))
    if name.endswith((".nrrd", ".nhdr")):
        from hipoa.imaging.ct.itk import read_header_texts

        return list(_read_segments(read_header_texts(path)))
    return []


def _read_nifti_names(path: Path) -> Iterator[tuple[str, Slot]]:
    """The names that TotalSegmentator and Caret write into an extension of the header, an XML."""
    import nibabel as nib

    header: object = nib.load(path).header  # type: ignore[attr-defined]
    for extension in getattr(header, "extensions", ()):
        if extension.get_code() not in _XML_EXTENSIONS:
            continue
        try:
            text = bytes(extension.get_content()).rstrip(b"\0")
            if b"<!DOCTYPE" in text:  # entities may grow without bound
                continue
            table = ElementTree.fromstring(text)
            labels = [(label.text or "", int(label.get("Key", "0"))) for label in table.iter("Label")]
        except (ElementTree.ParseError, ValueError, TypeError):
            continue
        yield from ((text, (0, value)) for text, value in labels)


def _read_segments(texts: dict[str, str]) -> Iterator[tuple[str, Slot]]:
    """The segments that 3D Slicer writes into the header of a .seg.nrrd."""
    segments: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        if found := _SEGMENT.fullmatch(key):
            segments.setdefault(found[1], {})[found[2]] = text
    for segment in segments.values():
        try:
            slot = int(segment.get("Layer", "0")), int(segment["LabelValue"])
        except (KeyError, ValueError):
            continue
        yield _name_segment(segment), slot


def _name_segment(segment: dict[str, str]) -> str:
    """A segment's name; where that names no side, or is Slicer's own, what its terminology says."""
    name = segment.get("Name", "").strip()
    said = re.search(r"TerminologyEntry:([^|]*)", segment.get("Tags", ""))
    # Context, category, type, its modifier (such as Left), context, region, its modifier: code^scheme^words.
    parts = [part.split("^")[-1] for part in said[1].split("~")] if said else []
    kinds = (" ".join(parts[2:4]), " ".join(parts[5:7]))
    term = next((kind for kind in kinds if read_bone(kind)), "")
    plain = _UNNAMED.fullmatch(name) or read_bone(f"{name} left")
    return term if term and plain and not read_bone(name) else name
