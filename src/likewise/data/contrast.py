"""Contrast-limited adaptive histogram equalisation (CLAHE) of frames between 0 and 1, without rounding them to levels.

Source: K. Zuiderveld 1994, "Contrast limited adaptive histogram equalization", Graphics Gems IV, VIII.5. Different from it: the
map of a tile is linear within each bin of its histogram, so that different values stay different; and what is cut from full
bins is spread over the others exactly, not in rounds.

Shapes: [H, W] a frame, R × C tiles, B bins.
"""

from __future__ import annotations

import numpy as np

from likewise.types import Float32, Float64, Int64

TILES = 8  # to a side; fewer where the frame has fewer pixels
BINS = 256
HALVINGS = 60  # of an interval: to the last bit of a float64


def equalized(frame: Float32, clip_limit: float) -> Float32:
    """[H, W] float32 in [0, 1] of values in [0, 1]; within a tile's own map a greater value stays a greater one.

    `clip_limit` bounds a bin's share of a tile's pixels, as a multiple of the mean share (Zuiderveld's and OpenCV's unit): the
    greater, the more contrast; at 1 and below nothing is changed.
    """
    if clip_limit <= 1:
        return frame
    height, width = frame.shape
    rows, row_tile = _tiles(height)
    columns, column_tile = _tiles(width)
    scaled = frame.astype(np.float64) * BINS
    bins = np.minimum(scaled.astype(np.int64), BINS - 1)
    tile = row_tile[:, None] * columns + column_tile
    counts = np.bincount((tile * BINS + bins).ravel(), minlength=rows * columns * BINS).reshape(rows * columns, BINS)
    shares = _clipped(counts / counts.sum(axis=1, keepdims=True), clip_limit / BINS)
    below = np.cumsum(shares, axis=1) - shares
    within = scaled - bins
    result = np.zeros(frame.shape)
    for row, row_weight in _neighbors(height, rows):
        for column, column_weight in _neighbors(width, columns):
            place = (row[:, None] * columns + column) * BINS + bins
            result += row_weight[:, None] * column_weight * (below.ravel()[place] + within * shares.ravel()[place])
    return np.clip(result, 0.0, 1.0).astype(np.float32)


def _tiles(length: int) -> tuple[int, Int64]:
    """The number of tiles along a side, and the tile of each pixel; their sizes differ by a pixel at most."""
    number = min(TILES, length)
    return number, np.arange(length, dtype=np.int64) * number // length


def _clipped(shares: Float64, limit: float) -> Float64:
    """Histograms [T, B] of sum 1, none above `limit`: all are raised by one amount, but not beyond the limit.

    The amount is found by halving: the sum grows with it.
    """
    low, high = np.zeros(len(shares)), np.full(len(shares), limit)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        full = np.minimum(shares + middle[:, None], limit).sum(axis=1) > 1
        low, high = np.where(full, low, middle), np.where(full, middle, high)
    clipped: Float64 = np.minimum(shares + high[:, None], limit)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return clipped


def _neighbors(length: int, number: int) -> tuple[tuple[Int64, Float64], tuple[Int64, Float64]]:
    """For each pixel along a side the tile whose centre is at or before it, and the next one; with the weight of each.

    Beyond the outermost centres both are the outermost tile.
    """
    place = (np.arange(length) + 0.5) * number / length - 0.5
    first = np.floor(place).astype(np.int64)
    weight = place - first
    return (np.clip(first, 0, number - 1), 1 - weight), (np.clip(first + 1, 0, number - 1), weight)
