"""`likewise inspect PATH`: what a run, an artifact, a model, a table or an array holds."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from likewise.artifacts.artifact import MANIFEST, Artifact, Manifest
from likewise.artifacts.run import CURRENT, current, leftovers
from likewise.errors import DamagedArtifact, DataError, UserError
from likewise.publishing.finished import RECIPE
from likewise.report.numbers import duration, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_FILES = ("modules.json", "config_sentence_transformers.json", "config.json")
MODEL_SETTINGS = {
    "config_sentence_transformers.json": ("prompts", "default_prompt_name", "similarity_fn_name"),
    "sentence_bert_config.json": ("max_seq_length",),
    "config.json": ("model_type", "hidden_size", "num_hidden_layers", "vocab_size", "max_position_embeddings"),
    "1_Pooling/config.json": ("pooling_mode",),
}
EXAMPLE_LENGTH = 80  # characters of an example that are shown
MANY_FILES = 20  # files of an artifact that are listed


class Row(NamedTuple):
    """A label and its value, to be read."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What stands at a path: its kind in words, and rows of (label, value)."""

    path: Path
    kind: str
    facts: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, the kind first."""
        return (Row("kind", self.kind), *self.facts)

    def as_json(self) -> dict[str, Any]:
        """The inspection as JSON-able values; rows in their order, since labels may repeat."""
        return {"path": str(self.path), "kind": self.kind, "facts": [row._asdict() for row in self.facts]}


def inspect(path: Path) -> Inspection:
    """Look at a path; UserError if there is nothing, or nothing that can be told about it."""
    if not path.exists():
        raise UserError(f"There is nothing at {path}; name a run, an artifact, a model folder, a table or an array.")
    for kind, belongs, look in KINDS:
        if belongs(path):
            return Inspection(path, kind, tuple(look(path)))
    endings = ".parquet, .csv, .tsv, .jsonl, .npy, .json, .toml"
    raise UserError(f"{path} is none of what is known: a run, an artifact, a model folder, or a file ending in {endings}.")


# Folders


def _is_run(path: Path) -> bool:
    return path.is_dir() and ((path / RECIPE).is_file() or any(path.glob(f"*/{CURRENT}")))


def _run(path: Path) -> Iterator[Row]:
    verdict = path / "verdict.json"
    if verdict.is_file():
        yield Row("verdict", str(_json_file(verdict).get("sentence", "")))
    for pointer in sorted(path.glob(f"*/{CURRENT}"), key=_written):
        yield Row(pointer.parent.name, _stage(path, pointer.parent.name))
    unused = leftovers(path)
    if unused:
        total = sum(_size(folder) for folder in unused)
        yield Row("not in force", f"{_count(len(unused), 'folder')}, {size(total)}; remove with: likewise clean {path}")
    yield Row("size", size(_size(path)))
    if (path / "ingest" / CURRENT).is_file():
        yield from _grouped(path)
    if (path / "report.html").is_file():
        yield Row("page", str(path / "report.html"))


def _written(pointer: Path) -> float:
    manifest = pointer.parent / pointer.read_text(encoding="utf-8").strip() / MANIFEST
    return manifest.stat().st_mtime if manifest.is_file() else 0.0


def _stage(run: Path, stage: str) -> str:
    try:
        artifact = current(run, stage)
    except DamagedArtifact as error:
        return f"damaged: {error}"
    assert artifact is not None, "its pointer is there"
    manifest = artifact.manifest
    total = sum(record.size for record in manifest.files.values())
    memory = f", {size(manifest.peak_memory_bytes)} of memory" if manifest.peak_memory_bytes else ""
    return f"{artifact.path.name}  {_count(len(manifest.files), 'file')}, {size(total)}, {duration(manifest.seconds)}{memory}"


def _is_artifact(path: Path) -> bool:
    return (path / MANIFEST).is_file() and _is_manifest(path / MANIFEST)


def _is_manifest(path: Path) -> bool:
    """Whether it is a manifest of ours, whole or damaged: other programs call files manifest.json, too."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return True  # it is called so and cannot be read: the artifact is told to be damaged
    return isinstance(value, dict) and "stage" in value and "files" in value


