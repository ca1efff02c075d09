"""`likewise init --from old.yaml`: a flat configuration of another system, translated key by key into a recipe.

Every key of the old file gets a row: kept, renamed, changed, or no counterpart, with the reason. Numbers such as 3e-5, which
YAML reads as texts, are read as numbers. What comes out is a recipe that validates.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from likewise.config import validated
from likewise.errors import RecipeError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_DATA = "pairs.csv"
TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".gz")
Status = Literal["kept", "renamed", "changed", "not taken", "no counterpart"]
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

PLACES: dict[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "sample_size": ("ingest.sample_size",),
    "anchor_column": ("ingest.anchor",),
    "positive_column": ("ingest.positive",),
    "validation_size": ("split.validation",),
    "model_name": ("encoder.model",),
    "max_seq_length": ("encoder.max_length", "train.max_length"),
    "num_epochs": ("train.epochs",),
    "max_steps": ("train.max_steps",),
    "batch_size": ("train.batch_size",),
    "learning_rate": ("train.learning_rate",),
    "weight_decay": ("train.weight_decay",),
    "max_grad_norm": ("train.clip_norm",),
    "lr_scheduler_type": ("train.schedule",),
    "gradient_checkpointing": ("train.gradient_checkpointing",),
    "gradient_accumulation_steps": ("train.accumulate",),
    "eval_steps": ("train.eval_steps",),
    "save_steps": ("train.save_steps",),
    "logging_steps": ("train.logging_steps",),
    "early_stopping_patience": ("train.early_stopping",),
    "scale": ("train.loss.scale",),
    "mining_model_name": ("mine.model",),
    "mining.num_negatives": ("mine.num_negatives",),
    "mining.range_min": ("mine.range_min",),
    "mining.range_max": ("mine.range_max",),
    "mining.absolute_margin": ("mine.absolute_margin",),
    "mining.relative_margin": ("mine.relative_margin",),
    "mining.max_score": ("mine.max_score",),
    "mining.min_score": ("mine.min_score",),
    "mining.sampling_strategy": ("mine.sampling_strategy",),
    "mining.batch_size": ("mine.batch_size",),
    "mining.cross_encoder": ("mine.cross_encoder.model",),
    "mining.query_prompt": ("mine.query_prompt",),
    "mining.corpus_prompt": ("mine.document_prompt",),
}
"""Where the value of a key goes that needs nothing but a place."""

ALIASES = {
    "dataset": "dataset_name",
    "dataset_path": "dataset_name",
    "data_path": "dataset_name",
    "max_samples": "sample_size",
    "eval_size": "validation_size",
    "anchor_column_name": "anchor_column",
    "positive_column_name": "positive_column",
    "mining.anchor_column_name": "anchor_column",
    "mining.positive_column_name": "positive_column",
    "model": "model_name",
    "model_name_or_path": "model_name",
    "max_length": "max_seq_length",
    "epochs": "num_epochs",
    "num_train_epochs": "num_epochs",
    "train_batch_size": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "lr": "learning_rate",
    "patience": "early_stopping_patience",
    "mining.model": "mining_model_name",
    "mining.model_name": "mining_model_name",
    "mining.mining_model_name": "mining_model_name",
    "mining.margin": "mining.absolute_margin",
    "mining.cross_encoder.name": "mining.cross_encoder",
    "mining.cross_encoder.model": "mining.cross_encoder",
    "mining.cross_encoder.model_name": "mining.cross_encoder",
    "mining.cross_encoder_name": "mining.cross_encoder",
}
"""Other spellings of the same key."""

REASONS = {
    "mining.use_faiss": "neighbours are always found exactly, through faiss on a CPU and tiled products on a GPU",
    "mining.faiss_batch_size": "the search keeps to a budget of bytes by itself",
    "mining.use_multi_process": "mining works in one process, with all its threads",
    "mining.output_format": "negatives are kept as row numbers, not as texts in columns",
    "mining.as_triplets": "negatives are kept as row numbers, not as texts in columns",
    "mining.include_positives": "known positives are never among the negatives",
    "mining.verbose": "counts per filter are always reported",
    "mining.cross_encoder.batch_size": "write [mine.cross_encoder] batch_size yourself: ours counts pairs sorted by length",
    "eval_strategy": "validation is measured at each epoch, or by train.eval_steps",
    "evaluation_strategy": "validation is measured at each epoch, or by train.eval_steps",
    "save_strategy": "a checkpoint is written at each evaluation, or by train.save_steps",
    "save_total_limit": "checkpoints are private to the training stage and removed when it ends",
    "load_best_model_at_end": "always so: the best checkpoint on validation is kept, and the start where none is better",
    "metric_for_best_model": "the names differ: write train.metric yourself (ndcg@10, recall@100, mrr@10 …)",
    "eval_batch_size": "batches of vectors are planned by embed.batch_tokens",
    "per_device_eval_batch_size": "batches of vectors are planned by embed.batch_tokens",
    "batch_sampler": "a batch never holds the same text twice",
    "dataloader_num_workers": "texts are prepared in threads of the same process",
    "loss": 'write [train.loss] kind yourself: "infonce" (multiple negatives ranking), "triplet" or "cosine"',
}
"""Known keys that have no counterpart, and why."""

HUB_ONLY = "only a data set of the Hugging Face hub has one"
UNSET = "without a value, and none is set here either"
FLAT_SECTIONS = ("training", "train")  # nested sections whose keys mean the same as at the top
UNLIMITED = ("max_steps", "sample_size", "early_stopping_patience", "warmup_steps", "max_grad_norm")  # 0 or -1 meant "none"
SWITCHES = ("gradient_checkpointing",)
TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Row(NamedTuple):
    """What became of a key: its old name, the place and value it has now ("–" if none), and its status with a reason."""

    key: str
    became: str
    note: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A recipe as TOML text, and what became of each key of the old file."""

    toml: str
    rows: tuple[Row, ...]


