"""What the search for near-duplicates finds.

Shapes: N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.types import Float64, Int64


@dataclass(frozen=True, slots=True)
class Looks:
    """What is near what: `classes` [N], the smallest row of each item's class, and its similarity to that row [N].

    `equal` items are the same as another; `not_compared` could not be compared with all others. `how` says what counts as equal,
    in words. `hashes` uint64 [N] are those of pictures, by which a new one finds its near-duplicates.
    """

    classes: Int64
    similarity: Float64
    equal: int
    not_compared: int
    how: str
    hashes: NDArray[np.uint64] | None = None