def _artifact(path: Path) -> Iterator[Row]:
    try:
        manifest = Manifest.read(path / MANIFEST)
    except DamagedArtifact as error:
        yield Row("state", f"damaged: {error}")
        return
    yield Row("stage", manifest.stage)
    yield Row("key", manifest.key or path.name)
    yield Row("state", _state(path))
    yield Row("took", duration(manifest.seconds))
    yield Row("peak memory", size(manifest.peak_memory_bytes))
    for stage, content in manifest.inputs.items():
        yield Row("made from", f"{stage} {content}")
    for name, version in manifest.versions.items():
        yield Row("version", f"{name} {version}")
    if manifest.options:
        yield Row("options", json.dumps(manifest.options, ensure_ascii=False))
    for name, record in list(manifest.files.items())[:MANY_FILES]:
        yield Row(name, size(record.size))
    if len(manifest.files) > MANY_FILES:
        yield Row("further files", f"{len(manifest.files) - MANY_FILES:,}")
    yield from _contents(path, manifest)


def _state(path: Path) -> str:
    try:
        Artifact(path).verify()
    except DamagedArtifact as error:
        return f"damaged: {error}"
    return "verified: every file has the size and SHA-256 of the manifest"


def _contents(path: Path, manifest: Manifest) -> Iterator[Row]:
    """What is told about an index, which has a file of its own that says so, and about items in groups."""
    if manifest.stage == "ingest":
        yield from _grouped(path)
    for name in ("index.json", "space.json", "counts.json"):
        if name in manifest.files and (path / name).is_file():
            for label, value in _flat(_json_file(path / name)):
                yield Row(label, value)


def _grouped(path: Path) -> Iterator[Row]:
    """How many ids and groups the tables of items of a run, an artifact or a file have; nothing for tables without groups."""
    from likewise.data.group_tables.files import GROUP, ID, schema_of, tables_at
    from likewise.data.group_tables.summary import summary

    try:
        if not any({ID, GROUP} <= set(schema_of(table).names) for table in tables_at([path])):
            return
        found = summary([path])
    except (DataError, DamagedArtifact) as error:
        yield Row("groups", f"cannot be counted: {error}")
        return
    without = f"; {_count(found.without_group, 'row')} without one" if found.without_group else ""
    yield Row("ids", f"{found.ids:,} in {_count(found.rows, 'row')}")
    yield Row("groups", f"{found.groups:,}{without}")
    if found.images_per_group is not None:
        yield Row("per group", found.images_per_group.words())


def _is_model(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in MODEL_FILES)


def _model(path: Path) -> Iterator[Row]:
    modules = path / "modules.json"
    if modules.is_file():
        for module in _json_file(modules):
            yield Row("module", str(module["type"]).rpartition(".")[2] + (f" in {module['path']}" if module.get("path") else ""))
    for name, told in MODEL_SETTINGS.items():
        if (path / name).is_file():
            found = _json_file(path / name)
            yield from (Row(key, _short(found[key])) for key in told if found.get(key) not in (None, {}, ""))
    weights = sorted(path.rglob("*.safetensors"))
    for file in weights:
        numbers, types = _weights(file)
        yield Row(file.relative_to(path).as_posix(), f"{numbers:,} weights, {', '.join(types)}, {size(file.stat().st_size)}")
    yield Row("size", size(_size(path)))


