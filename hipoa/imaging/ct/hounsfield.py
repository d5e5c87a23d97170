"""Whether stored numbers are Hounsfield units, and what they are if not."""

from __future__ import annotations

import numpy as np

from hipoa.errors import CtError

_SAMPLE = 500_000
# Nothing in a patient is darker than air, -1000 HU, and its noise; scanners pad with less.
_PADDING_HU = -1300
_OFFSET = 1024
_LEAST_BONE_HU = 200
_WINDOW_HU = 600
_LEAST_GREYS = 50


def to_hu(stored: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The HU of a CT.

    An offset of 1024 (DICOM's usual intercept, left out by some converters) is taken back where air lies at
    24, soft tissue near 1024 and next to nothing between them, which no other image has.

    Args:
        stored: int16 (i, j, k).
        where: The file, for messages.

    Returns:
        int16 HU, and what was corrected; the same array where nothing is. What scanners pad with stays: all
        up to -1000 counts as air, and so no voxel of a mapped file is read here but the sample.

    Raises:
        CtError: They are no HU.
    """
    sample = _sample(stored)
    if sample.size == 0:
        raise CtError(where, f"no voxel is above {_PADDING_HU} HU: it is empty", "Give the CT itself, in HU.")
    if is_shifted(sample):
        values = np.maximum(stored, 0) - np.int16(_OFFSET)
        return values, (f"the values were {_OFFSET} too high: taken as HU plus {_OFFSET}",)
    found = find_kind(sample)
    if found:
        raise CtError(
            where, found, "Give the CT itself in HU, not rescaled for display, clipped or shifted by 1024."
        )
    return stored, ()


def find_kind(sample: np.ndarray) -> str:
    """What values (n,) are if they are not HU of air, fat and bone; HU are an empty text."""
    low, high = int(sample.min()), int(sample.max())
    run = f"the values run from {low} to {high}, which is not Hounsfield units of air, fat and bone"
    if low == high:
        return f"every voxel has the value {low}"
    kinds = {
        f"{run}: the range is that of a mask or of a CT scaled to 0-1": low >= -1 and high <= 1,
        f"{run}: they are labels, or grey values for display": low >= 0 and high <= 255,
        f"{run}: an MR image, or a CT without its rescaling": low >= 0,
        run: high < _LEAST_BONE_HU,
        f"{run}: signed values were stored as unsigned ones": high == 32767 and _share(sample, high) > 0.01,
        f"the values are clipped at {high} HU: bone has more": high <= _WINDOW_HU
        and _share(sample, high) > 0.002
        and _is_noisy(sample),
        f"the values are clipped at {low} HU: air has -1000": low > -500
        and _share(sample, low) > 0.05
        and _is_noisy(sample),
    }
    return next((text for text, is_so in kinds.items() if is_so), "")


def is_shifted(sample: np.ndarray) -> bool:
    """Whether values (n,) are certainly HU plus 1024.

    An offset of 1000 is left to the refusal: air lies at 0 then, and its noise is cut.
    """
    if sample.min() < 0 or sample.max() < _OFFSET + _LEAST_BONE_HU:
        return False
    counts = np.bincount(sample.clip(0, 4095), minlength=4096)
    # Zeros are padding.
    inside = counts[1:].sum()
    smooth = np.convolve(counts[1:101], np.ones(5), "valid")
    air_at = 3 + int(np.argmax(smooth))
    return bool(
        abs(air_at - (_OFFSET - 1000)) <= 8
        and counts[1:70].sum() > 0.05 * inside
        and counts[_OFFSET - 150 : _OFFSET + 150].sum() > 0.1 * inside
        and counts[250:750].sum() < 0.05 * inside
    )


def _is_noisy(sample: np.ndarray) -> bool:
    """Whether there are many greys; of a drawing many voxels have one value, and yet it is not clipped."""
    return bool(np.count_nonzero(np.bincount(sample - sample.min().astype(np.int32))) > _LEAST_GREYS)


def _share(sample: np.ndarray, value: int) -> float:
    return float(np.count_nonzero(sample == value) / sample.size)


def _sample(stored: np.ndarray) -> np.ndarray:
    step = max(1, int(np.ceil((stored.size / _SAMPLE) ** (1 / 3))))
    # In the order of memory: a mapped file is read once from end to end.
    sample = stored[::step, ::step, ::step].ravel("K")
    return sample[sample > _PADDING_HU]
