"""Checks that stored numbers are Hounsfield units, and corrects those that certainly are not.

Air at -1000 HU, and soft tissue between fat, about -110, and muscle, about 50, are where they are in every
patient. A scale is accepted, or corrected, only where these say so: the range of the values says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
from scipy import ndimage

from hipoa.core.errors import CtError
from hipoa.imaging.ct.histogram import PADDING_HU, Histogram

_SAMPLE = 250_000
# DICOM intercepts that converters leave out or subtract twice, and the 1000 of those who round;
# 8192 is that of scanners with an extended range.
_OFFSETS = (1024, 1000, 8192, -1024, -1000, -8192)
# Farther off, an offset of 1000 could be taken for one of 1024.
_AIR_WITHIN_HU = 5
# Foam and clothes are denser than air, and a part of the chest may have no air but that of lungs.
_AIR_HU = (-1080, -700)
# From 70 to 140 kV, and some noise.
_FAT_HU = (-150, -65)
_LEAST_BONE_HU = 200
_WINDOW_HU = 600
# Fewer values tell nothing of tissues.
_LEAST_VALUES = 2000
# Smaller regions are tissue that happens to have the background's value.
_LEAST_REGION = 50
_BORDER_SHARE = 0.9
_DO = (
    "Give the whole CT in HU, with the rescale slope and intercept of its DICOM series applied once, "
    "not scaled for display, clipped or shifted."
)
_CLEAR = (
    "Give the CT as it was before it was masked, turned or compressed, or set all about the body to -1000."
)


def to_hu(stored: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The HU of stored values, int16 (i, j, k).

    Only what is certain is corrected: an intercept that was left out or subtracted twice, if both air and
    soft tissue tell which; one value all about the body, such as the 0 of a masked or rotated CT.

    Returns:
        int16 HU, and what was corrected; the same array if nothing was. Padding stays: everything up to
        -1000 counts as air, and so no voxel of a mapped file is read here but the sample.

    Raises:
        CtError: They are not HU, or what lies about the body is not air.
    """
    sample = _sample(stored)
    hu, notes = _correct(stored, sample, where)
    _check_background(_sample(hu) if notes else sample, where)
    return hu, notes


