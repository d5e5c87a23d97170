"""Lists every file that belongs to a DICOM CT, whether it is named by a folder, zip, DICOMDIR or image.

A folder or zip stands for all in it, a DICOMDIR for what it lists, an image for the images of its series
beside it. Nothing is unpacked to the disk.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom import dcmread

from hipoa.core.ct_files import is_dicom, is_dicomdir, is_foreign, walk
from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import File
from hipoa.imaging.ct.file_kinds import ZIP_STARTS, read_start, refuse_kind
from hipoa.imaging.ct.quiet import silent

_KEYWORDS = (_SERIES, _FRAMES, _CONCATENATION) = "SeriesInstanceUID", "NumberOfFrames", "ConcatenationUID"
_SERIES_TAG = b"\x20\x00\x0e\x00"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
# No CT is compressed so tightly; a small file that unpacks to much does no harm.
_MOST_BYTES, _MOST_RATIO = 2**30, 200
_OFFICE = {"[Content_Types].xml", "mimetype"}


def gather(path: Path) -> list[File]:
    """Every file that belongs to a CT, sorted.

    Zips in a folder without DICOM files of its own are read as if they were folders; beside DICOM files they
    are set aside like other files. What operating systems put into folders is left out.

    Raises:
        CtError: There is no such file, it is of another kind, or it cannot be read.
        OSError: It cannot be read now.
    """
    if path.is_dir():
        return _gather_folder(path)
    if not path.exists():
        raise CtError(path.name, "there is no such file or folder", "Check the path.")
    start = read_start(path)
    if start.startswith(ZIP_STARTS):
        return _gather_zip(path)
    if not is_dicom(start):
        raise refuse_kind(path.name, start)
    return _gather_listed(path) if is_dicomdir(start) else _gather_series(path)


def _gather_folder(folder: Path) -> list[File]:
    paths = _walk(folder)
    lost = sum(path.is_symlink() and not path.exists() for path in paths)
    if lost:
        do = "Fetch what they lead to, or delete them."
        raise CtError(folder.name, f"{lost} links in it lead nowhere", do)
    files = [path for path in paths if path.is_file()]
    zips = [path for path in files if path.suffix.lower() == ".zip"]
    others = [path for path in files if path.suffix.lower() != ".zip"]
    if not zips or _has_dicom(others):
        return [*files]
    return [*others, *(member for path in zips for member in _gather_zip(path))]


def _walk(folder: Path, *, nested: bool = True) -> list[Path]:
    return sorted(map(Path, walk(str(folder), nested=nested, fail=_raise)))


def _raise(error: OSError) -> None:
    raise error


def _gather_zip(path: Path) -> list[File]:
    try:
        archive = zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception:  # a damaged directory raises anything
        found = "the zip is cut, damaged or one of several parts"
        raise CtError(path.name, found, "Copy it again, or unpack it and name the folder.") from None
    # Some programs separate folders as Windows does.
    infos = [
        info
        for info in archive.infolist()
        if not (info.filename.endswith(("/", "\\")) or is_foreign(info.filename.replace("\\", "/")))
    ]
    _check_zip(path, infos)
    members = [zipfile.Path(archive, name) for name in sorted(info.filename for info in infos)]
    others = [member for member in members if not member.name.lower().endswith(".zip")]
    if len(others) < len(members) and not _has_dicom(others):
        raise CtError(path.name, "the zip holds zips", "Unpack it and name the folder.")
    return [*members]


def _check_zip(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in infos)
    names = Counter(info.filename for info in infos)
    faults = {
        "it is a document or table of an office program": not _OFFICE.isdisjoint(names),
        "the zip is locked by a password": any(info.flag_bits & 1 for info in infos),
        "the zip is packed by a method that is not read": any(i.compress_type not in _METHODS for i in infos),
        "files in the zip have one name": any(count > 1 for count in names.values()),
        f"the zip would unpack to {total / 2**30:.0f} GB, more than a CT of its size can": (
            total > max(_MOST_BYTES, _MOST_RATIO * path.stat().st_size)
        ),
    }
    fault = next((fault for fault, is_so in faults.items() if is_so), "")
    if fault:
        raise CtError(path.name, fault, "Give a DICOM folder: if this holds one, unpack it and name that.")


def _gather_listed(directory: Path) -> list[File]:
    """The files that a DICOMDIR lists, as far as they lie in its folder; discs use only capitals."""
    folder = directory.parent
    there = {_normalise(str(path.relative_to(folder))): path for path in _walk(folder)}
    series = _list_series(directory)
    found = [[there[name] for name in names if name in there] for names in series]
    cut = sum(0 < len(paths) < len(names) for paths, names in zip(found, series, strict=True))
    fault = ""
    if cut:
        fault = f"files that it lists are missing of {cut} of {len(series)} series"
    elif not any(found):
        fault = "none of the files that it lists lies in its folder"
    if fault:
        raise CtError(directory.name, fault, "Copy the whole disc, or name the folder of the images.")
    return list(dict.fromkeys(sorted(path for paths in found for path in paths)))


def _list_series(directory: Path) -> list[list[str]]:
    # pydicom's FileSet refuses the small faults of many discs.
    series: list[list[str]] = [[]]
    try:
        with silent():
            for record in dcmread(directory).DirectoryRecordSequence:
                if record.get("DirectoryRecordType") == "SERIES":
                    series.append([])
                parts = record.get("ReferencedFileID") or []
                name = parts if isinstance(parts, str) else "/".join(parts)
                series[-1] += [_normalise(name)] if name else []
    except OSError:
        raise
    except Exception:  # a damaged one makes pydicom raise anything
        raise CtError(directory.name, "the DICOMDIR is damaged", "Name its folder instead.") from None
    return [names for names in series if names]


def _normalise(name: str) -> str:
    # A disc's file system adds a version, and a full stop if there is no suffix.
    return re.sub(r"\.?(;\d+)?$", "", name.upper().replace("\\", "/").strip("/"))


def _gather_series(image: Path) -> list[File]:
    """The images of an image's series in its folder; a multi-frame image alone if it is not concatenated."""
    header = _read_header(image) or dict.fromkeys(_KEYWORDS, "")
    if header[_FRAMES].lstrip("0") not in ("", "1") and not header[_CONCATENATION]:
        return [image]
    if not header[_SERIES]:
        found = "it does not say of which series it is"
        raise CtError(image.name, found, "Name the folder of the series, if it holds no other.")
    files = (path for path in _walk(image.parent, nested=False) if path.is_file())
    return [path for path in files if _is_of(path, header[_SERIES])]


def _is_of(path: Path, series: str) -> bool:
    start = read_start(path)
    uid = series.encode()
    # A search is ten times faster than parsing the header. The UID may lie behind a long text, be
    # compressed, or stand there as that of another image.
    if not is_dicom(start) or (uid not in start and _SERIES_TAG in start):
        return False
    header = _read_header(path)
    return uid in start if header is None else header[_SERIES] == series


def _has_dicom(files: Iterable[File]) -> bool:
    return any(is_dicom(read_start(file)) for file in files)


def _read_header(path: Path) -> dict[str, str] | None:
    """Series, concatenation and number of frames of a DICOM file; None if it is damaged."""
    try:
        with silent():
            header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=[*_KEYWORDS])
            return {name: str(header.get(name) or "").strip(" \0") for name in _KEYWORDS}
    except OSError:
        raise
    except Exception:  # a damaged one makes pydicom raise anything
        return None
