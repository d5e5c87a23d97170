"""Finds the CT series in a folder of DICOM files, whatever else lies there, and reads one.

No identifier of a patient, study or series, and no date, is ever part of a message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk  # noqa: N813

from hipoa.errors import CtError
from hipoa.imaging.ct.gather import File
from hipoa.imaging.ct.identity import Identity, check_one_exam, check_one_person
from hipoa.imaging.ct.multi_energy import CT_KEV, name_kind
from hipoa.imaging.file_kinds import is_zip
from hipoa.imaging.image import LPS_TO_RAS, Image, Origin, check_extent, round_into, take_pages

LEAST_SLICES = 8
# Steps between slices may differ by this share, since positions are stored rounded.
_UNEVEN = 0.05
_SAME_PLACE_MM = 0.01
_ASIDE_MM = 0.5
_SAME_TURN = 1e-3
_CT_IMAGE = b"1.2.840.10008.5.1.4.1.1.2\0"
_DAMAGED = "damaged CT slices"
_COMPUTED = "multi-energy images"
_BITS = "CT images whose HighBit is not BitsStored - 1"
# What to do where there is nothing else in a folder.
_INSTEAD = {
    _COMPUTED: "Give the plain CT series of the examination, or one of {:g} to {:g} keV.".format(*CT_KEV),
    _BITS: "Export the series again.",
    "": "Name the folder of the axial series, or convert it to NIfTI.",
}
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
# What a scanner would not number, somebody may have made of a date.
_MOST_NUMBER = 9999


@dataclass(frozen=True)
class Slice:
    """What the header of one image says of its place.

    Attributes:
        path: Of the file.
        uid: Of the image; a copy has the same.
        series: Of its series.
        identity: Whose it is, and of which examination.
        number: The series' number, where there is one.
        size: Columns and rows.
        position: Of the first pixel's middle, LPS mm (3,).
        across: Columns: the directions of rows and columns, times the pixel's size, mm (3, 2).
        kind: What was computed from several energies; empty for plain CT.
    """

    path: File
    uid: str
    series: str
    identity: Identity
    number: int | None
    size: tuple[int, int]
    position: np.ndarray
    across: np.ndarray
    kind: str = ""

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,) at right angles to the image."""
        normal = np.cross(self.across[:, 0], self.across[:, 1])
        return normal / np.linalg.norm(normal)


@dataclass(frozen=True)
class Series:
    """Slices of one series that lie parallel and have one size, in the order of their place.

    Attributes:
        slices: One or more.
        copies: How many copies of them were left out.
        note: What else of it was left out.
        set_aside: What else lies in the folder and is not read.
    """

    slices: tuple[Slice, ...]
    copies: int = 0
    note: str = ""
    set_aside: str = ""

    @property
    def extent_mm(self) -> float:
        """From the first slice to the last, mm."""
        return float(self.slices[0].normal @ (self.slices[-1].position - self.slices[0].position))

    @property
    def number(self) -> int | None:
        """The series' number, if it is one that a message may tell."""
        number = self.slices[0].number
        return number if number is not None and 0 <= number <= _MOST_NUMBER else None

    @property
    def name(self) -> str:
        """How a message may call it."""
        return "a series without a usable number" if self.number is None else f"series {self.number}"

    @property
    def identities(self) -> set[Identity]:
        """Of its slices; a study or frame of reference of every slice's own, as some tools write, is none."""
        found = {image.identity for image in self.slices}
        for field in ("study", "frame"):
            if len({getattr(one, field) for one in found}) == len(self.slices):
                found = {replace(one, **{field: ""}) for one in found}
        return found


def find_series(files: Sequence[File], where: str, number: int | None = None) -> list[Series]:
    """The CT series among files, the likeliest first.

    That is the longest of plain CT, or else of what was computed from several energies; of equals the one
    with more, so thinner slices; of equals the lowest number.
    Localisers, other modalities, captures of screens and files that are no DICOM are no obstacle.

    Args:
        files: All that belong to a CT, with any name, as :func:`hipoa.imaging.ct.gather.gather` gives them.
        where: How a message calls them.
        number: Only the series of this number.

    Raises:
        CtError: There is no such series, there are several people, or several studies of which none is named.
        OSError: A file cannot be read now.
    """
    slices, others, people = _gather(files)
    stacks = [stack for images in slices.values() for stack in _stack(images)]
    damage = f"{others[_DAMAGED]} {_DAMAGED} left out" if others[_DAMAGED] else ""
    found = [
        replace(stack, note="; ".join(filter(None, [_warn(stack), stack.note, damage])))
        for stack in stacks
        if len(stack.slices) >= LEAST_SLICES
    ]
    others["CT images in shorter series"] += sum(
        len(stack.slices) for stack in stacks if len(stack.slices) < LEAST_SLICES
    )
    if not found:
        _refuse(files, where, others)
    check_one_person(people, where)
    named = [stack for stack in found if number in (None, stack.slices[0].number)]
    if not named:
        names = ", ".join(sorted({stack.name for stack in found}))
        left = "".join(f", and {count} {name}" for name, count in others.items() if _COMPUTED in name)
        raise CtError(
            where,
            f"it has no CT series {number} to use (it has {names}{left})",
            "Name one of these series."
            if any(stack.number is not None for stack in found)
            else "Give each series a folder of its own.",
        )
    check_one_exam([one for stack in named for one in stack.identities], where, number)
    return [replace(one, set_aside=_name_others(one, found, others)) for one in sorted(named, key=_rank)]


