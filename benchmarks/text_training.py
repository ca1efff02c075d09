"""Pairs per second in training: ours against SentenceTransformerTrainer, all-MiniLM-L6-v2, batch 32, 128 tokens.

Both sides train with multiple negatives ranking on the same pairs of SciFact-like texts (SciFact itself where it is at hand),
with the model's own dropout, the same threads, AdamW and a linear schedule. The first step of a side is not counted. The
peer's default is float32; its bfloat16 is reported, too.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import arguments, machine, result
from text_quality_peer import DATA, scifact, start_model

BATCH, TOKENS = 32, 128


def texts(count: int) -> tuple[list[str], list[str]]:
    """Queries and documents: SciFact's train pairs, or words at random of the same lengths."""
    if DATA.exists():
        data = scifact(0)
        known = list({document: (query, document) for query, document in data.train}.values())[:count]
        return [data.queries[query] for query, _ in known], [data.documents[document] for _, document in known]
    generator = np.random.default_rng(0)
    words = ["cell", "protein", "response", "of", "the", "in", "patients", "with", "gene", "expression", "increases", "risk"]

    def draw(low: int, high: int) -> list[str]:
        return [" ".join([str(row), *generator.choice(words, generator.integers(low, high))]) for row in range(count)]

    return draw(8, 20), draw(120, 300)


class PeerClock:
    """Notes the time at the end of each step of a transformers Trainer."""

    def __new__(cls) -> Any:
        """A TrainerCallback; transformers is imported only when this side runs."""
        from transformers import TrainerCallback

        class Clock(TrainerCallback):  # type: ignore[misc]  # its base has no types
            def __init__(self) -> None:
                self.times: list[float] = []

            def on_step_end(self, *_: Any, **__: Any) -> None:
                self.times.append(time.perf_counter())

        return Clock()


def peer(queries: list[str], documents: list[str], steps: int, *, bf16: bool) -> float:
    """Pairs per second of sentence-transformers' own trainer."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer import losses

    model = SentenceTransformer(str(start_model()), device="cpu")
    model.max_seq_length = TOKENS
    clock = PeerClock()
    with tempfile.TemporaryDirectory() as folder:
        options = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=steps + 1,
            per_device_train_batch_size=BATCH,
            learning_rate=2e-5,
            warmup_steps=0.1,
            use_cpu=True,
            bf16=bf16,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=model,
            args=options,
            train_dataset=Dataset.from_dict({"anchor": queries, "positive": documents}),
            loss=losses.MultipleNegativesRankingLoss(model),
            callbacks=[clock],
        )
        trainer.train()
    return BATCH * steps / (clock.times[-1] - clock.times[0])


def ours(queries: list[str], documents: list[str], steps: int) -> float:
    """Pairs per second of our loop, in the precision that it chooses itself."""
    from lightning.pytorch import Callback

    from likewise.data.evidence import PairEvidence
    from likewise.encoders.options import TextEncoderOptions
    from likewise.encoders.text import TextEncoder
    from likewise.options import build
    from likewise.training.batches import PairBatches
    from likewise.training.loop import Machine, Plan, fit
    from likewise.training.options import TrainOptions
    from likewise.training.text import TextEmbedding
    from likewise.types import Pairs

    class Clock(Callback):
        times: list[float] = []  # noqa: RUF012 (one instance)

        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

    class Texts:
        roles = np.repeat(np.array([0, 1], dtype=np.int8), len(queries))
        all = np.array(queries + documents, dtype=object)

        def payload(self, rows: np.ndarray) -> list[str]:
            return list(self.all[rows])

    count = len(queries)
    options = TrainOptions(epochs=1 + (steps + 1) * BATCH // count, max_steps=steps + 1, batch_size=BATCH, max_length=TOKENS)
    rows = np.arange(count, dtype=np.int64)
    pairs = Pairs(rows, rows + count, np.ones(count, np.int8), np.ones(count, np.float32))
    classes = np.arange(2 * count, dtype=np.int64)
    batches = PairBatches(pairs, classes, PairEvidence(pairs, 2 * count, classes), options)
    encoder = TextEncoder(TextEncoderOptions(model=str(start_model())))
    plan, clock = Plan.of(len(batches), options), Clock()
    module = TextEmbedding(encoder, build(options.loss), Texts(), options, steps=plan.steps)
    with tempfile.TemporaryDirectory() as folder:
        fit(module, batches, plan, Machine.of(encoder, options), [clock], [], Path(folder), None)
    return BATCH * steps / (clock.times[-1] - clock.times[0])


def main() -> None:
    """Time the sides in turns; the best of each counts."""
    given = arguments(__doc__)
    torch.set_num_threads(given.threads)
    print(machine())
    steps, repeat = (1, 1) if given.quick else (5, given.repeat)
    queries, documents = texts(4 * BATCH)
    sides = {
        "peer float32": lambda: peer(queries, documents, steps, bf16=False),
        "ours": lambda: ours(queries, documents, steps),
        "peer bfloat16": lambda: peer(queries, documents, steps, bf16=True),
    }
    best = dict.fromkeys(sides, 0.0)
    for turn in range(repeat):
        for name in sides if turn % 2 == 0 else reversed(sides):
            rate = sides[name]()
            print(f"{name}: {rate:.1f} pairs/s, {rate / given.threads:.1f} per core", flush=True)
            best[name] = max(best[name], rate)
    print(f"against the peer in bfloat16: {best['ours'] / best['peer bfloat16']:.2f} times")
    wide = torch.cpu._is_avx512_bf16_supported()  # the goal was set on a processor that has it
    result(
        "text training, pairs/s", best["ours"], best["peer float32"], 1.6, higher_is_better=True, gated=wide and not given.quick
    )


if __name__ == "__main__":
    main()
