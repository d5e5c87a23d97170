"""Finds the CTs among DICOM files, whatever else lies there, and reads one.

No identifier of a patient, study or series, and no date, is ever part of a message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import BITS, COMPUTED, DAMAGED, File, read_header
from hipoa.imaging.ct.dicom.identity import check_one_exam, check_one_person
from hipoa.imaging.ct.dicom.multi_energy import CT_KEV
from hipoa.imaging.ct.dicom.pixels import read_pixels
from hipoa.imaging.ct.dicom.separation import ASIDE_MM, LEAST_SLICES, UNEVEN
from hipoa.imaging.ct.dicom.stacks import Stack, merits, sort_stacks
from hipoa.imaging.ct.image import LPS_TO_RAS, Image, Origin, check_shape, take_pages

_SHORT = "CT images in shorter series"
_UNEVEN = "unevenly spaced CT images"
_MOST_NAMED = 10
# What to do if there is nothing else in a folder.
_ADVICE = {
    COMPUTED: "Give the plain CT series of the examination, or one of {:g} to {:g} keV.".format(*CT_KEV),
    BITS: "Export the series again.",
    _UNEVEN: "Export the whole series once, reconstructed evenly.",
    DAMAGED: "Copy or export the series again.",
    "": "Name the folder of the axial series, or convert it to NIfTI.",
}


def find_stacks(files: Iterable[File], where: str, name: str = "") -> list[Stack]:
    """The CTs among files, best first (:func:`hipoa.imaging.ct.dicom.stacks.rank`).

    Localisers, other modalities, screenshots and files that are not DICOM are no obstacle.

    Args:
        files: With any names.
        where: What the user named, for messages.
        name: Only the stacks of this series ("3"), or the one of this name ("3b"); else all.

    Raises:
        CtError: There is none, there are several people, or several studies of which none is named.
        OSError: A file cannot be read now.
    """
    files = list(files)
    headers = [read_header(file) for file in files]
    stacks = sort_stacks(one for header in headers for one in header.frames)
    found = [stack for stack in stacks if stack.name]
    others = Counter(header.other for header in headers if header.other)
    for stack in stacks:
        if not stack.name:
            others[_UNEVEN if stack.gaps else _SHORT] += len(stack.slices)
    if stacks:
        check_one_person([header.identity for header in headers], where)
    if not found:
        _refuse(files, where, others)
    named = [stack for stack in found if _is_named(stack, name)]
    if not named:
        _refuse_name(found, where, name, others)
    check_one_exam([one for stack in named for one in stack.identities], where, name, len(named) > 1)
    equals = Counter(map(merits, named))
    return [
        replace(one, note=_note(one, equals[merits(one)], others), set_aside=_list_others(one, found, others))
        for one in named
    ]


def _is_named(stack: Stack, name: str) -> bool:
    number = "" if stack.number is None else str(stack.number)
    return name in ("", stack.name, number) or name == f"{number}a" == f"{stack.name}a"


def _note(stack: Stack, equals: int, others: Counter[str]) -> str:
    kind = stack.slices[0].kind
    notes = {
        f"{stack.copies} copies of slices left out": stack.copies,
        f"{COMPUTED} ({kind}): taken as plain CT": kind,
        f"{others[DAMAGED]} {DAMAGED} left out": others[DAMAGED],
        f"{equals} CT series are equally fine, sharp and long: series {stack.name} was taken": equals > 1,
    }
    return "; ".join(note for note, applies in notes.items() if applies)


def _list_others(taken: Stack, found: Iterable[Stack], others: Counter[str]) -> str:
    """What lies beside a stack: other stacks, and the number of files of other kinds."""
    names = sorted(f"series {one.name}" for one in found if one is not taken)
    return ", ".join([*_shorten(names, " series"), *_count(others)])


def _shorten(names: Sequence[str], what: str = "") -> list[str]:
    more = len(names) - _MOST_NAMED
    return [*names[:_MOST_NAMED], *([f"{more} more{what}"] if more > 0 else [])]


def _count(others: Counter[str]) -> list[str]:
    return [f"{count} {name}" for name, count in others.items()]


def _refuse_name(found: Sequence[Stack], where: str, name: str, others: Counter[str]) -> None:
    by_name = sorted(
        found, key=lambda one: (10**6 if one.number is None else one.number, len(one.name), one.name)
    )
    left = [text for text in _count(others) if COMPUTED in text]
    there = "; ".join([*_shorten([stack.describe() for stack in by_name]), *left])
    raise CtError(
        where,
        f"it has no CT series {name} to use (it has {there})",
        "Name one of these series by what stands before its colon.",
    )


def _refuse(files: Sequence[File], where: str, others: Counter[str]) -> None:
    named = ", ".join(_count(others))
    converted = any(file.name.lower().endswith((".nii", ".nii.gz", ".mha", ".nrrd")) for file in files)
    do = next(do for kind, do in _ADVICE.items() if not kind or any(kind in text for text in others))
    raise CtError(
        where,
        f"it holds no DICOM series of CT with {LEAST_SLICES} slices or more"
        + (f" ({named})" if named else ""),
        "Name the image file in it." if converted else do,
    )


def lay_out(stack: Stack, where: str) -> tuple[tuple[int, int, int], np.ndarray]:
    """Columns, rows and slices of a stack, and its 4 x 4 ras_from_ijk, k from slice to slice.

    The step is along the slices' normal unless the gantry was tilted.

    Raises:
        CtError: Slices lie beside the line of the others, or promise more than any CT has.
    """
    first = stack.slices[0]
    positions = np.array([image.position for image in stack.slices])
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    line = positions[0] + np.outer(np.arange(len(positions)), step)
    aside_mm = np.linalg.norm(positions - line, axis=1).max()
    if aside_mm > ASIDE_MM + UNEVEN * stack.step_mm:
        raise CtError(
            where,
            f"slices lie up to {aside_mm:.1f} mm beside the line of the others",
            "Export the whole series once, reconstructed evenly.",
        )
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([first.across, step])
    matrix[:3, 3] = first.position
    return check_shape((*first.size, len(stack.slices)), where), LPS_TO_RAS @ matrix


def read_stack(stack: Stack, where: str, part: slice = slice(None)) -> Image:
    """Reads the slices of a stack, each with its own rescaling.

    Args:
        stack: From :func:`find_stacks`.
        where: What the user named, for messages.
        part: Only these of its slices; the matrix is that of the whole stack.

    Returns:
        int16 (i, j, k), clipped, k from slice to slice.

    Raises:
        CtError: The slices lie beside their line, or are compressed by a method that is not known.
        RuntimeError: A slice cannot be decoded.
        OSError: A slice cannot be read now.
    """
    slices = stack.slices[part]
    (columns, rows, count), matrix = lay_out(stack, where)
    values = take_pages((len(slices), rows, columns), np.int16)
    for k, pixels in enumerate(read_pixels(slices, where)):
        values[k] = pixels
    step_mm = round(float(np.linalg.norm(matrix[:3, 2])), 3)
    origin = Origin(stack.name, count, step_mm, stack.set_aside, slices[0].acquired)
    return Image(values.T, matrix, (stack.note,) if stack.note else (), origin, stack.gaps)
