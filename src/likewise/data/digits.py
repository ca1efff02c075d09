"""The handwritten digits of scikit-learn: 1,797 pictures of 8 × 8 pixels, which every machine has; the group is the digit.

Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits" (UCI, 1998), its test set.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from likewise.data.images import Wanted, read_images
from likewise.data.options import DigitsOptions
from likewise.data.sampling import draw
from likewise.types import Items, Reject

SHARD = "digits"
WHITE = 16  # values are 0 to 16
ENLARGED = 4  # each pixel becomes 4 × 4, so that people can see them


class DigitsSource:
    """Each picture as a PNG of 32 × 32, the digit its group."""

    Options = DigitsOptions

    def __init__(self, options: DigitsOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed

    def shards(self) -> Sequence[str]:
        """One."""
        return [SHARD]

    def read(self, shard: str) -> Iterator[Items | Reject]:
        """All pictures, or a sample of them."""
        return read_images(shard, self._wanted())

    def _wanted(self) -> Iterator[Wanted]:
        from sklearn.datasets import load_digits

        found = load_digits()
        names = [f"digit-{number:04d}" for number in range(len(found.images))]
        kept = set(names)
        if self._options.sample_size is not None:
            kept = set(draw(names, self._options.sample_size, self._seed))
        for name, picture, digit in zip(names, found.images, found.target.tolist(), strict=True):
            if name in kept:
                gray = np.rint(picture * 255 / WHITE).astype(np.uint8)
                yield Wanted(_png(np.kron(gray, np.ones((ENLARGED, ENLARGED), np.uint8))), name, {"group": str(digit)}, "digits")


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()
