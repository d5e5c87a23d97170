"""Finds the CTs among DICOM files, whatever else lies there, and reads one.

No identifier of a patient, study or series, and no date, is ever part of a message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from hipoa.core.ct_files import SUFFIXES
from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import BITS, COMPUTED, DAMAGED, File, read_header
from hipoa.imaging.ct.dicom.identity import check_one_exam, check_one_person
from hipoa.imaging.ct.dicom.multi_energy import CT_KEV
from hipoa.imaging.ct.dicom.pixels import read_pixels
from hipoa.imaging.ct.dicom.separation import ASIDE_MM, LEAST_SLICES, UNEVEN
from hipoa.imaging.ct.dicom.stacks import Stack, merits, sort_stacks
from hipoa.imaging.ct.image import LPS_TO_RAS, Image, Origin, check_affine, check_shape, take_pages
from hipoa.imaging.ct.volume import LazyVolume

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
    named = [stack for stack in found if stack.has_name(name)]
    if not named:
        _refuse_name(found, where, name, others)
    check_one_exam([one for stack in named for one in stack.identities], where, name, len(named) > 1)
    equals = Counter(map(merits, named))
    result = []
    for stack in named:
        beside = _shorten(sorted(f"series {one.name}" for one in found if one is not stack), " series")
        note = _note(stack, equals[merits(stack)], others)
        result.append(replace(stack, note=note, set_aside=", ".join([*beside, *_count(others)])))
    return result


def _note(stack: Stack, equals: int, others: Counter[str]) -> str:
    kind = stack.slices[0].kind
    notes = {
        f"{stack.copies} copies of slices left out": stack.copies,
        f"{COMPUTED} ({kind}): taken as plain CT": kind,
        f"{others[DAMAGED]} {DAMAGED} left out": others[DAMAGED],
        f"{equals} CT series are equally fine, sharp and long: series {stack.name} was taken": equals > 1,
    }
    return "; ".join(note for note, applies in notes.items() if applies)


def _shorten(names: Sequence[str], what: str = "") -> list[str]:
    more = len(names) - _MOST_NAMED
    return [*names[:_MOST_NAMED], *([f"{more} more{what}"] if more > 0 else [])]


def _count(others: Counter[str]) -> list[str]:
    return [f"{count} {name}" for name, count in others.items()]


def _refuse_name(found: Sequence[Stack], where: str, name: str, others: Counter[str]) -> None:
    by_name = sorted(found, key=lambda one: (one.sort_number, len(one.name), one.name))
    left = [text for text in _count(others) if COMPUTED in text]
    there = "; ".join([*_shorten([stack.describe() for stack in by_name]), *left])
    do = "Name one of these series by what stands before its colon."
    raise CtError(where, f"it has no CT series {name} to use (it has {there})", do)


def _refuse(files: Sequence[File], where: str, others: Counter[str]) -> None:
    there = ", ".join(_count(others))
    found = f"it holds no DICOM series of CT with {LEAST_SLICES} slices or more"
    converted = any(file.name.lower().endswith(SUFFIXES) for file in files)
    do = next(do for kind, do in _ADVICE.items() if not kind or any(kind in text for text in others))
    do = "Name the image file in it." if converted else do
    raise CtError(where, f"{found} ({there})" if there else found, do)


def open_stack(stack: Stack, where: str) -> LazyVolume:
    """A stack as a CT, of which slices are read on demand, each with its own rescaling.

    The step is along the slices' normal unless the gantry was tilted.

    Args:
        stack: From :func:`find_stacks`.
        where: What the user named, for messages.

    Raises:
        CtError: Slices lie beside the line of the others, or promise more than any CT has.
    """
    first = stack.slices[0]
    positions = np.array([image.position for image in stack.slices])
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    aside_mm = np.linalg.norm(
        positions - positions[0] - np.outer(np.arange(len(positions)), step), axis=1
    ).max()
    if aside_mm > ASIDE_MM + UNEVEN * stack.step_mm:
        found = f"slices lie up to {aside_mm:.1f} mm beside the line of the others"
        raise CtError(where, found, _ADVICE[_UNEVEN])
    lps_from_ijk = np.eye(4)
    lps_from_ijk[:3, :3] = np.column_stack([first.across, step])
    lps_from_ijk[:3, 3] = first.position
    matrix = LPS_TO_RAS @ lps_from_ijk
    columns, rows, count = check_shape((*first.size, len(stack.slices)), where)
    check_affine(matrix, where)

    def load(part: slice) -> Image:
        slices = stack.slices[part]
        values = take_pages((len(slices), rows, columns), np.int16)
        for k, pixels in enumerate(read_pixels(slices, where)):
            values[k] = pixels
        step_mm = round(float(np.linalg.norm(step)), 3)
        origin = Origin(stack.name, count, step_mm, stack.set_aside, slices[0].acquired)
        return Image(values.T, matrix, (stack.note,) if stack.note else (), origin, stack.gaps)

    return LazyVolume.defer(where, (columns, rows, count), matrix, load)
