"""Histograms of a CT's values, and the peaks in them that are no coincidence."""

from __future__ import annotations

import numpy as np

# Nothing in a patient lies below air, -1000 HU, and its noise; scanners pad with less.
PADDING_HU = -1300
_LOWEST, _HIGHEST = -32768, 32767
# A drawing (a synthetic image without noise) has fewer values.
_LEAST_GREYS = 50
# Noise gives no single value of tissue such a share, or so many times that of its neighbours.
_CONSTANT_SHARE, _CONSTANT_TIMES = 0.01, 5
_NEIGHBOURS = np.r_[-5:0, 1:6]
# A background that was compressed, or mixed from two values, is as narrow; tissue has more noise.
# One value among as much tissue does not show in a wide band.
_BAND_WIDTHS = (9, 1)
_BAND_SHARE, _LEAST_BAND_SHARE, _BAND_TIMES = 0.05, 0.01, 5
# Fat and muscle: a drawing has one value of each, and no tool fills the background with one.
_TISSUES = ((-150, -60), (1, 150))
# Above the air of any scanner; below, a single value is padding, or the end of the scanner's range.
_LEAST_CONSTANT = -900


class Histogram:
    """How often each value from -32768 to 32767 occurs.

    Attributes:
        size: How many values lie above the padding; shares are shares of it.
        low: The least of them, above ``high`` if there is none.
        high: The greatest.
    """

    def __init__(self, counts: np.ndarray) -> None:
        self._counts = counts
        self._sums = np.concatenate([[0], np.cumsum(counts)])
        self.size = self.count(PADDING_HU + 1, _HIGHEST)
        above = np.flatnonzero(counts[PADDING_HU + 1 - _LOWEST :]) + PADDING_HU + 1
        self.low, self.high = (int(above[0]), int(above[-1])) if len(above) else (1, 0)

    @classmethod
    def of(cls, sample: np.ndarray) -> Histogram:
        """Counts int16 values."""
        # In the order of memory: a mapped file is read once from end to end.
        values = sample.ravel("K").astype(np.intp) - _LOWEST
        return cls(np.bincount(values, minlength=_HIGHEST - _LOWEST + 1))

    def without(self, low: int, high: int) -> Histogram:
        """The histogram of all values but those from ``low`` to ``high``."""
        counts = self._counts.copy()
        counts[low - _LOWEST : high + 1 - _LOWEST] = 0
        return Histogram(counts)

    def moved(self, by: int) -> Histogram:
        """The histogram of the values plus ``by``, not 0; what leaves the range is lost."""
        counts = np.roll(self._counts, by)
        counts[slice(by) if by > 0 else slice(by, None)] = 0
        return Histogram(counts)

    def count(self, low: int, high: int) -> int:
        """How many values lie from ``low`` to ``high``."""
        first, last = (min(max(value, _LOWEST), _HIGHEST) - _LOWEST for value in (low, high))
        return int(self._sums[last + 1] - self._sums[first])

    def share(self, low: int, high: int) -> float:
        """The share of the values from ``low`` to ``high``."""
        return self.count(low, high) / max(1, self.size)

    @property
    def has_greys(self) -> bool:
        """Whether there are many values above the padding."""
        return bool(np.count_nonzero(self._counts[PADDING_HU + 1 - _LOWEST :]) > _LEAST_GREYS)

    @property
    def is_noisy(self) -> bool:
        """Whether no single value makes up half of the body, as in a drawing."""
        body = self._counts[_LEAST_CONSTANT - _LOWEST :]
        return bool(self.has_greys and body.max() < 0.5 * body.sum())

    @property
    def is_padded(self) -> bool:
        """Whether what lies below air is padding: nearly one value, apart from averages with air."""
        below = self._counts[: PADDING_HU + 1 - _LOWEST]
        return bool(np.convolve(below, np.ones(5), "same").max() >= 0.6 * below.sum())

    def find_peak(self, low: int, high: int, width: int) -> int:
        """The middle of the most frequent ``width`` values from ``low`` to ``high``."""
        return low + int(np.argmax(self.smooth(low, high, width)))

    def smooth(self, low: int, high: int, width: int) -> np.ndarray:
        """Counts within a window of ``width`` values about each value from ``low`` to ``high``."""
        half = width // 2
        part = self._counts[low - half - _LOWEST : high + half + 1 - _LOWEST]
        return np.convolve(part, np.ones(2 * half + 1), "valid")

    def find_constant(self) -> int | None:
        """The one value among noise that many voxels have and that was never measured; None if there is none.

        The ends of the range do not count: there values are clipped.
        """
        counts = self._counts
        values = np.flatnonzero(counts > _CONSTANT_SHARE * counts.sum())
        values = values[(values > _LEAST_CONSTANT - _LOWEST) & (values < _HIGHEST - _LOWEST - 5)]
        beside = counts[values[:, None] + _NEIGHBOURS].mean(1)
        values = values[counts[values] > _CONSTANT_TIMES * beside] + _LOWEST
        if len(values) != 1 or any(low <= values[0] <= high for low, high in _TISSUES):
            return None
        value = int(values[0])
        return value if self.low < value < self.high and self.without(value, value).is_noisy else None

    def find_band(self) -> tuple[int, int] | None:
        """The ends of the only narrow band above air that holds many voxels; None if there is none.

        An image with several is a drawing or has hardly any noise, and none of them tells anything.
        """
        return next(filter(None, map(self._find_band, _BAND_WIDTHS)), None)

    def _find_band(self, width: int) -> tuple[int, int] | None:
        lowest, highest = _LEAST_CONSTANT + width, self.high - width
        if lowest >= highest:
            return None
        held = self.smooth(lowest - width, highest + width, width)
        inner = held[width:-width]
        beside = np.maximum(held[: -2 * width], held[2 * width :])
        share = inner / self._counts.sum()
        at = np.flatnonzero((share > _LEAST_BAND_SHARE) & (inner > _BAND_TIMES * beside))
        if not len(at) or np.ptp(at) >= max(_BAND_WIDTHS) or share[at].max() < _BAND_SHARE:
            return None
        # Several centres hold about as many.
        middle = lowest + int(np.median(at[share[at] > 0.99 * share[at].max()]))
        # Without other fat below, it is the fat of a CT that was cropped within the body.
        is_fat = _TISSUES[0][0] <= middle <= _TISSUES[0][1] and self.share(-200, middle - 14) < 0.01
        return None if is_fat else (middle - width // 2, middle + width // 2)
