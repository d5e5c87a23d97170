"""Finds the CTs among DICOM files, whatever else lies there, and reads one.

No identifier of a patient, study or series, and no date, is ever part of a message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import BITS, COMPUTED, DAMAGED, File, Slice, read_header
from hipoa.imaging.ct.dicom.identity import Identity, check_one_exam, check_one_person
from hipoa.imaging.ct.dicom.multi_energy import CT_KEV
from hipoa.imaging.ct.dicom.pixels import read_pixels
from hipoa.imaging.ct.dicom.separation import ASIDE_MM, LEAST_SLICES, UNEVEN
from hipoa.imaging.ct.dicom.stacks import Stack, merits, sort_stacks
from hipoa.imaging.ct.image import LPS_TO_RAS, Image, Origin, check_extent, take_pages

_SHORT = "CT images in shorter series"
_UNEVEN = "unevenly spaced CT images"
_MOST_NAMED = 10
# What to do where there is nothing else in a folder.
_INSTEAD = {
    COMPUTED: "Give the plain CT series of the examination, or one of {:g} to {:g} keV.".format(*CT_KEV),
    BITS: "Export the series again.",
    _UNEVEN: "Export the whole series once, reconstructed evenly.",
    DAMAGED: "Copy or export the series again.",
    "": "Name the folder of the axial series, or convert it to NIfTI.",
}


@dataclass(frozen=True)
class Found:
    """A stack that may be read, and what is known of what lies beside it.

    Attributes:
        stack: That may be read.
        note: What the user should know of it.
        set_aside: What else there is, in words.
    """

    stack: Stack
    note: str = ""
    set_aside: str = ""


def find_stacks(files: Iterable[File], where: str, name: str = "") -> list[Found]:
    """The CTs among files, the likeliest first (:func:`hipoa.imaging.ct.dicom.stacks.rank`).

    Localisers, other modalities, captures of screens and files that are no DICOM are no obstacle.

    Args:
        files: With any names.
        where: What the user named, for messages.
        name: Only the stacks of this series ("3"), or the one of this name ("3b"); else all.

    Raises:
        CtError: There is none, there are several people, or several studies of which none is named.
        OSError: A file cannot be read now.
    """
    files = list(files)
    slices, others, people = _look(files)
    stacks = sort_stacks(slices)
    found = [stack for stack in stacks if stack.name]
    _count_unused(stacks, others)
    if slices:
        check_one_person(people, where)
    if not found:
        _refuse(files, where, others)
    named = [stack for stack in found if _is_named(stack, name)]
    if not named:
        _refuse_name(found, where, name, others)
    check_one_exam([one for stack in named for one in stack.identities], where, name, len(named) > 1)
    like = Counter(map(merits, named))
    return [
        Found(one, _note(one, like[merits(one)], others), _name_others(one, found, others)) for one in named
    ]


def _look(files: Sequence[File]) -> tuple[list[Slice], Counter[str], set[Identity]]:
    """The slices of CTs, how many files are something else, and whose all images are."""
    slices: list[Slice] = []
    others: Counter[str] = Counter()
    people: set[Identity] = set()
    for file in files:
        header = read_header(file)
        people.add(header.identity)
        slices += header.frames
        if header.other:
            others[header.other] += 1
    return slices, others, people


def _count_unused(stacks: Iterable[Stack], others: Counter[str]) -> None:
    """Counts the slices that are in no stack long enough, by the reason."""
    for stack in stacks:
        if not stack.name:
            others[_UNEVEN if stack.gaps else _SHORT] += len(stack.slices)


def _is_named(stack: Stack, name: str) -> bool:
    number = "" if stack.number is None else str(stack.number)
    return name in ("", stack.name, number) or name == f"{number}a" == f"{stack.name}a"


def _note(stack: Stack, like: int, others: Counter[str]) -> str:
    kind = stack.slices[0].kind
    notes = [
        f"{stack.copies} copies of slices left out" if stack.copies else "",
        f"{COMPUTED} ({kind}): taken as plain CT" if kind else "",
        f"{others[DAMAGED]} {DAMAGED} left out" if others[DAMAGED] else "",
        f"{like} CT series are equally fine, sharp and long: series {stack.name} was taken"
        if like > 1
        else "",
    ]
    return "; ".join(filter(None, notes))


def _name_others(taken: Stack, found: Iterable[Stack], others: Counter[str]) -> str:
    """What lies beside a stack: other stacks of CT, and what else in how many files."""
    names = sorted(f"series {one.name}" for one in found if one is not taken)
    more = [f"{len(names) - _MOST_NAMED} more series"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more, *_count(others)])


def _count(others: Counter[str]) -> list[str]:
    return [f"{count} {name}" for name, count in others.items() if count]


def _refuse_name(found: Sequence[Stack], where: str, name: str, others: Counter[str]) -> None:
    there = [stack.describe() for stack in sorted(found, key=lambda stack: _spell(stack))]
    more = [f"{len(there) - _MOST_NAMED} more"] if len(there) > _MOST_NAMED else []
    left = [text for text in _count(others) if COMPUTED in text]
    raise CtError(
        where,
        f"it has no CT series {name} to use (it has {'; '.join([*there[:_MOST_NAMED], *more, *left])})",
        "Name one of these series by what stands before its colon.",
    )


def _spell(stack: Stack) -> tuple[int, int, str]:
    number = 10**6 if stack.number is None else stack.number
    return number, len(stack.name), stack.name


def _refuse(files: Sequence[File], where: str, others: Counter[str]) -> None:
    named = ", ".join(_count(others))
    converted = any(file.name.lower().endswith((".nii", ".nii.gz", ".mha", ".nrrd")) for file in files)
    do = next(do for kind, do in _INSTEAD.items() if not kind or any(kind in text for text in others))
    raise CtError(
        where,
        f"it holds no DICOM series of CT with {LEAST_SLICES} slices or more"
        + (f" ({named})" if named else ""),
        "Name the image file in it." if converted else do,
    )


def lay_out(stack: Stack, where: str) -> tuple[tuple[int, int, int], np.ndarray]:
    """Columns, rows and slices of a stack, and its 4 x 4 ras_from_ijk, k from slice to slice.

    Raises:
        CtError: The slices lie beside their line, or promise more than any CT has.
    """
    first = stack.slices[0]
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([first.across, find_step(stack, where)])
    matrix[:3, 3] = first.position
    return check_extent((*first.size, len(stack.slices)), where), LPS_TO_RAS @ matrix


def read_stack(found: Found, where: str, part: slice = slice(None)) -> Image:
    """Reads the slices of a stack, each with its own rescaling.

    Args:
        found: One that :func:`find_stacks` found.
        where: What the user named, for messages.
        part: Only these of its slices; the place is that of the whole stack.

    Returns:
        int16 (i, j, k), clipped, k from slice to slice.

    Raises:
        CtError: The slices lie beside their line, or are compressed in a way that is not known.
        RuntimeError: A slice cannot be decoded.
        OSError: A slice cannot be read now.
    """
    stack = found.stack
    slices = stack.slices[part]
    (columns, rows, _), matrix = lay_out(stack, where)
    values = take_pages((len(slices), rows, columns), np.int16)
    for k, pixels in enumerate(read_pixels(slices, where)):
        values[k] = pixels
    step_mm = round(float(np.linalg.norm(matrix[:3, 2])), 3)
    origin = Origin(stack.name, len(stack.slices), step_mm, found.set_aside, slices[0].acquired)
    notes = (found.note,) if found.note else ()
    return Image(values.T, matrix, notes, origin, stack.gaps)


def find_step(stack: Stack, where: str) -> np.ndarray:
    """The step (3,) from slice to slice, LPS mm; along the slices' normal unless the gantry was tilted.

    Raises:
        CtError: Slices lie beside the line of the others.
    """
    places = np.array([image.position for image in stack.slices])
    step = (places[-1] - places[0]) / (len(places) - 1)
    aside_mm = np.linalg.norm(places - places[0] - np.outer(np.arange(len(places)), step), axis=1).max()
    if aside_mm > ASIDE_MM + UNEVEN * stack.step_mm:
        raise CtError(
            where,
            f"slices lie up to {aside_mm:.1f} mm beside the line of the others",
            "Export the whole series once, reconstructed evenly.",
        )
    return step
