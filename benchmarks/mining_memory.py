"""Memory of mining: everything from vectors and pairs to the negatives, beyond the vectors themselves, up to 500,000 anchors.

N queries and N documents, in alternating rows as ingest leaves them, random unit vectors of 128 dimensions, one positive each,
the nearest 100 looked at, 3 negatives chosen under a margin. Every side runs in a process of its own; told is the peak of its
resident memory minus what was resident when vectors, pairs and texts stood ready.

- Ours: `mine_negatives`, whole. At 500,000 anchors an exhaustive search alone takes 64 TFLOP, so there it is run for the first
  4,096 queries of every sixth block; the others get candidates at random, laid out alike. `--whole` searches for all.
- Peer: `sentence_transformers.util.mine_hard_negatives` with a model that hands out the vectors. By default ("torch") it holds
  the scores of 16,384 queries with all documents at once: run where this fits 16 GB, above only those scores' size is told. With
  `use_faiss=True` ("faiss") its search, at 500,000, gives candidates at random and its memory is not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil

import harness

DIMENSION = 128
CANDIDATES = 100
LIMIT = 2e9  # bytes, at the largest size
PEER_BLOCK = 16_384  # queries that the peer scores against all documents at once, by default
FITS = 100_000  # the most documents with which one such block, and the copies it makes, stay below 16 GB
SEARCHED = 4096  # queries of a block that are really searched where not all are: as many as faiss works on at once
EVERY = 6  # and in every sixth block only: the search needs the same memory in each


def main() -> None:
    given = harness.arguments(__doc__, extend=add)
    if given.side:
        print(json.dumps(measure(given.side, given.items, whole=given.whole, threads=given.threads)))
        return
    print(harness.machine())
    sizes = (2_000, 5_000) if given.quick else (20_000, 100_000, 500_000)
    for items in sizes:
        ours = run("ours", items, given)
        for side in ("torch", "faiss"):
            if side == "torch" and items > FITS:
                print(f"{items:,}: torch not run; the scores of one block are {4 * PEER_BLOCK * items / 1e9:.1f} GB")
            else:
                run(side, items, given)
    harness.result("mining_memory", ours, LIMIT, 1.0, higher_is_better=False, gated=not given.quick)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--whole", action="store_true", help="search for every query at every size (hours)")
    parser.add_argument("--side", choices=("ours", "torch", "faiss"), help="measure one side in this process")
    parser.add_argument("--items", type=int, default=20_000, help="with --side: N")


def run(side: str, items: int, given: argparse.Namespace) -> int:
    """Bytes beyond the vectors, measured in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--side", side, "--items", str(items), "--threads", str(given.threads)]
    done = subprocess.run(command + ["--whole"] * given.whole, check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{items:,}: {side} {told['bytes'] / 1e9:.2f} GB in {told['seconds']:.0f} s, {told['negatives']:,} negatives", flush=True
    )
    return int(told["bytes"])


def measure(side: str, items: int, *, whole: bool, threads: int) -> dict[str, Any]:
    import faiss
    import torch

    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    prepared = {"ours": prepare_ours, "torch": prepare_peer, "faiss": prepare_peer}[side](items, side, whole or items <= FITS)
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    negatives = prepared()
    return {"bytes": harness.peak_memory() - before, "seconds": time.perf_counter() - start, "negatives": negatives}


def random_vectors(items: int, *, alternating: bool) -> Any:
    """Unit vectors of N queries and N documents, each near its query; made in parts, so that nothing else grows meanwhile."""
    random = np.random.default_rng(0)
    vectors = np.empty((2 * items, DIMENSION), np.float32)
    queries, documents = (vectors[::2], vectors[1::2]) if alternating else (vectors[:items], vectors[items:])
    for start in range(0, items, 8192):
        query, document = queries[start : start + 8192], documents[start : start + 8192]
        query[:] = random.standard_normal(query.shape, dtype=np.float32)
        document[:] = query + random.standard_normal(query.shape, dtype=np.float32)
        for part in (query, document):
            part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def random_candidates(queries: int, documents: int, k: int) -> tuple[Any, Any]:
    """Scores and rows as a search gives them."""
    random = np.random.default_rng(queries)
    rows = np.sort(random.integers(0, documents - k, (queries, k)), axis=1) + np.arange(k)  # distinct in each row
    return np.linspace(0.6, 0.3, k, dtype=np.float32)[None].repeat(queries, axis=0), rows


def prepare_ours(items: int, side: str, whole: bool) -> Any:
    from likewise.mining import hard
    from likewise.mining.mine import mine_negatives
    from likewise.mining.options import MineOptions
    from likewise.types import Neighbors, Pairs

    vectors = random_vectors(items, alternating=True)
    queries, documents = np.arange(0, 2 * items, 2), np.arange(1, 2 * items, 2)
    pairs = Pairs(queries, documents, np.ones(items, np.int8), np.ones(items, np.float32))

    class Corpus:
        """What mining asks of a corpus before texts are fetched."""

        def __len__(self) -> int:
            return 2 * items

        def rows(self, role: str) -> Any:
            return queries if role == "query" else documents

    corpus: Any = Corpus()
    corpus.pairs = pairs
    division: Any = SimpleNamespace(
        queries=lambda split: queries, positives=lambda corpus, split: pairs, pairs=np.zeros(items, np.int8)
    )
    options = MineOptions(num_negatives=3, range_max=CANDIDATES, relative_margin=0.05, device="cpu")
    search = hard.nearest

    blocks = count()

    def partly(asked: Any, base: Any, k: int, **named: Any) -> Any:
        scores, rows = random_candidates(len(asked), len(base), k)
        if next(blocks) % EVERY == 0:
            found = search(asked[:SEARCHED], base, k, **named)
            rows[:SEARCHED], scores[:SEARCHED] = found.rows, found.scores
        return Neighbors(rows, scores, 0.0)

    def mine() -> int:
        with patch.object(hard, "nearest", search if whole else partly):
            negatives, _ = mine_negatives(vectors, corpus, division, np.arange(2 * items), options, seed=0)
        return len(negatives)

    return mine


def prepare_peer(items: int, side: str, whole: bool) -> Any:
    import faiss
    import torch
    from datasets import Dataset
    from sentence_transformers.util import cos_sim, mine_hard_negatives, pairwise_cos_sim

    vectors = random_vectors(items, alternating=False)  # it takes queries and documents apart
    texts = [f"query {row}" for row in range(items)], [f"document {row}" for row in range(items)]
    dataset = Dataset.from_dict({"anchor": texts[0], "positive": texts[1]})
    model: Any = SimpleNamespace(
        device=torch.device("cpu"),
        get_embedding_dimension=lambda: DIMENSION,
        encode_query=lambda given, **named: vectors[:items],
        encode_document=lambda given, **named: vectors[items:],
        similarity=cos_sim,
        similarity_pairwise=pairwise_cos_sim,
    )

    class RandomIndex:
        """Gives candidates without a search, and keeps no vectors."""

        def __init__(self, dimension: int) -> None: ...

        def add(self, vectors: Any) -> None: ...

        def search(self, queries: Any, k: int) -> tuple[Any, Any]:
            return random_candidates(len(queries), items, k)

    def mine() -> int:
        with patch.object(faiss, "IndexFlatIP", faiss.IndexFlatIP if whole else RandomIndex):
            mined = mine_hard_negatives(
                dataset,
                model,
                corpus=texts[1],
                range_max=CANDIDATES,
                relative_margin=0.05,
                num_negatives=3,
                use_faiss=side == "faiss",
                verbose=False,
            )
        return len(mined)

    return mine


if __name__ == "__main__":
    main()
