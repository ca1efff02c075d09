"""Fingerprints of pictures from their small decodes: two 64-bit hashes, and a thumbnail as a coarse vector.

The small decodes are made elsewhere, the same way for every encoder. Bit 63 of a hash is the first in reading order (left to
right, then down), so that its 16 hexadecimal digits read as those of the `imagehash` package.

Shapes: n pictures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.types import Float32, Float64

UInt64 = NDArray[np.uint64]

HASH_BITS = 64
SIDE = 32  # of the picture that phash looks at
LOWEST = 8  # frequencies kept in each direction
THUMBNAIL = (16, 16, 3)
SLICE = 1024  # pictures at a time: 8 MB as float64
ROUNDING = 1e-9  # of the greatest that a coefficient can be; float64 errs by 1e-16, one grey level of one pixel makes 1e-5
PLACES = np.arange(HASH_BITS - 1, -1, -1, dtype=np.uint64)  # the bit of each comparison, in reading order


def phash(small: NDArray[Any]) -> UInt64:
    """The perceptual hash [n] of grey pictures [n, 32, 32], uint8 or float32: its 32 greatest among 64 low frequencies.

    The variant of the `imagehash` package: the two-dimensional discrete cosine transform of type II without normalisation (all
    frequencies on one scale), the 8 × 8 lowest of each direction, the constant one among them, and a bit for each that is above
    the median of the 64. (The pHash library leaves out the lowest row and column instead.) The constant term counts as the
    greatest: in a picture without negative values it always is, so that bit 63 is always set, and neither brightness nor
    contrast changes the hash. A frequency within rounding error of the median is not above it: a uniform picture of any
    brightness is 2^63, and mirror symmetries, whose odd frequencies vanish, do not leave the hash to chance.

    Sources: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", 3.2.1; imagehash 4.3, `phash`.
    DataError for another shape or type, and for values that are not finite.
    """
    _check(small, (SIDE, SIDE), "phash")
    hashes = np.empty(len(small), dtype=np.uint64)
    for start in range(0, len(small), SLICE):
        hashes[start : start + SLICE] = _phash(small[start : start + SLICE])
    return hashes


def dhash(small: NDArray[Any]) -> UInt64:
    """The difference hash [n] of grey pictures [n, 8, 9], uint8 or float32: a bit where a pixel is brighter than its left one.

    Row by row, 8 comparisons each; equal pixels give 0, so a uniform picture is 0. Source: Krawetz 2013, "Kind of like that"
    (hackerfactor.com); imagehash 4.3, `dhash`. DataError for another shape or type, and for values that are not finite.
    """
    _check(small, (8, 9), "dhash")
    return _packed(small[:, :, 1:] > small[:, :, :-1])


def distance(a: UInt64, b: UInt64) -> NDArray[np.uint8]:
    """In how many of their 64 bits hashes differ: uint8, of the shape that `a` and `b` broadcast to. DataError if not uint64."""
    for hashes in (a, b):
        if getattr(hashes, "dtype", None) != np.uint64:
            raise DataError(f"The hashes are {getattr(hashes, 'dtype', type(hashes).__name__)}; give them as uint64.")
    differing: NDArray[np.uint8] = np.bitwise_count(np.bitwise_xor(a, b))
    return differing


def thumbnail_vectors(thumbnails: NDArray[np.uint8]) -> Float32:
    """Thumbnails [n, 16, 16, 3] uint8 as vectors [n, 768] float32: less their mean, and of unit length.

    One mean for all pixels and channels of a picture: the brightness goes and the colours stay, and the product of two vectors is
    the correlation of their pixels. A uniform grey thumbnail has nothing else and becomes the zero vector, like no other and not
    like itself; one of another uniform colour keeps its colour. DataError for another shape or type.
    """
    if thumbnails.dtype != np.uint8:
        raise DataError(f"The thumbnails are {thumbnails.dtype}; give them as uint8.")
    _check_shape(thumbnails, THUMBNAIL, "thumbnail_vectors")
    flat = thumbnails.reshape(len(thumbnails), math.prod(THUMBNAIL))
    vectors = np.empty(flat.shape, dtype=np.float32)
    for start in range(0, len(flat), SLICE):
        part = flat[start : start + SLICE].astype(np.int64)
        # 768 times the difference from the mean: whole numbers, so that a uniform grey is exactly zero.
        centred = part * part.shape[1] - part.sum(axis=1, keepdims=True)
        length = np.sqrt((centred * centred).sum(axis=1, keepdims=True))
        vectors[start : start + SLICE] = centred / np.maximum(length, 1)
    return vectors


def _phash(small: NDArray[Any]) -> UInt64:
    pixels = small.astype(np.float64)
    pixels -= pixels.mean(axis=(1, 2), keepdims=True)  # exact for uint8, and for a uniform picture: 1024 times the same 24 bits
    waves = _cosines()
    coefficients = (waves @ pixels @ waves.T).reshape(len(small), -1)
    coefficients[:, 0] = np.inf
    ordered = np.sort(coefficients, axis=1)
    median = (ordered[:, 31:32] + ordered[:, 32:33]) / 2
    rounding = ROUNDING * 4 * np.abs(pixels).sum(axis=(1, 2))
    return _packed(coefficients - median > rounding[:, None])


def _cosines() -> Float64:
    """[8, 32]: 2 cos(π k (2 x + 1) / 64), the lowest eight frequencies k of 32 pixels x."""
    waves: Float64 = 2 * np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(LOWEST), 2 * np.arange(SIDE) + 1))
    return waves


def _packed(bits: NDArray[np.bool_]) -> UInt64:
    """64 bits of each picture as one number, the first in its highest bit."""
    hashes: UInt64 = np.bitwise_or.reduce(bits.reshape(len(bits), HASH_BITS).astype(np.uint64) << PLACES, axis=1)
    return hashes


def _check(small: NDArray[Any], shape: tuple[int, ...], name: str) -> None:
    if small.dtype not in (np.uint8, np.float32):
        raise DataError(f"{name} was given {small.dtype}; convert the pictures to uint8 or float32.")
    _check_shape(small, shape, name)
    if small.dtype == np.float32 and not np.isfinite(small).all():
        row = int(np.argmin(np.isfinite(small).reshape(len(small), -1).all(axis=1)))
        raise DataError(f"Picture {row} given to {name} has a value that is not finite; mend or leave out that picture.")


def _check_shape(small: NDArray[Any], shape: tuple[int, ...], name: str) -> None:
    if small.ndim != len(shape) + 1 or small.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise DataError(f"{name} was given shape {list(small.shape)}; give small pictures as [count, {wanted}].")
