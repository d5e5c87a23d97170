"""Every file that belongs to a CT in DICOM, however it was named.

By a folder: all in it and in its folders. By a zip: all in it. By a DICOMDIR: what it lists. By one image:
the images of its series beside it. Nothing is unpacked to the disk.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread

from hipoa.core.ct_files import START_BYTES, is_dicom, is_dicomdir, is_foreign, walk
from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import File
from hipoa.imaging.ct.file_kinds import is_zip, refuse_kind
from hipoa.imaging.ct.quiet import silent

_SERIES, _FRAMES, _CONCATENATION = 0x0020000E, 0x00280008, 0x00209161
_SERIES_BYTES = b"\x20\x00\x0e\x00"
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
# No CT is packed so tightly; a small file that unpacks to much harms nobody.
_MOST_BYTES, _MOST_RATIO = 2**30, 200
_OFFICE = {"[Content_Types].xml", "mimetype"}


def gather(path: Path) -> list[File]:
    """Every file that belongs to a CT, sorted.

    Zips in a folder without DICOM files of its own are read as if they were folders; beside DICOM files they
    are files like others, and set aside. What operating systems put into folders is left out.

    Raises:
        CtError: There is nothing of the name, it is another kind of file, or it cannot be read.
        OSError: It cannot be read now.
    """
    if path.is_dir():
        return _gather_folder(path)
    if not path.exists():
        raise CtError(path.name, "there is no such file or folder", "Check the path.")
    start = _read_start(path)
    if is_zip(start):
        return _gather_zip(path)
    if not is_dicom(start):
        raise refuse_kind(path.name, start)
    return _gather_listed(path) if is_dicomdir(start) else _gather_series(path)


def _gather_folder(folder: Path) -> list[File]:
    paths = sorted(map(Path, walk(str(folder), fail=_raise)))
    lost = sum(path.is_symlink() and not path.exists() for path in paths)
    if lost:
        raise CtError(
            folder.name,
            f"{lost} links in it lead nowhere",
            "Fetch what they lead to, or delete them.",
        )
    files: list[File] = [path for path in paths if path.is_file()]
    zips = [path for path in paths if path.suffix.lower() == ".zip" and path.is_file()]
    loose = [file for file in files if file not in zips] if zips else files
    if not zips or _has_dicom(loose):
        return files
    return [*loose, *(member for path in zips for member in _gather_zip(path))]


def _raise(error: OSError) -> None:
    raise error


def _gather_zip(path: Path) -> list[File]:
    archive = _open_zip(path)
    infos = [info for info in archive.root.infolist() if not _is_aside(info.filename)]
    _check_zip(path, infos)
    members: list[File] = [zipfile.Path(archive.root, name) for name in sorted(i.filename for i in infos)]
    loose = [member for member in members if not member.name.lower().endswith(".zip")]
    if len(loose) < len(members) and not _has_dicom(loose):
        raise CtError(path.name, "the zip holds zips", "Unpack it and name the folder.")
    return members


def _is_aside(name: str) -> bool:
    # Some programs part folders as Windows does.
    return name.endswith(("/", "\\")) or is_foreign(name.replace("\\", "/"))


def _open_zip(path: Path) -> zipfile.Path:
    try:
        return zipfile.Path(path)
    except OSError:
        raise
    except Exception:  # a damaged directory makes it raise whatever it trips over
        found = "the zip is cut, damaged or one of several parts"
        raise CtError(path.name, found, "Copy it again, or unpack it and name the folder.") from None


def _check_zip(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in infos)
    names = Counter(info.filename for info in infos)
    faults = {
        "it is a document or table of an office program": not _OFFICE.isdisjoint(names),
        "the zip is locked by a password": any(info.flag_bits & 1 for info in infos),
        "the zip is packed by a method that is not read": any(i.compress_type not in _PACKED for i in infos),
        "files in the zip have one name": any(count > 1 for count in names.values()),
        f"the zip would unpack to {total / 2**30:.0f} GB, more than a CT of its size can": (
            total > max(_MOST_BYTES, _MOST_RATIO * path.stat().st_size)
        ),
    }
    found = next((fault for fault, is_so in faults.items() if is_so), "")
    if found:
        raise CtError(path.name, found, "Give a DICOM folder: if this holds one, unpack it and name that.")


def _gather_listed(directory: Path) -> list[File]:
    """The files that a DICOMDIR lists, as far as they lie in its folder; discs know capitals alone."""
    folder = str(directory.parent)
    there = {_spell(path[len(folder) :]): Path(path) for path in walk(folder, fail=_raise)}
    series = _list_series(directory)
    found = [[there[name] for name in names if name in there] for names in series]
    cut = sum(0 < len(paths) < len(names) for paths, names in zip(found, series, strict=True))
    if cut:
        found_text = f"files that it lists are missing of {cut} of {len(series)} series"
        raise CtError(directory.name, found_text, "Copy the whole disc, or name the folder of the images.")
    if not any(found):
        found_text = "none of the files that it lists lies in its folder"
        raise CtError(directory.name, found_text, "Copy the whole disc, or name the folder of the images.")
    return list(dict.fromkeys(sorted(path for paths in found for path in paths)))


def _list_series(directory: Path) -> list[list[str]]:
    """The names of the files of each series that a DICOMDIR lists."""
    try:
        with silent():
            records = dcmread(directory).DirectoryRecordSequence
            series: list[list[str]] = [[]]
            for record in records:
                if record.get("DirectoryRecordType") == "SERIES":
                    series.append([])
                parts = record.get("ReferencedFileID") or []
                name = parts if isinstance(parts, str) else "/".join(parts)
                series[-1] += [_spell(name)] if name else []
    except OSError:
        raise
    except Exception:  # a damaged one makes pydicom raise whatever it trips over
        raise CtError(directory.name, "the DICOMDIR is damaged", "Name its folder instead.") from None
    return [names for names in series if names]


def _spell(name: str) -> str:
    # A disc's file system adds a version, and a point where there is no suffix.
    return re.sub(r"\.?(;\d+)?$", "", name.upper().replace("\\", "/").strip("/"))


def _gather_series(image: Path) -> list[File]:
    """The images of an image's series in its folder; one of several frames alone, if it is no part of one."""
    header = _read_header(image)
    series = _read_text(header, _SERIES) if header else ""
    several = _read_text(header, _FRAMES).lstrip("0") not in ("", "1") if header else False
    if header and several and not _read_text(header, _CONCATENATION):
        return [image]
    if not series:
        found = "it does not say of which series it is"
        raise CtError(image.name, found, "Name the folder of the series, if it holds no other.")
    paths = map(Path, walk(str(image.parent), nested=False, fail=_raise))
    return [path for path in sorted(paths) if path.is_file() and _is_of(path, series.encode())]