def _weights(path: Path) -> tuple[int, list[str]]:
    """How many numbers a safetensors file holds and of which types, from its header alone."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise DataError(f"{path} is not a safetensors file, or is cut short; write it again.")
        header = json.loads(file.read(length))
    tensors = [value for name, value in header.items() if name != "__metadata__"]
    count = 0
    for tensor in tensors:
        count += math.prod(tensor["shape"])
    return count, sorted({tensor["dtype"] for tensor in tensors})


# Files


def _ends(*endings: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.name.lower().endswith(endings)


def _table(path: Path) -> Iterator[Row]:
    """Columns of a table; one pass over the file, in memory only counts, lengths and the first values."""
    from likewise.data.table import column_names, read_rows
    from likewise.types import Reject

    names = column_names(path)
    columns = {name: _Column() for name in names}
    rows = 0
    rejects: list[Reject] = []
    for row in read_rows(path, (), names):
        rows += 1
        if isinstance(row, Reject):
            rejects.append(row)
            continue
        for column, cell in zip(columns.values(), row.cells, strict=True):
            column.add(cell)
    yield Row("rows", f"{rows:,}")
    whose = " of the first object" if ".jsonl" in path.name.lower() else ""
    yield Row("columns", f"{len(names):,}{whose}: {', '.join(names)}")
    for name, column in columns.items():
        yield from column.told(name)
    if rejects:
        yield Row("bad rows", f"{len(rejects):,}; the first: {rejects[0]}")
    if path.suffix.lower() == ".parquet":
        yield from _grouped(path)
    yield Row("size", size(path.stat().st_size))


class _Column:
    """What the cells of a column are."""

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.missing = 0
        self.lengths: Counter[int] = Counter()
        self.example: Any = None

    def add(self, cell: Any) -> None:
        if cell is None or cell == "" or cell != cell:
            self.missing += 1
            return
        kind = type(cell).__name__
        self.types[kind] = self.types.get(kind, 0) + 1
        if isinstance(cell, str | list | tuple):
            self.lengths[len(cell)] += 1
        if self.example is None:
            self.example = cell

    def told(self, name: str) -> Iterator[Row]:
        words = {"str": "text", "int": "whole number", "float": "number", "bool": "truth value", "dict": "object"}
        types = ", ".join(words.get(kind, kind) for kind in self.types) or "nothing"
        missing = f", {self.missing:,} missing" if self.missing else ""
        yield Row(name, f"{types}{missing}")
        if self.lengths:
            low, middle, high = _spread(self.lengths)
            unit = "characters" if "str" in self.types else "entries"
            yield Row("  length", f"{low:,} to {high:,} {unit}, half at most {middle:,}")
        if self.example is not None:
            yield Row("  example", _short(self.example))


def _spread(lengths: Counter[int]) -> tuple[int, int, int]:
    """The smallest, the median and the largest of counted lengths."""
    ordered = sorted(lengths)
    below = 0
    for length in ordered:
        below += lengths[length]
        if 2 * below >= lengths.total():
            return ordered[0], length, ordered[-1]
    raise AssertionError("there is at least one length")


def _array(path: Path) -> Iterator[Row]:
    import numpy as np

    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as an array of numbers ({error}); it may be cut short or hold Python objects."
        ) from None
    yield Row("shape", " × ".join(f"{extent:,}" for extent in array.shape) or "a single number")
    yield Row("type", str(array.dtype))
    if array.size and np.issubdtype(array.dtype, np.number):
        yield from _numbers(array)
    yield Row("size", size(path.stat().st_size))


def _numbers(array: NDArray[Any], step: int = 65536) -> Iterator[Row]:
    """The range of the values and, for rows of vectors, their lengths; in pieces, so that memory does not grow with the file."""
    import numpy as np

    pieces = [array[start : start + step] for start in range(0, len(array), step)] if array.ndim else [array.reshape(1)]
    if np.issubdtype(array.dtype, np.floating):
        bad = sum(int((~np.isfinite(piece)).sum()) for piece in pieces)
        if bad:
            yield Row("not finite", f"{bad:,} values")
            return
    yield Row("values", f"{min(piece.min() for piece in pieces):g} to {max(piece.max() for piece in pieces):g}")
    if array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        lengths = np.concatenate([np.linalg.norm(piece.astype(np.float64), axis=1) for piece in pieces])
        unit = ", unit length" if np.allclose(lengths, 1, atol=1e-3) else ""
        yield Row("vector lengths", f"{lengths.min():.4g} to {lengths.max():.4g}{unit}")


def _json(path: Path) -> Iterator[Row]:
    value = _json_file(path)
    if isinstance(value, list):
        yield Row("entries", f"{len(value):,}")
        if value:
            yield Row("first", _short(value[0]))
    else:
        yield from (Row(label, text) for label, text in _flat(value))


def _toml(path: Path) -> Iterator[Row]:
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}.") from None
    yield from (Row(label, text) for label, text in _flat(value))


def _json_file(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from None


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{place}.{key}" if place else str(key))
    else:
        yield place or "value", _short(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())  # bytes that are no text must not stop the telling
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1] + "…"


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


KINDS: tuple[tuple[str, Callable[[Path], bool], Callable[[Path], Iterator[Row]]], ...] = (
    ("artifact", _is_artifact, _artifact),
    ("run", _is_run, _run),
    ("model", _is_model, _model),
    ("table", _ends(".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz"), _table),
    ("array", _ends(".npy"), _array),
    ("json", _ends(".json"), _json),
    ("toml", _ends(".toml"), _toml),
)
"""What can be told apart, in the order in which it is tried."""
