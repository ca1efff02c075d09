"""The model card: a README.md whose head Hugging Face reads, filled in with what the run measured, good or bad."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, StrictUndefined

from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.evaluation.metrics import label
from likewise.publishing.finished import FinishedRun
from likewise.types import ROLES, SPLITS

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
SYSTEMS = {"start": "the model it began with", "trained": "**this model**", "bm25": "BM25 (words)", "static": "static embeddings"}


@dataclass(frozen=True, slots=True)
class Card:
    """What the template shows: every value is text for people, escaped for Markdown where it stands in a table."""

    name: str
    folder: str
    version: str
    base_model: str | None
    trained: bool
    tried: bool
    dimension: int
    prompts: bool
    verdict: tuple[str, ...]
    queries: str
    documents: str
    unit: str
    metrics: str
    properties: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, str], ...]
    training: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    license: str


def write_card(path: Path, run: FinishedRun, encoder: Encoder, *, name: str, license: str, folder: str) -> None:
    """Write README.md for the model that a run handed over."""
    card = describe(run, encoder, name=name, license=license, folder=folder)
    path.write_text(f"---\n{_head(run, card)}---\n\n{_template().render(card=card)}", encoding="utf-8")


def describe(run: FinishedRun, encoder: Encoder, *, name: str, license: str, folder: str) -> Card:
    """What there is to say about a run's model."""
    evaluation = run.evaluation
    verdict = evaluation.json("verdict.json") if evaluation else {}
    systems = evaluation.json("systems.json") if evaluation else {}
    return Card(
        name=_plain(name),
        folder=folder,
        version=str(run.model.manifest.versions.get("likewise", "")),  # not from a source tree
        base_model=_base_model(run),
        trained=run.chosen == "trained",
        tried=_tried(run),
        dimension=encoder.dimension,
        prompts=any(_prompt(encoder, role) for role in ROLES),
        verdict=tuple(_plain(sentence) for sentence in verdict.get("sentences", ())),
        queries=f"{systems.get('queries', 0):,}",
        documents=f"{systems.get('documents', 0):,}",
        unit=_units(str(verdict.get("unit", "query"))),
        metrics=_metrics_table(systems, _metrics(verdict)) if systems else "",
        properties=tuple(_properties(encoder)),
        counts=tuple(_counts(run)),
        training=tuple(_training(run)) if run.chosen == "trained" else (),
        limits=tuple(_limits(run, encoder, verdict)),
        license=license,
    )


def _tried(run: FinishedRun) -> bool:
    """Whether the run trained at all, whatever became of it."""
    trained = run.find("train")
    return trained is not None and trained.json("chosen.json").get("steps", 0) > 0


def _template() -> Any:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    text = (importlib.resources.files("likewise.publishing") / "card.md.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def _head(run: FinishedRun, card: Card) -> str:
    """The YAML that Hugging Face reads."""
    head: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction", "likewise"],
        "license": card.license,
    }
    if card.base_model:
        head["base_model"] = card.base_model
    ingest = run.options["ingest"]
    if ingest.get("kind") == "hub" and HUB_NAME.fullmatch(str(ingest["name"])):
        head["datasets"] = [ingest["name"]]
    if run.evaluation is not None:
        head["model-index"] = [_model_index(run, card)]
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True)


def _model_index(run: FinishedRun, card: Card) -> dict[str, Any]:
    assert run.evaluation is not None
    systems = run.evaluation.json("systems.json")
    values = next(entry["metrics"] for entry in systems["systems"] if entry["name"] == systems["chosen"])
    metrics = {name: values[name] for name in _metrics(run.evaluation.json("verdict.json"))}
    return {
        "name": card.name,
        "results": [
            {
                "task": {"type": "information-retrieval", "name": "Information Retrieval"},
                "dataset": {"type": "custom", "name": f"{run.name}: held-out test queries"},
                "metrics": [
                    {"type": name.replace("@", "_at_"), "value": round(value, 4), "name": label(name)}
                    for name, value in metrics.items()
                ],
            }
        ],
    }


def _base_model(run: FinishedRun) -> str | None:
    """The start's name on the hub; a folder's path says nothing to others."""
    model = run.options["encoder"].get("model")
    return model if isinstance(model, str) and HUB_NAME.fullmatch(model) and not Path(model).exists() else None


def _metrics(verdict: Mapping[str, Any]) -> list[str]:
    """The metric of the verdict, and the others in their order."""
    return [verdict["metric"], *(other["metric"] for other in verdict["others"])]