class Given(NamedTuple):
    """A key as the old file has it, and its value with texts read as numbers where they are."""

    key: str
    value: Any


Old = Mapping[str, Given]  # by the key's common name


@dataclass(frozen=True, slots=True)
class Move:
    """Values that an old key brings to places of the recipe; without places, the reason why it brings none."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    status: Status | None = None  # None: it follows from the places


def translate(path: str | Path) -> Translation:
    """A recipe from another system's YAML file; RecipeError if the file cannot be read as keys with values."""
    path = Path(path)
    leaves = _read(path)
    old, doubled = _common_names(leaves)
    base, rows = _base(old)
    moves = [*doubled, *_moves(old)]
    recipe, refused = _apply(base, moves)
    order = {key: place for place, key in enumerate(leaves)}
    moves.sort(key=lambda move: order[move.key])
    rows += [_row(move, refused.get(move.key)) for move in moves]
    validated(recipe, str(path))
    return Translation(_toml(path, recipe, rows), tuple(rows))


def _read(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        raise RecipeError(f"There is no file {path} to translate; give --from a YAML file.")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from None
    except yaml.YAMLError as error:
        raise RecipeError(
            f"{path} is not YAML: {' '.join(str(error).split())}; correct it, or write a recipe with: likewise init"
        ) from None
    if not isinstance(value, dict) or not value:
        raise RecipeError(f"{path} must hold keys with values, such as num_epochs: 3; it holds {type(value).__name__}.")
    return dict(_leaves(value))


def _leaves(value: Mapping[Any, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, f"{place}{key}.")
        else:
            yield f"{place}{key}", inner


def _common_names(leaves: Mapping[str, Any]) -> tuple[dict[str, Given], list[Move]]:
    """Keys by their common name; of two that mean the same, the nested one is taken, and the other is told."""
    old: dict[str, Given] = {}
    doubled = []
    for key, value in leaves.items():
        section, _, name = key.partition(".")
        flat = name if section in FLAT_SECTIONS and name else key
        common = ALIASES.get(flat, flat)
        given = Given(key, _number(value))
        if common not in old:
            old[common] = given
            continue
        lost, taken = sorted((old[common], given), key=lambda other: other.key.count("."))
        old[common] = taken
        doubled.append(Move(lost.key, note=f"{taken.key} means the same and is taken", status="not taken"))
    return old, doubled


def _number(value: Any) -> Any:
    """A text that is a number as the number, and a text that is a truth value as that."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if NUMBER.fullmatch(text):
        return float(text) if set(text) & set(".eE") else int(text)
    return TRUTHS.get(text.lower(), value)


def _base(old: Old) -> tuple[dict[str, Any], list[Row]]:
    """The sections that every such system has, and a row for what must be filled in."""
    rows = []
    recipe: dict[str, Any] = {
        "name": "translated",
        "ingest": {"kind": "pairs", "path": DEFAULT_DATA},
        "fingerprint": {},
        "split": {},
        "encoder": {"kind": "text", "model": DEFAULT_MODEL},
        "embed": {},
        "train": {"loss": {"kind": "infonce"}},
        "evaluate": {},
        "result": {"kind": "index"},
        "report": {},
    }
    if any(key.startswith("mining") for key in old):
        recipe["mine"] = {}
    else:
        rows.append(Row("mining", "–", "absent: without [mine], the negatives are the other texts of a batch"))
    if "dataset_name" not in old:
        rows.append(Row("dataset_name", f'ingest.path = "{DEFAULT_DATA}"', "absent: write where your data is"))
    if "model_name" not in old:
        rows.append(Row("model_name", f'encoder.model = "{DEFAULT_MODEL}"', "absent: change it if you used another"))
    return recipe, rows


def _moves(old: Old) -> Iterator[Move]:
    """What each key brings."""
    groups = (_data, _test, _cache, _precision, _warmup, _folder, _loggers)
    done = set()
    for group in groups:
        for move in group(old):
            done.add(move.key)
            yield move
    for common, given in old.items():
        if given.key not in done:
            yield _plain(common, given, old)


def _plain(common: str, given: Given, old: Old) -> Move:
    key, value = given
    if common in REASONS:
        return Move(key, note=REASONS[common])
    if common not in PLACES:
        near = difflib.get_close_matches(common, [*PLACES, *ALIASES, *REASONS], 1)
        return Move(key, note="not a key that is known here" + (f"; did you mean {near[0]}?" if near else ""))
    if value is None or (common in UNLIMITED and value in (0, -1)):
        return Move(key, note=UNSET, status="not taken")
    if common == "mining_model_name" and "model_name" in old and value == old["model_name"].value:
        return Move(
            key, note="the same model as model_name: mining reads its vectors, which are there already", status="not taken"
        )
    if common == "lr_scheduler_type" and value == "constant_with_warmup":
        value = "constant"
    if isinstance(value, bool) and common not in SWITCHES:
        return Move(key, note=f"{str(value).lower()} is no value for it", status="not taken")
    note = "absolute, as in sentence-transformers" if key == "mining.margin" else ""
    return Move(key, dict.fromkeys(PLACES[common], value), note, "changed" if value != given.value else None)


def _data(old: Old) -> Iterator[Move]:
    """A table of pairs where the name is a path, otherwise a data set of the hub."""
    if "dataset_config" in old:
        key, value = old["dataset_config"]
        yield Move(key, {"ingest.config": value}) if value is not None and _from_hub(old) else Move(key, note=HUB_ONLY)
    if "dataset_name" not in old:
        return
    key, name = old["dataset_name"]
    columns = "see that ingest.anchor and ingest.positive name its columns"
    if not isinstance(name, str) or not name.strip():
        yield Move(key, note=f"{name!r} is no name and no path: write [ingest] path yourself", status="not taken")
    elif _is_table(name):
        yield Move(key, {"ingest": {"kind": "pairs", "path": name}}, columns)
    else:
        yield Move(key, {"ingest": {"kind": "hub", "name": name}}, f"a data set of the Hugging Face hub; {columns}")


def _is_table(name: str) -> bool:
    return name.endswith(TABLES) or Path(name).exists()


def _from_hub(old: Old) -> bool:
    name = old["dataset_name"].value if "dataset_name" in old else None
    return isinstance(name, str) and bool(name.strip()) and not _is_table(name)


def _test(old: Old) -> Iterator[Move]:
    """A share, or a number of rows, which is a share of the sample."""
    if "test_size" not in old:
        return
    key, value = old["test_size"]
    size = old["sample_size"].value if "sample_size" in old else None
    units = "units (texts that belong together) are held out, not rows"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        if isinstance(size, int) and value < size:
            yield Move(
                key,
                {"split.test": round(value / size, 4)},
                f"the share that {value:,} of {size:,} rows are; {units}",
                status="changed",
            )
        else:
            yield Move(
                key,
                note=f"{value:,} is a number of rows, and [split] test is a share of the units: write it yourself",
                status="not taken",
            )
    else:
        yield Move(key, {"split.test": value}, units)


def _cache(old: Old) -> Iterator[Move]:
    if "cache_dir" in old:
        key, value = old["cache_dir"]
        places = ("encoder.cache_dir", "ingest.cache_dir") if _from_hub(old) else ("encoder.cache_dir",)
        note = "for downloads; vectors are kept by embed.cache_dir"
        yield Move(key, dict.fromkeys(places, value), note) if value is not None else Move(key, note=UNSET, status="not taken")


def _precision(old: Old) -> Iterator[Move]:
    """Two switches of which one may be on; both off is float32."""
    given = {name: old[name] for name in ("bf16", "fp16") if name in old}
    on = [name for name, (_, value) in given.items() if value is True]
    names = {"bf16": "bfloat16", "fp16": "float16"}
    for name, (key, value) in given.items():
        if not isinstance(value, bool):
            yield Move(key, note=f"{value!r} is neither true nor false: write [train] precision yourself", status="not taken")
        elif len(on) == 2 and name == "fp16":
            yield Move(key, note="bf16 is on as well, and is taken", status="not taken")
        elif value:
            yield Move(key, {"train.precision": names[name]}, status="changed")
        elif on:
            yield Move(key, note=f"off: {on[0]} says the precision", status="not taken")
        else:
            yield Move(key, {"train.precision": "float32"}, "off: neither half precision is on", status="changed")


def _warmup(old: Old) -> Iterator[Move]:
    """As in transformers, steps above 0 win over a ratio."""
    steps = old["warmup_steps"].value if "warmup_steps" in old else None
    counted = isinstance(steps, int) and not isinstance(steps, bool) and steps > 0
    if "warmup_ratio" in old:
        key, ratio = old["warmup_ratio"]
        if counted:
            yield Move(key, note="warmup_steps is above 0 and wins, as in transformers", status="not taken")
        else:
            yield Move(key, {"train.warmup_ratio": ratio})
    if "warmup_steps" in old:
        key, _ = old["warmup_steps"]
        if counted:
            yield Move(key, {"train.warmup_steps": steps})
        elif steps in (0, None):
            if "warmup_ratio" in old:
                yield Move(key, note="0 steps: warmup_ratio says it", status="not taken")
            else:
                yield Move(key, {"train.warmup_ratio": 0.0}, "0 steps: no warm-up", status="changed")
        else:
            yield Move(key, note=f"{steps!r} is not a number of steps: write [train] warmup_ratio yourself", status="not taken")


def _folder(old: Old) -> Iterator[Move]:
    """The last part of the output folder names the run."""
    if "output_dir" in old:
        key, value = old["output_dir"]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(str(value or "")).name).strip("-._")
        note = "a run's folder is runs/NAME; another is given by --folder"
        yield Move(key, {"name": name}, note, status="changed") if name else Move(key, note=note)


def _loggers(old: Old) -> Iterator[Move]:
    if "report_to" in old:
        key, value = old["report_to"]
        names = value if isinstance(value, list) else [value]
        loggers = [name for name in names if name in ("tensorboard", "wandb")]
        note = "metrics.csv is always written"
        yield Move(key, {"train.loggers": loggers}, note, status="changed") if loggers else Move(key, note=note)


def _apply(base: Mapping[str, Any], moves: Sequence[Move]) -> tuple[dict[str, Any], dict[str, str]]:
    """The recipe with every value that it accepts, and by key the reason why the others were refused.

    Values are put in one by one and in several rounds, since one may only be right beside another (range_min and range_max).
    """
    recipe = copy.deepcopy(dict(base))
    waiting = [move for move in moves if move.values]
    refused: dict[str, str] = {}
    while True:
        left = []
        for move in waiting:
            candidate = copy.deepcopy(recipe)
            for place, value in move.values.items():
                _put(candidate, place, value)
            try:
                validated(candidate, move.key)
            except RecipeError as error:
                refused[move.key] = str(error).removeprefix(f"{move.key}: ")
                left.append(move)
            else:
                recipe = candidate
                refused.pop(move.key, None)
        if len(left) == len(waiting):
            return recipe, refused
        waiting = left


def _put(recipe: dict[str, Any], place: str, value: Any) -> None:
    *sections, name = place.split(".")
    for section in sections:
        recipe = recipe.setdefault(section, {})
    recipe[name] = value


def _row(move: Move, refusal: str | None) -> Row:
    if refusal is not None:
        return Row(move.key, "–", f"not taken: {refusal}")
    if not move.values:
        return Row(move.key, "–", f"{move.status or 'no counterpart'}: {move.note}")
    names = {place.rpartition(".")[2] for place in move.values}
    status = move.status or ("kept" if names == {move.key.rpartition(".")[2]} else "renamed")
    became = ", ".join(_assignment(place, value) for place, value in move.values.items())
    return Row(move.key, became, f"{status}: {move.note}" if move.note else status)


def _assignment(place: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_assignment(f"{place}.{key}", inner) for key, inner in value.items())
    return f"{place} = {_as_toml(value)}"


def _as_toml(value: Any) -> str:
    import tomli_w

    return tomli_w.dumps({"value": value}).partition("= ")[2].strip()


def _toml(path: Path, recipe: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The recipe's text; what has no counterpart stands in comments at its head."""
    import tomli_w

    lines = [
        f"# Translated from {path.name} by likewise init --from.",
        "# All keys: likewise schema. Check it with: likewise check",
    ]
    lost = [row for row in rows if row.became == "–"]
    if lost:
        lines += ["#", "# Not taken over:"]
        lines += [f"#   {_one_line(row.key)}: {_one_line(row.note)}" for row in lost]
    order = (
        "name",
        "seed",
        "ingest",
        "fingerprint",
        "split",
        "encoder",
        "embed",
        "mine",
        "train",
        "evaluate",
        "result",
        "report",
    )
    return "\n".join(lines) + "\n\n" + tomli_w.dumps({name: recipe[name] for name in order if name in recipe})


def _one_line(text: str) -> str:
    return " ".join(text.split())
