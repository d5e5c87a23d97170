"""Chooses the stack of a study of an export, and finds a path that names it in a table of cases."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hipoa.cases.choice import find_part, rank
from hipoa.cases.headers import Source, read_about, unpack
from hipoa.cases.index import Entry, Export, Index
from hipoa.cases.people import parse_identity
from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import Slice
from hipoa.imaging.ct.dicom.identity import check_one_exam
from hipoa.imaging.ct.dicom.stacks import Stack, sort_stacks

FEW = "no CT of enough evenly spaced slices"
UNDECIDED = "several regions: the run takes the first stack that shows both hips"
GUESSED = "several regions: the largest was taken, see the overview for the others"
GONE = "its files could be read first and then no more: start again"
MIXED = "its files lie among those of others in a way that no path can name: unpack it, or sort it by study"

_Places = Mapping[str, Sequence[Slice]]
"""CT images by the folder or zip file that holds them."""


@dataclass(frozen=True)
class Study:
    """A study with CTs."""

    stacks: Sequence[Stack] = ()  # all that could be read, the best first
    names: Sequence[str] = ()  # the name of each within `ct`; empty for those that are not in it
    ct: Path = Path()  # the path to write in a table of cases
    series: str = ""  # the name of the stack to read; empty if `project` decides
    aside: str = ""  # why it cannot be in the table; empty if it can
    # Texts of the header of the series that was taken, or of any.
    about: Mapping[str, str] = field(default_factory=dict)
    issuers: frozenset[str] = frozenset()
    images: int = 0  # count of CT images in all its files
    place: Path = Path()
    check: str = ""  # what the user should check about the choice

    @property
    def is_decided(self) -> bool:
        """One stack is taken, and not left to `project`."""
        return self.check != UNDECIDED


def describe_study(index: Index, export: Export, person: str, study: str) -> Study:
    """Chooses the stack of a study and finds a path that names it."""
    try:
        return _describe(index, export, person, study)
    except (OSError, zipfile.BadZipFile):  # copies of slices are compared by their pixels
        return Study(aside=GONE)


def _describe(index: Index, export: Export, person: str, study: str) -> Study:
    loose, zipped = _load(index, export.cts[person][study])
    images = [*_below(loose), *_below(zipped)]
    files = {image.series: image.file for image in reversed(images)}
    about = {series: read_about(file) for series, file in files.items()}
    known = Study(
        about=about[images[0].series],
        issuers=frozenset(texts["issuer"] for texts in about.values()),
        images=len(images),
        place=Path(os.path.commonpath([*loose, *zipped])),
    )
    parts = {series: find_part(texts) for series, texts in about.items()}
    for places in (loose, zipped):
        if stacks := _sort(_below(places)):
            ranked, is_single = rank(stacks, parts)
            known = replace(known, stacks=ranked, about=about[ranked[0].slices[0].series])
            paths = _list_paths(export, (person, study), places, ranked[0])
            return _name(known, paths, is_single, len(_below(places)))
    return replace(known, aside=FEW)


def _load(index: Index, entries: Sequence[Entry]) -> tuple[_Places, _Places]:
    """The images of a study in folders, and those in zip files."""
    loose: defaultdict[str, list[Slice]] = defaultdict(list)
    zipped: defaultdict[str, list[Slice]] = defaultdict(list)
    archives: dict[str, zipfile.ZipFile] = {}
    for entry in entries:
        path, member = entry.file.path, entry.file.member
        if member and path not in archives:
            archives[path] = zipfile.ZipFile(path)
        file: Source = zipfile.Path(archives[path], member) if member else Path(path)
        identity = parse_identity(entry.identity)
        found = unpack(index.read_frames(entry), file=file, series=entry.series, identity=identity)
        (zipped if member else loose)[entry.place] += found
    return loose, zipped


def _below(places: _Places, folder: str = "") -> list[Slice]:
    """The images in a folder and its subfolders, or in a zip file; by default all."""
    inside = folder.rstrip("/") + "/"
    return [
        image
        for place, found in places.items()
        if place == folder or place.startswith(inside)
        for image in found
    ]


def _sort(images: Sequence[Slice]) -> list[Stack]:
    # Stacks that are too short to be read have no name.
    return [stack for stack in sort_stacks(images) if stack.name] if images else []


def _uids(images: Iterable[Slice]) -> frozenset[str]:
    return frozenset(image.uid or f"{image.file} {image.frame}" for image in images)


def _list_paths(
    export: Export, whose: tuple[str, str], places: _Places, taken: Stack
) -> Iterator[tuple[Path, list[Slice]]]:
    """Paths that name images of this study alone, and the images: its folder, a series' folder, an image."""
    wanted = _uids(taken.slices)
    holding = sorted(place for place, found in places.items() if wanted <= _uids(found))
    is_zipped = not isinstance(taken.slices[0].file, Path)
    for place in (os.path.commonpath(list(places)), *holding):
        # Zip files beside loose images are not read, and one that cannot be read stops the others.
        is_read = not is_zipped or place in places or not export.has_loose(place)
        if is_read and not export.is_shared(place, *whose):
            yield Path(place), _below(places, place)
    if not is_zipped:
        yield from (_name_image(places[place], taken) for place in holding)


def _name_image(images: Sequence[Slice], taken: Stack) -> tuple[Path, list[Slice]]:
    """The first image of a stack in a folder, and the images that it stands for: those of its series."""
    wanted = _uids(taken.slices)
    series = [image for image in images if image.series == taken.slices[0].series]
    first = min(Path(str(image.file)) for image in series if _uids([image]) <= wanted)
    frames = [image for image in series if Path(str(image.file)) == first]
    return first, frames if len(frames) > 1 else series


def _name(study: Study, paths: Iterator[tuple[Path, list[Slice]]], is_single: bool, count: int) -> Study:
    """The study with the first path that names the taken stack, and the names of its stacks within it."""
    taken = _uids(study.stacks[0].slices)
    for path, images in paths:
        names = {_uids(stack.slices): stack.name for stack in _sort(images)}
        if names.get(taken):
            can_leave = len(images) == count and _are_one_exam(images)
            check = "" if is_single else UNDECIDED if can_leave else GUESSED
            series = "" if check == UNDECIDED else names[taken]
            found = [names.get(_uids(stack.slices), "") for stack in study.stacks]
            return replace(study, names=found, ct=path, series=series, check=check)
    return replace(study, names=[""] * len(study.stacks), aside=MIXED)


def _are_one_exam(images: Sequence[Slice]) -> bool:
    """Whether `project` would choose among these, and not refuse them as perhaps two people's."""
    try:
        check_one_exam([image.identity for image in images], "")
    except CtError:
        return False
    return True
