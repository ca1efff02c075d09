"""A seeded draw that does not depend on the order of reading: the keys with the smallest hashes.

The same seed, file names and row positions give the same draw, and rows appended to a file displace only as many as
they themselves win.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from likewise.types import Int64

CHUNK_ROWS = 1 << 20
Row = TypeVar("Row")


def draw_rows(counts: Mapping[str, int], size: int, seed: int) -> dict[str, Int64]:
    """`size` rows of all (every row where there are fewer): for each file its positions from 0, ascending.

    Memory is that of the draw, whatever the number of rows.
    """
    names = list(counts)
    hashes = np.empty(0, dtype=np.uint64)
    files = np.empty(0, dtype=np.int64)
    positions = np.empty(0, dtype=np.int64)
    for number, name in enumerate(names):
        for start in range(0, counts[name], CHUNK_ROWS):
            place = np.arange(start, min(start + CHUNK_ROWS, counts[name]))
            hashes = np.concatenate([hashes, _mixed(place, _hash(f"{seed}\n{name}"))])
            files = np.concatenate([files, np.full(len(place), number)])
            positions = np.concatenate([positions, place])
            kept = np.lexsort((positions, files, hashes))[:size]
            hashes, files, positions = hashes[kept], files[kept], positions[kept]
    return {name: np.sort(positions[files == number]) for number, name in enumerate(names)}


def draw(keys: Sequence[str], size: int, seed: int) -> list[str]:
    """`size` of the different keys (all where there are fewer), in their order."""
    chosen = set(sorted(set(keys), key=lambda key: (_hash(f"{seed}\n{key}"), key))[:size])
    return [key for key in dict.fromkeys(keys) if key in chosen]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mixed(values: Int64, key: int) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea and Flood 2014) of the values moved by a key: a bijection, so no two values of a file tie."""
    mixed = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def rows_at(rows: Iterable[Row], positions: Int64) -> Iterator[Row]:
    """The rows at the given positions, ascending."""
    wanted = iter(positions.tolist())
    following = next(wanted, None)
    for position, row in enumerate(rows):
        if following is None:
            return
        if position == following:
            yield row
            following = next(wanted, None)
