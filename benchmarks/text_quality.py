"""nDCG@10 on SciFact: our pipeline against sentence-transformers' own training script, three seeds, paired by query.

Both sides train all-MiniLM-L6-v2 on the same 80% of the train queries and are measured by the same few lines of numpy on
vectors that `SentenceTransformer.encode` computes in float32, 256 tokens, over the full corpus. Ours chooses its checkpoint on
the other 20%. What the model was not trained for (Python's docstrings) is measured before and after. The peer's results are
kept in `kept/`; `--ours` runs our side alone, `--set` changes its recipe.
"""

from __future__ import annotations

import json
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np

from harness import arguments, machine, result
from text_quality_peer import DATA, KEPT, SCRATCH, SciFact, measure, ndcg_at_10, peer, scifact, start, start_model

GOAL = -0.005  # difference in nDCG@10
DOCSTRINGS = 1500  # pairs of the data that neither side trained on
RECIPE: dict[str, Any] = {
    "ingest": {"kind": "beir"},
    "fingerprint": {},
    "split": {},
    "encoder": {"kind": "text", "model": str(start_model()), "max_length": 256},
    "embed": {},
    "mine": {"preset": "balanced"},
    "train": {"epochs": 3, "batch_size": 32, "learning_rate": 5e-5, "warmup_ratio": 0.1, "max_length": 128},
}


def beir_folder(data: SciFact, seed: int) -> Path:
    """SciFact with the seed's split of the train queries, as a BEIR folder."""
    folder = SCRATCH / f"beir-{seed}"
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name in ("corpus.jsonl", "queries.jsonl"):
        shutil.copyfile(DATA / name, folder / name)
    for name, pairs in {"train": data.train, "dev": data.validation, "test": data.test}.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in pairs)]
        (folder / "qrels" / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def train_ours(seed: int, changes: list[str]) -> tuple[Path, dict[str, Any]]:
    """The folder of the model that our pipeline hands over, and what made it choose that one."""
    from likewise import pipeline
    from likewise.config import read_recipe
    from likewise.console import Plain

    data = beir_folder(scifact(seed), seed)
    written = SCRATCH / f"recipe-{seed}.yaml"  # JSON is YAML
    written.write_text(json.dumps({**RECIPE, "name": f"scifact-{seed}", "seed": seed}), encoding="utf-8")
    recipe = read_recipe(written, [f"ingest.path={json.dumps(str(data))}", *changes])
    outcome = pipeline.run(recipe, SCRATCH / f"run-{seed}", until="train", reporter=Plain(sys.stdout))
    trained = outcome.finished["train"]
    return trained.folder("model"), trained.json("chosen.json")


def opened(folder: Path) -> Any:
    """A SentenceTransformer on the CPU."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def docstrings(folder: Path) -> float:
    """Mean nDCG@10 of Python's docstrings: the first sentence asks for the rest."""
    from likewise.data.options import PythonDocsOptions
    from likewise.data.python_docs import PythonDocsSource
    from likewise.types import Items, Links

    source = PythonDocsSource(PythonDocsOptions(distributions=(), sample_size=DOCSTRINGS), seed=0)
    read = [part for shard in source.shards() for part in source.read(shard)]
    items = [part for part in read if isinstance(part, Items)]
    texts = {name: text for part in items for name, text in zip(part.ids, part.payload, strict=True)}
    links = [(a, b) for part in read if isinstance(part, Links) for a, b in zip(part.a, part.b, strict=True)]
    queries, documents = (sorted({pair[side] for pair in links}) for side in (0, 1))
    place = {name: row for names in (queries, documents) for row, name in enumerate(names)}
    model = opened(folder)
    vectors = [model.encode([texts[name] for name in names], normalize_embeddings=True) for names in (queries, documents)]
    return float(ndcg_at_10(*vectors, [(place[a], place[b]) for a, b in links]).mean())


def interval(differences: np.ndarray, resamples: int = 10_000) -> tuple[float, float]:
    """The 95% interval of the mean by a bootstrap over queries."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(differences), (resamples, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def add_options(parser: ArgumentParser) -> None:
    """What this benchmark takes beside the usual."""
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ours", action="store_true", help="measure our side alone; the peer's kept results are used if there")
    parser.add_argument("--set", action="append", default=[], help="a change of our recipe, such as train.epochs=5")
    parser.add_argument("--skip-docstrings", action="store_true")


def main() -> None:
    """Train, measure, compare."""
    given = arguments(__doc__, extend=add_options)
    print(machine())
    before = start()
    print(f"start: {np.mean(list(before.values())):.4f}", flush=True)
    ours, theirs, zero_shot = [], [], []
    base = None if given.skip_docstrings else docstrings(start_model())
    for seed in range(1 if given.quick else given.seeds):
        folder, chosen = train_ours(seed, given.set)
        found = measure(opened(folder), scifact(seed))
        print(f"seed {seed}: ours {np.mean(list(found.values())):.4f}, {json.dumps(chosen)}", flush=True)
        if base is not None:
            zero_shot.append(docstrings(folder) - base)
            print(f"seed {seed}: docstrings {base:.4f} before, {zero_shot[-1]:+.4f} after", flush=True)
        if given.ours and not (KEPT / f"text_quality_peer_{seed}.json").exists():
            continue
        rival = peer(seed)
        print(f"seed {seed}: peer {np.mean(list(rival.values())):.4f}", flush=True)
        ours.append([found[query] for query in sorted(found)])
        theirs.append([rival[query] for query in sorted(found)])
    if not ours:
        return
    difference = np.mean(np.array(ours) - np.array(theirs), axis=0)
    low, high = interval(difference)
    print(f"ours against the peer: {difference.mean():+.4f} [{low:+.4f}, {high:+.4f}] over {len(ours)} seeds, goal {GOAL:+}")
    if zero_shot:
        print(
            f"docstrings, never trained on: {np.mean(zero_shot):+.4f} against the start (within 0.01: {min(zero_shot) >= -0.01})"
        )
    peer_mean = float(np.mean(theirs))
    enough = len(ours) >= 3
    result("text quality, nDCG@10", float(np.mean(ours)), peer_mean, 1 + GOAL / peer_mean, higher_is_better=True, gated=enough)


if __name__ == "__main__":
    main()
