"""Reads pixels of DICOM images: uncompressed ones with numpy, compressed ones with pydicom and GDCM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGExtended12Bit, JPEGLossless
from scipy import ndimage

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.headers import File, Pixels, Slice
from hipoa.imaging.ct.image import round_into
from hipoa.imaging.ct.quiet import silent

_GDCM = "gdcm"
_HIGHEST = 2**12 - 1
# A blurred edge from one end to the other has values between.
_NEAR_END = 1500


def read_stored(images: Iterable[Slice]) -> Iterator[bytes]:
    """The bytes stored for the pixels of each image, compressed or not; opens a file of several only once.

    Raises:
        RuntimeError: A file is cut.
        OSError: A file cannot be read now.
    """
    for file, group in groupby(images, key=lambda image: image.file):
        of_file = list(group)
        if of_file[0].pixels.offset is not None:
            yield from _read_raw(file, of_file)
            continue
        dataset = _read_whole(file)
        content, count = dataset.PixelData, int(dataset.get("NumberOfFrames") or 1)
        is_compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
        for image in of_file:
            yield get_frame(content, image.frame, number_of_frames=count) if is_compressed else content


def read_pixels(images: Iterable[Slice], where: str) -> Iterator[np.ndarray]:
    """The rescaled pixels of each image, int16 (rows, columns), clipped; opens a file of several only once.

    Raises:
        CtError: They are compressed by a method that is not known.
        RuntimeError: They cannot be decoded.
        OSError: A file cannot be read now.
    """
    for file, group in groupby(images, key=lambda image: image.file):
        of_file = list(group)
        if of_file[0].pixels.offset is None:
            frames = _decode(file, [image.frame for image in of_file], where)
        else:
            frames = (
                np.frombuffer(content, image.pixels.dtype).reshape(image.size[::-1])
                for image, content in zip(of_file, _read_raw(file, of_file), strict=True)
            )
        for image, stored in zip(of_file, frames, strict=True):
            yield rescale(_keep_bits(stored, image.pixels), image.pixels)


def rescale(stored: np.ndarray, pixels: Pixels) -> np.ndarray:
    """HU of stored values (rows, columns): int16, rounded and clipped."""
    slope, intercept = pixels.slope, pixels.intercept
    if slope == 1 and intercept.is_integer() and stored.dtype.itemsize == 2:
        low, high = int(stored.min()) + int(intercept), int(stored.max()) + int(intercept)
        if -(2**15) <= low and high < 2**15:
            # Intermediate overflow cancels out, and a sum in 16 bits is ten times as fast.
            return stored.view(stored.dtype.str.replace("u", "i")) + np.int64(intercept).astype(np.int16)
    return round_into(stored * slope + intercept, np.int16)[0]


def _keep_bits(stored: np.ndarray, pixels: Pixels) -> np.ndarray:
    """The bits that count; old scanners keep overlays in the others."""
    unused = stored.dtype.itemsize * 8 - pixels.stored
    if unused <= 0:
        return stored
    # Shifted up and down again, a sign fills the upper bits.
    return (stored << unused) >> unused


def _read_raw(file: File, images: Sequence[Slice]) -> Iterator[bytes]:
    with file.open("rb") as stream:
        # A member of a zip is unpacked from its beginning after each step back.
        packed = len(images) > 1 and not isinstance(file, Path)
        source = BytesIO(stream.read()) if packed else stream
        for image in images:
            size = image.size[0] * image.size[1] * np.dtype(image.pixels.dtype).itemsize
            source.seek((image.pixels.offset or 0) + image.frame * size)
            content = source.read(size)
            if len(content) < size:
                raise RuntimeError("the file is shorter than it was")
            yield content


def _decode(file: File, frames: list[int], where: str) -> list[np.ndarray]:
    dataset = _read_whole(file)
    syntax = dataset.file_meta.TransferSyntaxUID
    is_12_bits = syntax == JPEGExtended12Bit and dataset.BitsAllocated == 16
    if is_12_bits:  # GDCM decodes it like any JPEG, but pydicom refuses to ask
        dataset.file_meta.TransferSyntaxUID = JPEGLossless
    try:
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        found = f"its slices are compressed in a way that is not read ({syntax.name})"
        raise CtError(where, found, "Export them uncompressed (Explicit VR Little Endian).")
    plugin = _GDCM if _GDCM in decoder.available_plugins else ""
    with silent():
        found = decoder.iter_array(dataset, indices=frames, raw=True, decoding_plugin=plugin)
        arrays = [array.copy() for array, _ in found]
    return [
        _swap_ends(array) if is_12_bits and not dataset.PixelRepresentation else array for array in arrays
    ]


def _swap_ends(stored: np.ndarray) -> np.ndarray:
    """Unsigned values of 12 bits (rows, columns), with those that overflowed put back at their end.

    Lossy coding makes 0 fall a little lower, for which GDCM gives the highest value, and the lowest for what
    is too high. No CT has that value amid values of the other end.
    """
    mended = stored.copy()
    for wrong, right in ((_HIGHEST, 0), (0, _HIGHEST)):
        # Its annotation leaves out that it gives a pair.
        labelled: Any = ndimage.label(stored == wrong, np.ones((3, 3)))
        areas, count = labelled
        off = np.where(stored == wrong, 0, 1 + np.abs(stored.astype(np.int32) - right))
        about = np.asarray(ndimage.maximum(ndimage.maximum_filter(off, 3), areas, np.arange(count + 1)))
        amid = (about > 0) & (about < _NEAR_END)
        amid[0] = False
        mended[amid[areas]] = right
    return mended


def _read_whole(file: File) -> Dataset:
    with file.open("rb") as stream:
        dataset = dcmread(stream, force=True)
    if "PixelData" not in dataset:  # the file ends before or within it
        raise RuntimeError("the file is cut")
    return dataset
