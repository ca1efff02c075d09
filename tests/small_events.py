"""Small generated events as recipes and artifacts, for tests of everything that works on whole shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likewise.artifacts.artifact import Artifact
from likewise.config import Recipe, validated
from likewise.data.corpus import Corpus
from likewise.data.events.options import CutOptions, GeneratorOptions
from likewise.data.ingest import ingest
from likewise.data.options import GeneratedEventsOptions, SplitOptions
from likewise.data.split import Division
from likewise.data.split_shards import divide_shards
from likewise.encoders.fit import fit
from likewise.encoders.options import HitEncoderOptions
from likewise.testing.artifacts import draft, publish

GENERATOR = GeneratorOptions(particles=60, wedge=0.5, vertices=3)  # about 400 hits
CUTS = CutOptions(pt_signal_min=0.4)


def generated(**changes: Any) -> GeneratedEventsOptions:
    return GeneratedEventsOptions(**{"events": 6, "generator": GENERATOR, "cuts": CUTS, **changes})


def ingested(folder: Path, **changes: Any) -> Artifact:
    unfinished = draft(folder, "ingest")
    ingest(unfinished, generated(**changes))
    return publish(unfinished)


def divided(folder: Path, corpus: Corpus, **changes: Any) -> Artifact:
    unfinished = draft(folder, "split")
    divide_shards(unfinished, SplitOptions(**{"validation": 0.2, "test": 0.3, "exact": True, **changes}), corpus)
    return publish(unfinished)


def started(folder: Path, corpus: Corpus, split: Artifact) -> Artifact:
    unfinished = draft(folder, "fit")
    fit(unfinished, HitEncoderOptions(widths=(32, 32), dimension=4), corpus, Division(split))
    return publish(unfinished)


def tiny_tracks(name: str = "tiny-tracks", **sections: Any) -> Recipe:
    """A recipe on such events that runs in seconds; the given sections are merged into it."""
    raw: dict[str, Any] = {
        "name": name,
        "ingest": {"kind": "generated_events", "events": 8, "generator": GENERATOR.model_dump(), "cuts": CUTS.model_dump()},
        "split": {"validation": 0.2, "test": 0.3, "exact": True},
        "encoder": {"kind": "hits", "widths": [32, 32], "dimension": 4},
        "mine": {"kind": "step", "points_per_batch": 200},
        "train": {
            "epochs": 6,
            "learning_rate": 0.01,
            "precision": "float32",
            "metric": "purity@0.9",
            "guard": "none",
            "loss": {"kind": "hinge"},
        },
        "evaluate": {"kind": "graph", "efficiency": 0.9, "resamples": 200, "smallest_units": 2},
        "result": {"kind": "graph"},
        "report": {},
    }
    for section, values in sections.items():
        raw[section] = {**raw.get(section, {}), **values}
    return validated(raw, name)
