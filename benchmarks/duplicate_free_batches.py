"""Batches without duplicates: one epoch of 500,000 pairs of which many share a text, against sentence-transformers.

Ours is the plan of one epoch, from the classes of texts to batches, nothing kept from before; the peer walks its sampler
once over a `datasets.Dataset` of the same texts, as its trainer does. Its hashed variant hashes the texts anew, and fewer
processes than cores would only make it slower, so it gets one per core. Both sides' batches are checked: each pair at most
once, and no text twice in a batch, in whichever column.
"""

from __future__ import annotations

import numpy as np
import torch
from datasets import Dataset, disable_caching, disable_progress_bars
from numpy.typing import NDArray
from sentence_transformers.base.sampler import NoDuplicatesBatchSampler

import harness
from likewise.training.duplicate_free import Partition, duplicate_free

PAIRS, QUICK = 500_000, 20_000
SIZE = 32
GOAL_SECONDS = 1.2
WORDS = 12  # per text: the peer hashes texts, and these are about as long as a question


def codes(pairs: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Query and document of each pair: a third of the texts repeat, 2000 documents often, some queries are documents.

    No document stands in so many pairs that batches run out of places for it: there the peer's time grows with the square.
    """
    queries = generator.integers(0, int(0.7 * pairs), pairs)
    documents = int(0.7 * pairs) + generator.integers(0, int(0.6 * pairs), pairs)
    often = generator.random(pairs) < 0.1
    documents[often] = int(1.3 * pairs) + generator.integers(0, 2000, int(often.sum()))
    also = generator.random(pairs) < 0.02
    documents[also] = generator.integers(0, int(0.7 * pairs), int(also.sum()))
    return queries, documents


def texts(values: NDArray[np.int64]) -> list[str]:
    """A text per code: its number, and words to make it as long as a question."""
    return [f"{value} " + "word " * WORDS for value in values.tolist()]


def epoch(data: Dataset, *, hashed: bool, threads: int) -> list[list[int]]:
    """One epoch of the peer's batches."""
    sampler = NoDuplicatesBatchSampler(
        data, SIZE, False, generator=torch.Generator(), precompute_hashes=hashed, precompute_num_proc=threads if hashed else None
    )
    return list(sampler)


def check(batches: list[list[int]], a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
    """No pair twice in the epoch, no text twice in a batch."""
    every = np.concatenate(batches)
    assert len(np.unique(every)) == len(every)
    for batch in batches:
        both = [code for pair in batch for code in {a[pair], b[pair]}]
        assert len(set(both)) == len(both)


def listed(partition: Partition) -> list[list[int]]:
    """Our batches as lists, for the check."""
    return [partition.batch(number).tolist() for number in range(len(partition))]


def main() -> None:
    """Time all three and print what they gave."""
    options = harness.arguments(__doc__)
    pairs = QUICK if options.quick else PAIRS
    print(harness.machine())
    disable_progress_bars()
    disable_caching()  # the peer's hashes would be read back from the disk in its second run
    generator = np.random.default_rng(0)
    a, b = codes(pairs, generator)
    data = Dataset.from_dict({"anchor": texts(a), "positive": texts(b)})
    ours, hashed, plain = harness.timed(
        lambda: duplicate_free(a, b, SIZE, np.random.default_rng(1)),
        lambda: epoch(data, hashed=True, threads=options.threads),
        lambda: epoch(data, hashed=False, threads=options.threads),
        repeat=min(options.repeat, 2),
    )
    for name, side in (("ours", listed(ours.value)), ("NO_DUPLICATES hashed", hashed.value), ("NO_DUPLICATES", plain.value)):
        check(side, a, b)
        full = sum(len(batch) == SIZE for batch in side)
        print(f"{name}: {len(side)} batches, {full} full, {pairs - sum(map(len, side))} pairs left out")
    print(f"NO_DUPLICATES {plain.seconds:.2f} s, hashed {hashed.seconds:.2f} s, ours {ours.seconds:.2f} s (aim {GOAL_SECONDS} s)")
    # The aim of 1.2 s was set where the hashed peer took 5 s: as a ratio it holds on any machine.
    harness.result(
        "duplicate_free_batches",
        ours.seconds,
        hashed.seconds,
        round(5 / GOAL_SECONDS, 2),
        higher_is_better=False,
        gated=not options.quick,
    )


if __name__ == "__main__":
    main()
