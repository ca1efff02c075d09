"""Near-duplicates among 1,000,000 64-bit hashes, up to 4 bits apart, against faiss's exhaustive search.

Random values, among them 50,000 that are others with up to 4 bits flipped. Ours finds every pair, each once, sorted, with its
distance. The peer, IndexBinaryFlat's range search, needs minutes for that, so here it answers 100,000 and 200,000 of the million
queries, against all of the million; what it finds is compared with ours pair by pair. Then how both grow with the number of
hashes, each searched for among each other; what more bits cost; groups; and one new hash against the million.

The last line is ours for all queries against the peer for 200,000 of them: for all of them it takes five times as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

import harness
from likewise.data.near_hashes.engine import prepare
from likewise.data.near_hashes.groups import groups_within
from likewise.data.near_hashes.index import HashIndex
from likewise.data.near_hashes.pairs import HashPairs, pairs_within

UInt64 = NDArray[np.uint64]

HASHES, QUICK = 1_000_000, 50_000
PLANTED = 0.05
BITS = 4
ASKED = (0.1, 0.2)  # of all queries: what the peer can do in a minute
GROWTH = (0.05, 0.1, 0.2)
MORE_BITS = (2, 6, 8)
GOAL_SECONDS = 3
GOAL_RATIO = 88  # the peer took 264 s for all queries where the goal of 3 s was set
PLAIN_GROUND = np.uint64(0x003C7E7E7E7E3C00)  # the bits that dhash sets where pictures have nothing at their edges
NEW = 200  # hashes asked for one by one


def workload(count: int, *, bits: int = BITS, seed: int = 0) -> UInt64:
    """Random values [count], 1 of 20 of them another one with up to `bits` bits flipped, shuffled."""
    generator = np.random.default_rng(seed)
    copies = int(PLANTED * count)
    hashes = generator.integers(0, 2**64, count - copies, dtype=np.uint64)
    near = hashes[generator.choice(len(hashes), copies, replace=False)]
    flipped = generator.permuted(np.tile(np.arange(64), (copies, 1)), axis=1)[:, :bits]  # distinct bits of each
    kept = np.arange(bits) < generator.integers(0, bits + 1, copies)[:, None]
    masks = np.where(kept, np.uint64(1) << flipped.astype(np.uint64), np.uint64(0))
    return generator.permutation(np.concatenate([hashes, near ^ np.bitwise_or.reduce(masks, axis=1)]))


def by_faiss(hashes: UInt64, queries: int, bits: int = BITS) -> HashPairs:
    """What is within `bits` of the first so many hashes, among all: each pair once, sorted."""
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    limits, distances, rows = index.range_search(codes[:queries], bits + 1)  # it finds what is nearer than this
    query = np.repeat(np.arange(queries), np.diff(limits.astype(np.int64)))
    once = (query < rows) | (rows >= queries)
    order = np.lexsort((rows[once], query[once]))
    return HashPairs(*(column[once][order] for column in (query, rows, distances.astype(np.uint8))))


def check(found: HashPairs, peer: HashPairs, queries: int) -> None:
    """The same pairs of the first so many hashes, at the same distances."""
    mine = found.a < queries
    for own, other in zip(found, peer, strict=True):
        assert np.array_equal(own[mine], other), "the two sides differ"


def headline(hashes: UInt64, threads: int, repeat: int) -> tuple[float, float]:
    """Print both sides' times; ours for all queries, the peer's for the most that it was asked."""
    (own,) = harness.timed(partial(pairs_within, hashes, BITS, threads=threads), repeat=repeat)
    print(f"\n{len(hashes):,} hashes, {BITS} bits: {len(own.value.a):,} pairs")
    goal = "goal met" if own.seconds <= GOAL_SECONDS else "goal not met"
    print(f"  likewise, all queries: {own.seconds:.3f} s of {GOAL_SECONDS} s, {goal}")
    asked = [int(part * len(hashes)) for part in ASKED]
    peers = harness.timed(*(partial(by_faiss, hashes, queries) for queries in asked), repeat=1)
    for queries, peer in zip(asked, peers, strict=True):
        check(own.value, peer.value, queries)
        print(f"  faiss IndexBinaryFlat, {queries:,} queries: {peer.seconds:.1f} s; the same {len(peer.value.a):,} pairs")
    whole = peers[-1].seconds * len(hashes) / asked[-1]
    print(f"  its time grows with the queries: all of them would take about {whole:.0f} s, {whole / own.seconds:.0f} times ours")
    return own.seconds, peers[-1].seconds


def growth(hashes: UInt64, threads: int, repeat: int) -> None:
    """All pairs of the first hashes, by both."""
    print("\nhow they grow, all queries:")
    for part in GROWTH:
        some = hashes[: int(part * len(hashes))].copy()
        own, peer = harness.timed(
            partial(pairs_within, some, BITS, threads=threads), partial(by_faiss, some, len(some)), repeat=min(repeat, 2)
        )
        check(own.value, peer.value, len(some))
        ratio = peer.seconds / own.seconds
        print(f"  {len(some):>9,} hashes: likewise {own.seconds:6.3f} s, faiss {peer.seconds:6.2f} s, {ratio:.0f} x")


def others(hashes: UInt64, threads: int) -> None:
    """Groups, also where many hashes are equal or agree in many bits; and other numbers of bits."""
    generator = np.random.default_rng(1)
    equal = hashes.copy()
    equal[generator.choice(len(hashes), len(hashes) // 50, replace=False)] = hashes[0]
    framed = np.where(generator.random(len(hashes)) < 0.5, hashes, hashes & PLAIN_GROUND)
    sides: dict[str, Callable[[], Any]] = {
        f"groups, {BITS} bits": partial(groups_within, hashes, BITS, threads=threads),
        f"groups, {BITS} bits, 1 of 50 equal": partial(groups_within, equal, BITS, threads=threads),
        f"groups, {BITS} bits, half on a plain ground": partial(groups_within, framed, BITS, threads=threads),
        **{f"pairs, {bits} bits": partial(pairs_within, hashes, bits, threads=threads) for bits in MORE_BITS},
    }
    print(f"\n{len(hashes):,} hashes, once each:")
    for name, side in sides.items():
        start = time.perf_counter()
        side()
        print(f"  {name:38} {time.perf_counter() - start:7.3f} s")


def one_by_one(hashes: UInt64) -> None:
    """One new hash against all."""
    index = HashIndex()
    (added,) = harness.timed(partial(index.add, hashes), repeat=1)
    seconds = []
    for new in workload(NEW, seed=2):
        start = time.perf_counter()
        index.near(new, BITS)
        seconds.append(time.perf_counter() - start)
    median, late = np.quantile(seconds, [0.5, 0.99]) * 1e3
    print(
        f"\none hash against {len(index):,}: median {median:.2f} ms, 99% within {late:.2f} ms; adding all {added.seconds:.3f} s"
    )


def main() -> None:
    arguments = harness.arguments(__doc__)
    faiss.omp_set_num_threads(arguments.threads)
    print(harness.machine())
    prepare(print)
    hashes = workload(QUICK if arguments.quick else HASHES)
    before = harness.peak_memory()
    own, peer = headline(hashes, arguments.threads, arguments.repeat)
    print(f"  peak memory beyond the hashes, both sides: {(harness.peak_memory() - before) / 1e6:.0f} MB")
    growth(hashes, arguments.threads, arguments.repeat)
    others(hashes, arguments.threads)
    one_by_one(hashes)
    print("the last line: ours for all queries, the peer for the last of its shares of them, in seconds")
    harness.result("near_duplicates", own, peer, GOAL_RATIO, higher_is_better=False, gated=not arguments.quick)


if __name__ == "__main__":
    main()