def _gather(files: Iterable[File]) -> tuple[dict[str, list[Slice]], Counter[str], set[Identity]]:
    """The slices of CTs by series, how many files are something else, and whose all images are."""
    slices: dict[str, list[Slice]] = {}
    others: Counter[str] = Counter()
    people: set[Identity] = set()
    for path in files:
        image, identity = _look(path)
        people.add(identity)
        if isinstance(image, Slice):
            slices.setdefault(image.series, []).append(image)
        else:
            others[image] += 1
    return slices, others, people


def _name_others(taken: Series, found: Iterable[Series], others: Counter[str]) -> str:
    """What lies beside a series: other series of CT, and what else in how many files."""
    series = Counter(one.name for one in found if one is not taken)
    # Of a series without a number there may be many.
    names = [name if count == 1 else f"{name} ({count} times)" for name, count in sorted(series.items())]
    return ", ".join(names + _count_others(others))


def read_series(series: Series, where: str) -> Image:
    """Reads the slices of a series, each with its own rescaling.

    Args:
        series: One that :func:`find_series` found.
        where: The folder, for messages.

    Returns:
        int16 (i, j, k), clipped, k from slice to slice.

    Raises:
        CtError: Slices are missing, doubled, unevenly spaced or shifted.
        RuntimeError: A slice cannot be decoded.
        OSError: A slice cannot be read now.
    """
    first = series.slices[0]
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([first.across, find_step(series, where)])
    matrix[:3, 3] = first.position
    columns, rows = first.size
    check_extent((columns, rows, len(series.slices)), where)
    values = take_pages((len(series.slices), rows, columns), np.int16)
    for k, image in enumerate(series.slices):
        # ITK takes rescale slope and intercept of each file.
        pixels = sitk.ReadImage(str(image.path), imageIO="GDCMImageIO")
        values[k], _ = round_into(sitk.GetArrayViewFromImage(pixels)[0], np.int16)
    copies = f"{series.copies} copies of slices left out" if series.copies else ""
    step_mm = round(float(np.linalg.norm(matrix[:3, 2])), 3)
    origin = Origin(series.number, len(series.slices), step_mm, series.set_aside)
    return Image(values.T, LPS_TO_RAS @ matrix, tuple(filter(None, [copies, series.note])), origin)


def find_step(series: Series, where: str) -> np.ndarray:
    """The step (3,) from slice to slice, LPS mm; along the slices' normal unless the gantry was tilted.

    Raises:
        CtError: Slices are missing, doubled, unevenly spaced or shifted.
    """
    places = np.array([image.position for image in series.slices])
    step = (places[-1] - places[0]) / (len(places) - 1)
    steps = np.diff(places @ series.slices[0].normal)
    found = _find_uneven(steps)
    aside_mm = np.linalg.norm(places - places[0] - np.outer(np.arange(len(places)), step), axis=1).max()
    if not found and aside_mm > _ASIDE_MM + _UNEVEN * steps.max():
        found = f"slices lie up to {aside_mm:.1f} mm beside the line of the others"
    if found:
        found += f" ({series.note})" if series.note else ""
        raise CtError(where, found, "Export the whole series once, reconstructed evenly.")
    return step


def _find_uneven(steps: np.ndarray) -> str:
    usual = float(np.median(steps))
    doubled = int((steps < _SAME_PLACE_MM).sum())
    if doubled:
        return f"{doubled} slices lie where another one lies"
    odd = np.abs(steps - usual) > _UNEVEN * usual
    if not odd.any():
        return ""
    gaps = steps[odd] / usual
    missing = np.round(gaps) - 1
    if (missing > 0).all() and np.abs(gaps - np.round(gaps)).max() < _UNEVEN:
        return f"{int(missing.sum())} of {len(steps) + 1 + int(missing.sum())} slices are missing"
    return f"the slices lie {steps.min():.2f} to {steps.max():.2f} mm apart"


