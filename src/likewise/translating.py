"""`likewise init --from old.yaml`: a flat configuration of another system, translated key by key into a recipe.

Each key of the old file ends in exactly one row: kept, renamed, changed, or without a counterpart, with the reason. Numbers
such as 3e-5, which YAML reads as texts, are read as numbers.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from likewise.config import validated
from likewise.errors import RecipeError

Status = Literal["kept", "renamed", "changed", "no counterpart"]
Raw = dict[str, Any]

TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".gz")
SECTION_ORDER = ("ingest", "fingerprint", "split", "encoder", "embed", "mine", "train", "evaluate", "result", "report")
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

RENAMED: dict[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "sample_size": ("ingest.sample_size",),
    "max_samples": ("ingest.sample_size",),
    "anchor_column": ("ingest.anchor",),
    "anchor_column_name": ("ingest.anchor",),
    "positive_column": ("ingest.positive",),
    "positive_column_name": ("ingest.positive",),
    "test_size": ("split.test",),
    "validation_size": ("split.validation",),
    "eval_size": ("split.validation",),
    "model_name": ("encoder.model",),
    "model_name_or_path": ("encoder.model",),
    "max_seq_length": ("encoder.max_length", "train.max_length"),
    "max_length": ("encoder.max_length", "train.max_length"),
    "mining_model_name": ("mine.model",),
    "num_epochs": ("train.epochs",),
    "num_train_epochs": ("train.epochs",),
    "epochs": ("train.epochs",),
    "max_steps": ("train.max_steps",),
    "batch_size": ("train.batch_size",),
    "train_batch_size": ("train.batch_size",),
    "per_device_train_batch_size": ("train.batch_size",),
    "learning_rate": ("train.learning_rate",),
    "lr": ("train.learning_rate",),
    "weight_decay": ("train.weight_decay",),
    "warmup_ratio": ("train.warmup_ratio",),
    "warmup_steps": ("train.warmup_steps",),
    "lr_scheduler_type": ("train.schedule",),
    "max_grad_norm": ("train.clip_norm",),
    "gradient_checkpointing": ("train.gradient_checkpointing",),
    "gradient_accumulation_steps": ("train.accumulate",),
    "eval_steps": ("train.eval_steps",),
    "save_steps": ("train.save_steps",),
    "logging_steps": ("train.logging_steps",),
    "early_stopping_patience": ("train.early_stopping",),
    "scale": ("train.loss.scale",),
}
"""Old keys at the top and under `training`, and where their value goes."""

MINING: dict[str, tuple[str, ...]] = {
    "model_name": ("mine.model",),
    "mining_model_name": ("mine.model",),
    "num_negatives": ("mine.num_negatives",),
    "range_min": ("mine.range_min",),
    "range_max": ("mine.range_max",),
    "margin": ("mine.absolute_margin",),
    "absolute_margin": ("mine.absolute_margin",),
    "relative_margin": ("mine.relative_margin",),
    "max_score": ("mine.max_score",),
    "min_score": ("mine.min_score",),
    "sampling_strategy": ("mine.sampling_strategy",),
    "batch_size": ("mine.batch_size",),
    "cross_encoder": ("mine.cross_encoder.model",),
    "cross_encoder_name": ("mine.cross_encoder.model",),
    "query_prompt": ("mine.query_prompt",),
    "corpus_prompt": ("mine.document_prompt",),
    "anchor_column_name": ("ingest.anchor",),
    "positive_column_name": ("ingest.positive",),
}
"""Old keys under `mining`."""

REASONS = {
    "dataset_config": "only a data set of the Hugging Face hub has a configuration",
    "output_dir": "the run's folder is runs/NAME; give another with --folder",
    "mining.use_faiss": "neighbours are always found exactly, through faiss on a CPU and tiled products on a GPU",
    "mining.faiss_batch_size": "the search keeps to a budget of bytes by itself",
    "mining.use_multi_process": "mining works in one process, with all its threads",
    "mining.output_format": "negatives are kept as row numbers, not as texts in columns",
    "mining.as_triplets": "negatives are kept as row numbers, not as texts in columns",
    "mining.include_positives": "known positives are never among the negatives",
    "mining.verbose": "counts per filter are always reported",
    "mining.cache_folder": "vectors of the mining model are kept with the run",
    "eval_strategy": "validation is measured at each epoch, or by train.eval_steps",
    "evaluation_strategy": "validation is measured at each epoch, or by train.eval_steps",
    "save_strategy": "a checkpoint is written at each evaluation, or by train.save_steps",
    "load_best_model_at_end": "always: the best checkpoint on validation is kept, and the start if none is better",
    "metric_for_best_model": "write train.metric yourself: names differ (ndcg@10, recall@100, mrr@10 …)",
    "per_device_eval_batch_size": "batches of vectors are planned by embed.batch_tokens",
    "eval_batch_size": "batches of vectors are planned by embed.batch_tokens",
    "save_total_limit": "checkpoints are private to the training stage and removed when it ends",
    "batch_sampler": "batches never hold duplicates",
    "dataloader_num_workers": "texts are prepared in threads of the same process",
    "run_name": "write the recipe's name yourself",
    "loss": "write [train.loss] kind yourself: infonce (multiple negatives ranking), triplet or cosine",
}
"""Known old keys without a counterpart, and why."""

UNITS = {"linear": "linear", "cosine": "cosine", "constant": "constant", "constant_with_warmup": "constant"}
NO_LIMIT = {"max_steps", "sample_size", "max_samples", "early_stopping_patience"}  # old systems write 0 or -1 for "none"


class Row(NamedTuple):
    """What became of one key: its old name, where it went with its value ("–" if nowhere), and a note that begins with the status."""

    key: str
    became: str
    note: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A recipe as TOML text, and a row for each key of the old file."""

    toml: str
    rows: tuple[Row, ...]

    def of(self, status: Status) -> tuple[Row, ...]:
        """The rows of one status."""
        return tuple(row for row in self.rows if row.note.split(":")[0] == status)