def _is_of(path: Path, series: bytes) -> bool:
    start = _read_start(path)
    # To look for it is ten times faster than to take the header apart. It may lie behind a long text, be
    # compressed, or stand there as that of another image.
    if not is_dicom(start) or (series not in start and _SERIES_BYTES in start):
        return False
    header = _read_header(path)
    return series in start if header is None else _read_text(header, _SERIES).encode() == series


def _has_dicom(files: Iterable[File]) -> bool:
    return any(is_dicom(_read_start(file)) for file in files)


def _read_start(file: File) -> bytes:
    with file.open("rb") as stream:
        return stream.read(START_BYTES)


def _read_header(path: Path) -> Dataset | None:
    """Series, concatenation and count of frames of a DICOM file; None if it is damaged."""
    try:
        with silent():
            return dcmread(
                path, force=True, stop_before_pixels=True, specific_tags=[_SERIES, _CONCATENATION, _FRAMES]
            )
    except OSError:
        raise
    except Exception:  # a damaged one makes pydicom raise whatever it trips over
        return None


def _read_text(header: Dataset, tag: int) -> str:
    # As it is stored: pydicom would warn of what the standard forbids, and tell it.
    element = header.get_item(tag)
    value = b"" if element is None else element.value or b""
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip(" \0")