def _metrics_table(systems: Mapping[str, Any], metrics: Sequence[str]) -> str:
    lines = ["| model | " + " | ".join(label(name) for name in metrics) + " |", "| --- |" + " ---: |" * len(metrics)]
    names = dict(SYSTEMS)
    if systems["chosen"] == "start":
        names["start"] = "**this model** (the model it began with)"
    for entry in sorted(systems["systems"], key=lambda entry: bool(entry["name"] != systems["chosen"])):
        values = " | ".join(f"{entry['metrics'][name]:.3f}" for name in metrics)
        lines.append(f"| {names.get(entry['name'], _cell(entry['name']))} | {values} |")
    return "\n".join(lines)


def _properties(encoder: Encoder) -> Iterator[tuple[str, str]]:
    yield "dimensions", str(encoder.dimension)
    yield "similarity", "cosine (vectors have unit length)"
    longest = _longest(encoder)
    yield "longest text", f"{longest:,} tokens; what is beyond is cut" if longest else "any"
    for role in ROLES:
        prompt = _prompt(encoder, role)
        yield f"{role} prompt", f"`{json.dumps(prompt, ensure_ascii=False)}`".replace("|", "\\|") if prompt else "none"
    yield "weights", f"{sum(parameter.numel() for parameter in encoder.parameters()):,}"


def _prompt(encoder: Encoder, role: Any) -> str:
    return str(encoder.key_parts(role).get("prompt") or "")


def _longest(encoder: Encoder) -> int | None:
    longest = encoder.key_parts("document").get("max_length")
    return int(longest) if longest else None


def _counts(run: FinishedRun) -> Iterator[tuple[str, str]]:
    ingest = run.options["ingest"]
    source = ingest.get("name") or Path(str(ingest.get("path", ""))).name or ingest["kind"]
    yield "source", f"{_cell(str(source))} ({_cell(str(ingest['kind']))})"
    counts = run.items.json("counts.json")
    names = {
        "rows": "rows read",
        "rejected": "rows rejected",
        "queries": "queries",
        "documents": "documents",
        "positives": "positive pairs",
        "negatives": "known negative pairs",
    }
    for key, text in names.items():
        if counts.get(key):
            yield text, f"{counts[key]:,}"
    looks = run.find("fingerprint")
    if looks is not None:
        classes = looks.array("classes.npy")
        yield "items that are near-duplicates of another", f"{int((classes != np.arange(len(classes))).sum()):,}"
    split = run.find("split")
    if split is not None:
        division = Division(split)
        for name in SPLITS:
            pairs = len(division.positives(run.corpus, name))
            yield f"{name} queries (positive pairs)", f"{len(division.queries(name)):,} ({pairs:,})"


def _training(run: FinishedRun) -> Iterator[tuple[str, str]]:
    """Every option of the sections that made the model, but for places on the maker's disk."""
    for section in ("train", "mine"):
        for key, value in _leaves(run.options.get(section, {}), section):
            if value not in ("none", [], "") and not key.endswith(("cache_dir", "device")):
                yield f"`{key}`", _cell(_without_folder(value))
    chosen = run.need("train").json("chosen.json")
    if chosen.get("step") is not None:
        yield "chosen checkpoint", f"step {chosen['step']:,}"


def _leaves(value: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{place}.{key}")
        else:
            yield f"{place}.{key}", inner


def _without_folder(value: Any) -> str:
    """A path as its last part: the folders of the machine that trained are nobody's business."""
    return Path(value).name if isinstance(value, str) and ("\\" in value or value.startswith((".", "/", "~"))) else str(value)


def _limits(run: FinishedRun, encoder: Encoder, verdict: Mapping[str, Any]) -> Iterator[str]:
    longest = _longest(encoder)
    if longest:
        yield f"Texts are cut after {longest:,} tokens: what stands behind is not seen."
    split = run.find("split")
    shared = split.json("leakage.json")["training_pairs_whose_document_is_also_a_test_positive"] if split else 0
    if verdict and run.chosen == "trained" and shared:
        yield f"{shared:,} training pairs have a document that also answers a test query: only queries are held out."
    if verdict:
        yield "The numbers above hold for texts like those of the test queries; other subjects and languages were not measured."
        if verdict.get("verdict") == "too few to tell":
            needed = verdict.get("needed")
            yield "The test queries were too few to tell whether training helped" + (
                f"; about {needed:,} would do." if needed else "."
            )
        for name, baseline in verdict.get("baselines", {}).items():
            if baseline.get("verdict") == "worse":
                yield f"{SYSTEMS.get(name, name)} did better on the same test queries: consider it instead, or both together."
    else:
        yield "Nothing was measured: try it on queries of your own before relying on it."
    yield "Cosines rank texts of one query; they are no probabilities, and are not comparable with those of other models."


def _units(unit: str) -> str:
    return {"query": "queries"}.get(unit, f"{unit}s")


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'")


def _plain(text: str) -> str:
    return " ".join(text.split())