def translate(path: str | Path) -> Translation:
    """A recipe from another system's YAML file; RecipeError if it is not a mapping of keys.

    The recipe is valid: a value that it would not accept is left out, and its row says so.
    """
    path = Path(path)
    old = _read(path)
    work = _Work(old)
    rows = work.rows()
    return Translation(_toml(path, work.recipe, rows), tuple(rows))


@dataclass(frozen=True, slots=True)
class _Move:
    """An old key whose value goes to places of the recipe."""

    key: str
    places: tuple[str, ...]
    value: Any
    note: str = ""
    changed: bool = False


class _Work:
    """Builds the recipe, one key at a time, so that each value is accepted or refused by itself."""

    def __init__(self, old: Mapping[str, Any]) -> None:
        self.leaves = dict(_leaves(old))
        self.recipe = self._base()
        self._outcome: dict[str, Row] = {}

    def rows(self) -> list[Row]:
        moves = [move for key, value in self.leaves.items() if (move := self._move(key, value)) is not None]
        self._apply(moves)
        return [*self._notes, *(self._outcome[key] for key in self.leaves)]

    def _base(self) -> Raw:
        """Sections that must be there, and those the old keys speak of."""
        self._notes: list[Row] = []
        recipe: Raw = {"name": "translated", "ingest": self._ingest(), "fingerprint": {}, "split": {}}
        recipe["encoder"] = {"kind": "text", "model": DEFAULT_MODEL}
        recipe["embed"] = {}
        mines = any(key.startswith("mining.") or key.rpartition(".")[2] == "mining_model_name" for key in self.leaves)
        if mines:
            recipe["mine"] = {}
        else:
            self._notes.append(Row("mining", "–", "absent: no [mine], so only the other texts of a batch are negatives"))
        recipe |= {"train": {"loss": {"kind": "infonce"}}, "evaluate": {}, "result": {"kind": "index"}, "report": {}}
        if not any(
            key.rpartition(".")[2] in ("model_name", "model_name_or_path") and not key.startswith("mining.")
            for key in self.leaves
        ):
            self._notes.append(
                Row(
                    "model_name",
                    f'encoder.model = "{DEFAULT_MODEL}"',
                    "absent: this model is put in; change it if you used another",
                )
            )
        return recipe

    def _ingest(self) -> Raw:
        name = next(
            (
                value
                for key, value in self.leaves.items()
                if key.rpartition(".")[2] in ("dataset_name", "dataset_path", "data_path")
            ),
            None,
        )
        if not isinstance(name, str):
            self._notes.append(Row("dataset_name", 'ingest.path = "pairs.csv"', "absent: fill in the path of your data"))
            return {"kind": "pairs", "path": "pairs.csv"}
        if Path(name).exists() or name.endswith(TABLES):
            return {"kind": "pairs", "path": name}
        return {"kind": "hub", "name": name}

    def _move(self, key: str, value: Any) -> _Move | None:
        """Where an old key's value goes; None where its row is written already."""
        section, _, name = key.rpartition(".")
        if section == "mining.cross_encoder":
            section, name = "mining", "cross_encoder" if name in ("name", "model", "model_name") else f"cross_encoder.{name}"
            if name == "cross_encoder.batch_size":
                return _Move(key, ("mine.cross_encoder.batch_size",), value)
        known = MINING if section == "mining" else RENAMED if section in ("", "training") else {}
        if known is RENAMED and (special := getattr(self, f"_{name}", None)) is not None:
            return special(key, value)  # type: ignore[no-any-return]  # a method of this class, by its old key's name
        if name not in known:
            return self._without(key, self._reason(key, section, name, known))
        if value is None or (name in NO_LIMIT and _number(value) in (0, -1)):
            return self._without(key, "no value: the default stands", "kept")
        if section == "training" and name in self.leaves and self.leaves[name] != value:
            self._overridden(name, key)
        if section == "" and f"training.{name}" in self.leaves and self.leaves[f"training.{name}"] != value:
            return None
        if name == "lr_scheduler_type":
            value = UNITS.get(str(value), value)
        return _Move(key, known[name], value, _notice(key, section, name))

    def _reason(self, key: str, section: str, name: str, known: Mapping[str, Any]) -> str:
        for candidate in (key, name):
            if candidate in REASONS:
                return REASONS[candidate]
        near = difflib.get_close_matches(name, [*known, *REASONS], 1)
        return f"not known{f'; did you mean {near[0]}?' if near else ''}"

    def _without(self, key: str, reason: str, status: Status = "no counterpart") -> None:
        self._outcome[key] = Row(key, "–", f"{status}: {reason}")

    def _overridden(self, key: str, by: str) -> None:
        self._outcome[key] = Row(key, "–", f"changed: {by} has another value, which is the one taken")

    # Old keys that need more than another name; each returns what `_move` returns.

    def _dataset_name(self, key: str, value: Any) -> _Move | None:
        if not isinstance(value, str):
            return self._without(key, "not a name or a path")  # type: ignore[func-returns-value]
        ingest = self.recipe["ingest"]
        if ingest["kind"] == "pairs":
            return _Move(key, ("ingest.path",), value, "a table of pairs; check the columns in ingest.anchor and ingest.positive")
        return _Move(
            key, ("ingest.name",), value, "of the Hugging Face hub; check the columns in ingest.anchor and ingest.positive"
        )

    _dataset_path = _data_path = _dataset_name