def _look(path: File) -> tuple[Slice | str, Identity]:
    """The header of a CT's slice, of everything else what it is; and whose it is, as far as it tells."""
    with path.open("rb") as file:
        # What the drive does not give now is a fault, and not some other kind of file.
        start = file.read(1 << 14)
    if is_zip(start):
        return "zip files", Identity()
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return _DAMAGED if _CT_IMAGE in start else "files that are no DICOM images", Identity()
    tags = {key: reader.GetMetaData(key).strip(" \0") for key in reader.GetMetaDataKeys()}
    place, turn = (_numbers(tags.get(key, "")) for key in ("0020|0032", "0020|0037"))
    columns, rows, *frames = reader.GetSize()
    other = _name_other(tags, reader.GetNumberOfComponents(), frames, len(place) == 3 and len(turn) == 6)
    kind = name_kind(tags, start)
    identity = Identity.of(tags)
    if other or not kind.is_hu:
        return other or f"{_COMPUTED} ({kind.name})", identity
    across = np.array(turn).reshape(2, 3).T * reader.GetSpacing()[:2]
    number = _numbers(tags.get("0020|0011", ""))
    image = Slice(
        path,
        uid=tags.get("0008|0018", ""),
        series=tags.get("0020|000e", ""),
        identity=identity,
        number=int(number[0]) if number else None,
        size=(columns, rows),
        position=np.array(place),
        across=across,
        kind=kind.name,
    )
    return image, identity


def _name_other(tags: dict[str, str], components: int, frames: list[int], placed: bool) -> str:
    kind = tags.get("0008|0008", "").upper().split("\\")
    stored, highest = (_numbers(tags.get(key, "")) for key in ("0028|0101", "0028|0102"))
    others = {
        "images of other modalities": tags.get("0008|0060") != "CT",
        "localisers": "LOCALIZER" in kind,
        "captures of screens": tags.get("0008|0016", "").startswith(_CAPTURES) or components != 1,
        "images of several frames": max(frames, default=1) > 1,
        "projections of several slices": not {"MIP", "MINIP"}.isdisjoint(kind),
        "CT images without position and orientation": not placed,
        # GDCM takes the lowest bits, whatever the header says of the highest.
        _BITS: bool(stored and highest) and highest != [stored[0] - 1],
    }
    return next((name for name, is_so in others.items() if is_so), "")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split("\\")] if text else []
    except ValueError:
        return []


def _stack(images: Iterable[Slice]) -> list[Series]:
    """Parts a series into stacks of one size and direction, without copies."""
    stacks: list[list[Slice]] = []
    seen: set[tuple[object, ...]] = set()
    copies = 0
    for image in images:
        key = (image.uid, *np.round(image.position, 2).tolist())
        if image.uid and key in seen:
            copies += 1
            continue
        seen.add(key)
        like = next((stack for stack in stacks if _is_like(stack[0], image)), None)
        if like is None:
            stacks.append([image])
        else:
            like.append(image)
    total = sum(map(len, stacks))
    return [
        Series(
            tuple(sorted(stack, key=lambda image: float(stack[0].normal @ image.position))),
            copies,
            f"{total - len(stack)} more images have another size or direction" if len(stacks) > 1 else "",
        )
        for stack in stacks
    ]


def _is_like(one: Slice, other: Slice) -> bool:
    return one.size == other.size and float(np.abs(one.across - other.across).max()) < _SAME_TURN


def _warn(series: Series) -> str:
    kind = series.slices[0].kind
    return f"{_COMPUTED} ({kind}): taken as plain CT" if kind else ""


def _rank(series: Series) -> tuple[bool, int, int, float]:
    number = series.slices[0].number
    return (
        bool(series.slices[0].kind),
        -round(series.extent_mm),
        -len(series.slices),
        np.inf if number is None else number,
    )


def _count_others(others: Counter[str]) -> list[str]:
    return [f"{count} {name}" for name, count in others.items() if count]


def _refuse(files: Iterable[File], where: str, others: Counter[str]) -> None:
    named = ", ".join(_count_others(others))
    converted = any(file.name.lower().endswith((".nii", ".nii.gz", ".mha", ".nrrd")) for file in files)
    do = next(do for kind, do in _INSTEAD.items() if not kind or any(kind in name for name in others))
    raise CtError(
        where,
        f"the folder holds no DICOM series of CT with {LEAST_SLICES} slices or more"
        + (f" ({named})" if named else ""),
        "Name the image file in it." if converted else do,
    )
