"""Near-duplicate pictures: perceptual hashes that differ in a few bits, from the small look that was taken while reading in.

Shapes: N pictures, n of a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from likewise.data.image_refs import ImageRef
from likewise.data.looks import Looks
from likewise.data.near_hashes.groups import groups_within
from likewise.data.options import ImageHash
from likewise.data.perceptual import HASH_BITS, UInt64, dhash, distance, phash
from likewise.data.pixels import looks_from_bytes


def image_looks(slices: Iterable[Sequence[ImageRef]], bits: int, image_hash: ImageHash) -> Looks:
    """Classes of pictures whose hashes differ in at most `bits` of 64, and of what hangs together through such pictures."""
    hashes, keys = [np.empty(0, dtype=np.uint64)], list[bytes]()
    for refs in slices:
        hashes.append(picture_hashes([ref.look or b"" for ref in refs], image_hash))
        keys += [ref.key for ref in refs]
    hashed = np.concatenate(hashes)
    classes = groups_within(hashed, bits)
    similarity = 1 - distance(hashed, hashed[classes]).astype(np.float64) / HASH_BITS
    return Looks(classes, similarity, len(keys) - len(set(keys)), 0, "the same file", hashed)


def picture_hashes(looks: list[bytes], image_hash: ImageHash) -> UInt64:
    """The hash [n] of each small look, as `SmallLook.to_bytes` wrote it."""
    gray, difference, _ = looks_from_bytes(looks)
    return phash(gray) if image_hash == "phash" else dhash(difference)
