"""What a study of an export holds, and how to name it in a table of cases."""

from __future__ import annotations

import json
import os
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hipoa.cases.body_parts import name_part
from hipoa.cases.choice import name_series, rank
from hipoa.cases.headers import BAD_ZIP, unpack
from hipoa.cases.index import Index
from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import Slice
from hipoa.imaging.ct.dicom.identity import check_one_exam
from hipoa.imaging.ct.dicom.stacks import Stack, sort_stacks

FEW = "no CT of enough evenly spaced slices"
LEFT = "several regions: the run takes the first stack that shows both hips"
GUESSED = "several regions: the largest was taken, see the overview for the others"
GONE = "its files could be read first and then no more: start again"
MIXED = "its files lie among those of others in a way that no path can name: unpack it, or sort it by study"


@dataclass(frozen=True)
class Study:
    """A study with CTs.

    Attributes:
        stacks: All that could be read, the first to be read first.
        names: What each is called within `ct`; empty for those that do not lie there.
        ct: What to name in a table of cases.
        series: The name of the stack within it; empty where the reading decides.
        aside: Why it cannot be named; empty where it can.
        about: Texts of the header of one series, as the index has them: of the stack that was taken.
        images: Of CT, in all its files, a count.
        place: Where its images lie.
        is_sure: Whether one stack is taken, and not left to the reading.
        check: What the user should look at of the choice.
    """

    stacks: Sequence[Stack] = ()
    names: Sequence[str] = ()
    ct: Path = Path()
    series: str = ""
    aside: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    images: int = 0
    place: Path = Path()
    is_sure: bool = True
    check: str = ""


@dataclass(frozen=True)
class _Files:
    """Images of CT of a study, by the folder or zip file in which they lie."""

    slices: Mapping[str, Sequence[Slice]]
    zipped: bool

    @property
    def all(self) -> list[Slice]:
        return [one for found in self.slices.values() for one in found]

    def below(self, place: str) -> list[Slice]:
        inside = place.rstrip("/") + "/"
        return [
            one
            for name, found in self.slices.items()
            if name == place or name.startswith(inside)
            for one in found
        ]


@dataclass(frozen=True)
class _Named:
    """A path, the names of the stacks in what it names, and whether one is taken."""

    path: Path
    names: Mapping[frozenset[str], str]
    is_sure: bool


def describe_study(index: Index, person: str, study: str) -> Study:
    """Chooses the stack of a study and finds a path that names it."""
    try:
        return _describe(index, person, study)
    except (OSError, zipfile.BadZipFile):  # slices at one place are compared by their pixels
        return Study(aside=GONE)


def _describe(index: Index, person: str, study: str) -> Study:
    loose, zipped = _load(index, person, study)
    about = {name: json.loads(text) for name, text in index.list_series(person, study).items()}
    known = Study(
        about=next(iter(about.values()), {}),
        images=len(loose.all) + len(zipped.all),
        place=Path(os.path.commonpath([*loose.slices, *zipped.slices])),
    )
    for files in (loose, zipped):
        stacks = _sort(files.all)
        if stacks:
            ranked, is_alone = rank(stacks, {name: name_part(texts) for name, texts in about.items()})
            named = _find_name(index, (person, study), files, ranked[0], leave=not is_alone)
            texts = about.get(name_series(ranked[0]), {})
            check = "" if is_alone or named is None else GUESSED if named.is_sure else LEFT
            return _name_stacks(replace(known, stacks=ranked, about=texts, check=check), named)
    return replace(known, aside=FEW)


def _name_stacks(study: Study, named: _Named | None) -> Study:
    if named is None:
        return replace(study, names=[""] * len(study.stacks), aside=MIXED)
    names = [named.names.get(_uids(stack), "") for stack in study.stacks]
    series = names[0] if named.is_sure else ""
    return replace(study, names=names, ct=named.path, series=series, is_sure=named.is_sure)


def _load(index: Index, person: str, study: str) -> tuple[_Files, _Files]:
    """The images of a study that lie in folders, and those in zip files."""
    loose: defaultdict[str, list[Slice]] = defaultdict(list)
    zipped: defaultdict[str, list[Slice]] = defaultdict(list)
    archives: dict[str, zipfile.ZipFile] = {}
    for (_, path, member), *said in index.list_images(person, study):
        if not member:
            loose[os.path.dirname(path)] += unpack(Path(path), *said)  # noqa: PTH120
            continue
        if path not in archives:
            archives[path] = zipfile.ZipFile(path)
        zipped[path] += unpack(zipfile.Path(archives[path], member), *said)
    return _Files(loose, False), _Files(zipped, True)


def _sort(slices: Sequence[Slice]) -> list[Stack]:
    # What is too short to be read has no name.
    return [stack for stack in sort_stacks(slices) if stack.name] if slices else []


def _uids(stack: Stack) -> frozenset[str]:
    return frozenset(map(_uid, stack.slices))


def _uid(one: Slice) -> str:
    return one.uid or f"{one.file} {one.frame}"


def _find_name(
    index: Index, whose: tuple[str, str], files: _Files, taken: Stack, *, leave: bool
) -> _Named | None:
    """The widest path that names files of this study alone, and the names of the stacks in it."""
    for path, within in _list_paths(index, whose, files, taken):
        names = {_uids(stack): stack.name for stack in _sort(within)}
        if names.get(_uids(taken)):
            is_left = leave and len(within) == len(files.all) and _can_leave(within)
            return _Named(path, names, not is_left)
    return None


def _list_paths(
    index: Index, whose: tuple[str, str], files: _Files, taken: Stack
) -> Iterator[tuple[Path, list[Slice]]]:
    """Paths that name this study alone, and what each names: the study's folder, a series', one image."""
    places = _find_places(files, taken)
    for place in (os.path.commonpath(list(files.slices)), *places):
        # Beside loose images zip files are not read, and one that cannot be read stops the others.
        is_read = not files.zipped or place in files.slices or not index.has_loose(place, BAD_ZIP)
        if is_read and not index.is_shared(place, *whose):
            yield Path(place), files.below(place)
    if not files.zipped:
        yield from (_name_image(files.slices[place], taken) for place in places)


def _can_leave(slices: Sequence[Slice]) -> bool:
    """Whether the reading would choose among these, or refuse them as perhaps two people's."""
    try:
        check_one_exam([one.identity for one in slices], "")
    except CtError:
        return False
    return True


def _find_places(files: _Files, taken: Stack) -> list[str]:
    """Folders and zip files that hold the whole of a stack."""
    wanted = _uids(taken)
    return sorted(place for place, found in files.slices.items() if wanted <= set(map(_uid, found)))


def _name_image(slices: Iterable[Slice], taken: Stack) -> tuple[Path, list[Slice]]:
    """The first image of a stack in a folder, and the images that it stands for: its series'."""
    wanted = _uids(taken)
    series = [one for one in slices if one.series == name_series(taken)]
    image = min(Path(str(one.file)) for one in series if _uid(one) in wanted)
    same = [one for one in series if Path(str(one.file)) == image]
    return image, same if len(same) > 1 else series