def _correct(stored: np.ndarray, sample: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    counted = Histogram.of(sample)
    constant = counted.find_constant()
    tissues = counted if constant is None else counted.without(constant, constant)
    fault = _find_range_fault(counted) or _find_tissue_fault(tissues)
    # The offset by which values are certainly HU plus it.
    offset = next((offset for offset in _OFFSETS if _is_shifted(tissues, offset)), 0) if fault else 0
    if offset:
        way, sign = ("high", "plus") if offset > 0 else ("low", "minus")
        note = f"the values were {abs(offset)} too {way}: taken as HU {sign} {abs(offset)}"
        # What lies far below air is padding; nothing may overflow.
        low, high = max(-32768, offset - 2024), min(32767, 32767 + offset)
        return stored.clip(low, high) - np.int16(offset), (note,)
    if fault:
        band = counted.find_band()
        if band and not _find_range_fault(counted) and not _find_tissue_fault(counted.without(*band)):
            _check_background(sample, where)
        raise CtError(where, fault, _DO)
    if constant is None:
        return stored, ()
    share = f"{counted.share(constant, constant):.0%} of the voxels"
    if not _surrounds(sample == constant):
        raise CtError(where, f"{share} have the value {constant}, and not about the body", _DO)
    note = f"{share}, about the body, had the value {constant}: taken as air"
    return _clear_background(stored, constant), (note,)


def _check_background(sample: np.ndarray, where: str) -> None:
    """Refuses a background in a narrow band above air, which would be taken for tissue."""
    band = Histogram.of(sample).find_band()
    if band is None:
        return
    within = (sample >= band[0]) & (sample <= band[1])
    if _surrounds(within):
        share, middle = within.mean(), sum(band) // 2
        found = f"{share:.0%} of the voxels, about the body, lie at about {middle} HU, where air has -1000"
        raise CtError(where, found, _CLEAR)


def _is_shifted(counted: Histogram, offset: int) -> bool:
    """Whether values are certainly HU plus an offset: air and soft tissue agree, with little between."""
    # Air tells 1000 from 1024, unless its noise is cut at 0.
    if counted.low == 0 == offset - 1000:
        return False
    moved = counted.moved(-offset)
    share = moved.share
    air_at = moved.find_peak(-1100, -900, 5)
    air = share(-1080, -900)
    return bool(
        abs(air_at + 1000) <= _AIR_WITHIN_HU
        and air > 0.05
        # Padding, for which only too low values are taken, has one value, and air has noise.
        and (offset > 0 or share(air_at - 2, air_at + 2) < 0.5 * air)
        and share(-774, -274) < share(-150, 150) / 3
        and not _find_tissue_fault(moved)
    )


def _find_range_fault(counted: Histogram) -> str:
    """What values are, by their range, if not HU of air, fat and bone; empty for HU."""
    low, high = counted.low, counted.high
    if low > high:
        return f"no voxel is above {PADDING_HU} HU: it is empty, or shifted"
    run = f"the values run from {low} to {high}, which is not Hounsfield units of air, fat and bone"
    if low == high:
        return f"every voxel has the value {low}"
    at_high = counted.share(high, high)
    faults = {
        f"{run}: the range is that of a mask or of a CT scaled to 0-1": low >= -1 and high <= 1,
        f"{run}: they are labels, or grey values for display": low >= 0 and high <= 255,
        f"{run}: an MR image, or a CT without its rescaling": low >= 0,
        run: high < _LEAST_BONE_HU,
        f"{run}: signed values were stored as unsigned ones": high == 32767 and at_high > 0.01,
        f"the values are clipped at {high} HU: bone has more": (
            high <= _WINDOW_HU and at_high > 0.002 and counted.has_greys
        ),
        f"the values are clipped at {low} HU: air has -1000": (
            low > -500 and counted.share(low, low) > 0.05 and counted.has_greys
        ),
    }
    return next((text for text, is_so in faults.items() if is_so), "")


def _find_tissue_fault(counted: Histogram) -> str:
    """Which tissue lies elsewhere than in HU; empty for HU, and for drawings without noise."""
    if counted.size < _LEAST_VALUES or not counted.is_noisy:
        return ""
    fault = next(chain(_compare_shares(counted), _compare_peaks(counted)), "")
    return fault and f"the values are not Hounsfield units of air, fat, muscle and bone: {fault}"


def _compare_shares(counted: Histogram) -> Iterator[str]:
    share = counted.share
    body, soft, dense = share(-500, 32767), share(-200, 150), share(800, 1300)
    if share(PADDING_HU, -50) < 0.01:
        yield f"{share(PADDING_HU, -50):.1%} are below -50, where air and fat lie"
    if soft < 0.3 * body or soft < share(-500, -200):
        yield f"{soft / max(body, 1e-9):.0%} of the body are from -200 to 150, where fat and muscle lie"
    if dense > 0.1 * body and dense > share(250, 750):
        yield f"{dense / body:.0%} of the body are from 800 to 1300, where only dense bone lies"
    if share(1300, 32767) > 0.15 * body:
        yield f"{share(1300, 32767) / body:.0%} of the body are above 1300, as only metal is"
    if share(_LEAST_BONE_HU, 32767) < 0.0005 * body:
        yield f"hardly one is above {_LEAST_BONE_HU}, where bone lies"


def _compare_peaks(counted: Histogram) -> Iterator[str]:
    air_at, fat_at = _find_air(counted), _find_fat(counted)
    if air_at is not None and not _AIR_HU[0] <= air_at <= _AIR_HU[1]:
        yield f"air lies at {air_at}"
    if fat_at is not None and not _FAT_HU[0] <= fat_at <= _FAT_HU[1]:
        yield f"fat lies at {fat_at}"
    if counted.count(-32768, PADDING_HU) > 0.05 * counted.size and not counted.is_padded:
        yield f"much that is no padding lies below {PADDING_HU}"
    body, bone = counted.share(-500, 32767), counted.share(300, 650)
    # Without air about the body there may be gas in the bowel, but little.
    if counted.share(-1080, -860) < 0.01 and counted.share(-650, -300) > max(0.01 * body, 3 * bone):
        yield "more lies below fat than above muscle, where bone lies"


def _find_air(counted: Histogram) -> int | None:
    """The narrow peak below fat; a CT cropped within the body has none."""
    low, high = PADDING_HU + 10, -170
    peak = counted.find_peak(low, high, 21)
    about = counted.count(peak - 30, peak + 30)
    # What rises to the end is the tail of fat.
    rises = about < counted.count(high, high + 60)
    narrow = about > 0.05 * counted.size and about > 0.5 * counted.count(low, high)
    return peak if narrow and not rises else None


def _find_fat(counted: Histogram) -> int | None:
    """The peak of fat beside that of muscle, if it lies elsewhere than it should."""
    smooth = counted.smooth(-330, 30, 21)
    highest = ndimage.maximum_filter1d(smooth, 31)[15:-15]
    inner = smooth[15:-15]
    peaks = np.flatnonzero((inner == highest) & (inner > 0))
    peaks = peaks[peaks < 285]
    if not len(peaks):
        return None
    peak = int(peaks[np.argmax(inner[peaks])])
    valleys = smooth[: peak + 15].min(), smooth[peak + 15 : peak + 75].min()
    at = peak - 315
    alone = max(valleys) < 0.65 * inner[peak]
    # If there is more in its usual place, or above muscle of half the HU, the peak is of something else.
    usual = counted.share(*_FAT_HU) + (counted.share(60, 150) if at > _FAT_HU[1] else 0)
    most = counted.share(at - 20, at + 20) > max(0.03, usual)
    return at if alone and most else None


def _sample(stored: np.ndarray) -> np.ndarray:
    step = max(1, int(np.ceil((stored.size / _SAMPLE) ** (1 / 3))))
    return stored[::step, ::step, ::step]


def _surrounds(mask: np.ndarray) -> bool:
    """Whether a mask's larger regions reach the CT's border, of which it covers more than of the whole."""
    regions = np.empty(mask.shape, np.int32)
    ndimage.label(mask, output=regions)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    sizes[sizes < _LEAST_REGION] = 0
    faces = [regions.take(end, axis) for axis in range(3) for end in (0, -1)]
    border = np.concatenate([face.ravel() for face in faces])
    reach = sizes[np.unique(border)].sum() >= _BORDER_SHARE * sizes.sum()
    return bool(reach and np.count_nonzero(border) / border.size > sizes.sum() / mask.size > 0)


def _clear_background(values: np.ndarray, background: int) -> np.ndarray:
    """A copy with air where cubes of 3 x 3 x 3 voxels have this value; noise gives it to single voxels."""
    mask = _combine(_combine(values == background, np.logical_and), np.logical_or)
    cleared = values.copy("K")
    cleared[mask] = -1000
    return cleared


def _combine(mask: np.ndarray, both: Callable[..., np.ndarray]) -> np.ndarray:
    """Combines each voxel of a mask with its 26 neighbours, as far as they exist; scipy is much slower."""
    for axis in range(mask.ndim):
        before = np.moveaxis(mask, axis, 0)
        mask = mask.copy("K")
        after = np.moveaxis(mask, axis, 0)
        both(after[1:], before[:-1], out=after[1:])
        both(after[:-1], before[1:], out=after[:-1])
    return mask
