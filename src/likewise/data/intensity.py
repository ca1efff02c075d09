"""Frames of one channel and any depth as values between 0 and 1: windows, gamma, local contrast; and byte order that looks wrong.

Shapes: a frame is [H, W]. What lies outside a window is counted, never lost in silence; what would make different values equal
is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.data.contrast import equalized
from likewise.errors import DataError
from likewise.types import Float32, Float64, Int64

WINDOW_FILE = "window.json"  # where a fitted window is kept
MIDDLE = 0.5  # what every pixel of a constant frame becomes
SIXTEEN_BITS = 1 << 16
SMOOTHER = 0.9  # the share of its roughness that a frame of wrong bytes keeps at most once they are swapped


@dataclass(frozen=True, slots=True)
class Window:
    """The values that become 0 and 1. DataError unless both are finite and `low` ≤ `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise DataError(f"A window from {self.low} to {self.high} holds no values; give two numbers, the lower first.")


def window_of(frame: NDArray[Any], low_percent: float, high_percent: float) -> Window:
    """The window between two percentiles of a frame's own values; 0 and 100 are its least and its greatest value, exactly.

    Between two values the percentile is interpolated linearly. DataError unless 0 ≤ `low_percent` < `high_percent` ≤ 100.
    """
    if not 0 <= low_percent < high_percent <= 100:
        raise DataError(
            f"The percentiles {low_percent} and {high_percent} bound no window; give two between 0 and 100, the lower first."
        )
    low = float(frame.min()) if low_percent == 0 else float(np.percentile(frame, low_percent))
    high = float(frame.max()) if high_percent == 100 else float(np.percentile(frame, high_percent))
    return Window(low, high)


def windowed(frame: NDArray[Any], window: Window, *, gamma: float = 1.0, clahe: float | None = None) -> tuple[Float32, int]:
    """The frame with `window` as 0 to 1, float32 [H, W] in [0, 1]; and the number of pixels outside, which become 0 or 1.

    Values v become ((v - low) / (high - low)) ** gamma, so a greater value is never a smaller one. A frame of integers keeps all
    its different values within the window. One of floats keeps those that are 2⁻²³ of the window apart, which must be half of
    them, or as many as 16 bits tell apart. DataError where that cannot be, which names the remedy. In a window of no width what
    lies inside becomes 0.5: so does all of a constant frame under its own window. A window beside all values of a frame that is
    not constant is a DataError.

    `clahe` is the clip limit of a local equalisation that follows (see `contrast.equalized`); None leaves the contrast alone.
    """
    if not gamma > 0:
        raise DataError(f"A gamma of {gamma} is not a power; give one above 0.")
    inside = (frame >= window.low) & (frame <= window.high)
    if frame.dtype in (np.uint8, np.uint16):
        scaled = _scaled_by_table(frame, window, gamma)
    else:
        scaled = _scaled(frame, window, gamma)
        _check_kept(frame[inside], scaled[inside], window, gamma)
    clipped = frame.size - int(np.count_nonzero(inside))
    if clipped and scaled.min() == scaled.max() and (frame.min() != frame.max()):
        raise DataError(
            f"The window from {window.low:g} to {window.high:g} leaves one value of a frame from {frame.min():g} to "
            f"{frame.max():g}; give a window that holds the frame's values."
        )
    return (scaled if clahe is None or window.low == window.high else equalized(scaled, clahe)), clipped


def looks_swapped(frame: NDArray[Any]) -> bool:
    """Whether the two bytes of a frame's values seem to stand in the wrong order: uint16 [H, W]; anything else never does.

    Two things tell. The upper bytes of a measured frame vary less than its lower ones, by their entropy. And neighbours are
    alike: swapping wrong bytes back makes them more so, relative to the spread of the values; swapping right ones makes noise.
    A guess, to be told and not acted upon; a frame whose values share one upper byte cannot tell.
    """
    if frame.dtype != np.uint16 or min(frame.shape) < 2:
        return False
    upper, lower = (np.bincount((frame >> shift & 255).ravel(), minlength=256) for shift in (8, 0))
    if _entropy(upper) <= _entropy(lower):
        return False
    return _roughness(frame.byteswap()) < SMOOTHER * _roughness(frame)


def keeps_enough(before: NDArray[Any], after: NDArray[Any]) -> bool:
    """Whether a conversion of floats left half of the different values, or as many as 16 bits tell apart."""
    return _distinct(after) >= _enough(_distinct(before))


def _enough(distinct: int) -> int:
    return min((distinct + 1) // 2, SIXTEEN_BITS)


def _distinct(values: NDArray[Any]) -> int:
    ordered = np.sort(values, axis=None)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + (1 if ordered.size else 0)


def _scaled(values: NDArray[Any], window: Window, gamma: float) -> Float32:
    """[...] float32, by float64."""
    if window.low == window.high:
        return np.where(values == window.low, MIDDLE, values > window.low).astype(np.float32)
    scaled: Float64 = (values.astype(np.float64) - window.low) / (window.high - window.low)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    if gamma != 1:
        scaled **= gamma
    return scaled.astype(np.float32)


def _scaled_by_table(frame: NDArray[Any], window: Window, gamma: float) -> Float32:
    """As `_scaled`, worked out once for each value there may be."""
    levels = np.arange(np.iinfo(frame.dtype).max + 1)
    table = _scaled(levels, window, gamma)
    present = _present(frame)
    present = present[(present >= window.low) & (present <= window.high)]
    lost = int(np.count_nonzero(np.diff(table[present]) <= 0))
    if lost:
        raise DataError(f"{_merged(lost, len(present), window, gamma)}.")
    scaled: Float32 = table[frame]
    return scaled


def _present(frame: NDArray[Any]) -> Int64:
    """The different values of a frame of small unsigned integers, ascending."""
    return np.flatnonzero(np.bincount(frame.ravel(), minlength=1)).astype(np.int64)


def _check_kept(before: NDArray[Any], after: Float32, window: Window, gamma: float) -> None:
    had = _distinct(before)
    if before.dtype.kind in "iu":
        kept, enough = _distinct(after), had
    else:  # beside 0 float32 tells values apart that no encoder can: what counts is what is left once 1 is added
        kept, enough = _distinct(after + np.float32(1)), _enough(had)
    if kept < enough:
        raise DataError(f"{_merged(had - kept, had, window, gamma)}.")


def _merged(lost: int, had: int, window: Window, gamma: float) -> str:
    told = f"The window from {window.low:g} to {window.high:g}"
    told += "" if gamma == 1 else f" with gamma = {gamma:g}"
    remedy = (
        'give a narrower window, such as window = "frame" with percentiles = [1, 99]'
        if gamma == 1
        else "give a gamma nearer to 1"
    )
    return f"{told} would make {lost} of {had} different values equal to another; {remedy}"


def _entropy(counts: NDArray[np.integer[Any]]) -> float:
    """In bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _roughness(frame: NDArray[np.uint16]) -> float:
    """The mean difference of neighbours over the mean distance from the mean; 0 for a constant frame."""
    values = frame.astype(np.float32)
    spread = float(np.abs(values - values.mean(dtype=np.float64)).mean(dtype=np.float64))
    across = np.abs(np.diff(values, axis=1)).mean(dtype=np.float64)
    down = np.abs(np.diff(values, axis=0)).mean(dtype=np.float64)
    return float(across + down) / spread if spread else 0.0
