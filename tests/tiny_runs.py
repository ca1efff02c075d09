"""Runs of seconds through the real pipeline: pairs whose queries and documents share topics, but no words."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

from likewise.config import Recipe, validated

SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "pra", "ste", "vo", "zi", "cha")


def write_pairs(path: Path, *, pairs: int = 240, topics: int = 12, seed: int = 0) -> Path:
    """A CSV of anchor, positive: a topic's query words on one side, its document words on the other."""
    draw = random.Random(seed)
    words = sorted({"".join(draw.choices(SYLLABLES, k=3)) for _ in range(topics * 40)})
    draw.shuffle(words)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["anchor", "positive"])
        for number in range(pairs):
            topic = number % topics
            asked, told = words[topic * 16 : topic * 16 + 6], words[topic * 16 + 6 : topic * 16 + 16]
            writer.writerow([" ".join(draw.choices(asked, k=5)), " ".join(draw.choices(told, k=12))])
    return path


def tiny_recipe(path: Path, name: str = "tiny", **sections: Any) -> Recipe:
    """A recipe for such pairs, trained from scratch in seconds; a section given as None is left out, others are merged."""
    raw: dict[str, Any] = {
        "name": name,
        "ingest": {"kind": "pairs", "path": str(path)},
        "fingerprint": {},
        "split": {"validation": 0.2, "test": 0.3},
        "encoder": {"kind": "static", "dimension": 32, "vocabulary": 600},
        "mine": {"num_negatives": 1, "range_max": 20},
        "train": {"epochs": 4, "batch_size": 32, "learning_rate": 0.05, "max_length": "none"},
        "evaluate": {"baselines": ["bm25"], "resamples": 500},
        "result": {"kind": "index"},
    }
    for section, values in sections.items():
        if values is None:
            raw.pop(section)
        elif isinstance(values, dict) and isinstance(raw.get(section), dict):
            raw[section] = values if "kind" in values else {**raw[section], **values}
        else:
            raw[section] = values
    return validated(raw, name)
