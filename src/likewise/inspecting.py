"""`likewise inspect PATH`: what a run, an artifact, archives that were read, a model, tables or an array hold."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from likewise.artifacts.artifact import MANIFEST, REMARKS, Artifact, Manifest
from likewise.artifacts.run import CURRENT, LOG, current, in_force, is_stage, leftovers
from likewise.data.group_tables.archive_list import LIST, ArchiveList
from likewise.data.group_tables.words import counted
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
PIECE_BYTES = 4 << 20  # of an array, looked at at once


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
    folders = "a run, an artifact, archives that were read, a model folder, a folder of Parquet tables"
    raise UserError(f"{path} is none of what is known: {folders}, or a file ending in {endings}.")


# Folders


def _is_run(path: Path) -> bool:
    return path.is_dir() and ((path / RECIPE).is_file() or (path / LOG).is_file() or bool(_pointers(path)))


def _pointers(run: Path) -> list[Path]:
    """The files that name the artifacts in force, one for each stage."""
    return [path for path in run.glob(f"*/{CURRENT}") if path.is_file()]


def _run(path: Path) -> Iterator[Row]:
    verdict = path / "verdict.json"
    if verdict.is_file():
        yield Row("verdict", str(_json_object(verdict).get("sentence", "")))
    for pointer in sorted(_pointers(path), key=_written):
        yield Row(pointer.parent.name, _stage(path, pointer.parent.name))
    unused = leftovers(path)
    if unused:
        total = sum(_size(folder) for folder in unused)
        yield Row("not in force", f"{counted(len(unused), 'folder')}, {size(total)}; remove with: likewise clean {path}")
    yield Row("size", size(_size(path)))
    if (path / "ingest" / CURRENT).is_file():
        yield from _grouped(path)
    for pointer in sorted(_pointers(path), key=_written):
        yield from _remarks(_in_force(pointer))
    if (path / "report.html").is_file():
        yield Row("page", str(path / "report.html"))


def _holds_archives(path: Path) -> bool:
    return (path / LIST).is_file()


def _archives(path: Path) -> Iterator[Row]:
    """What `likewise tables read` has read, an archive in a line, and all of them together."""
    listed = ArchiveList.of(path)
    assert listed is not None, "the list is there"
    for name, entry in sorted(listed.archives.items()):
        there = entry.read and (path / name / CURRENT).is_file()
        bad = f": {entry.fault}" if entry.fault else ""
        yield Row(name, _stage(path, name) if there else f"{'left out' if entry.left_out else 'not read to its end'}{bad}")
    yield from _grouped(path)
    for name, entry in sorted(listed.archives.items()):
        if entry.read and (path / name / CURRENT).is_file():
            yield from _remarks(_in_force(path / name / CURRENT))
    yield Row("size", size(_size(path)))


def _in_force(pointer: Path) -> Path:
    """The folder of the artifact that a pointer names."""
    return pointer.parent / (in_force(pointer.parent) or "")


def _written(pointer: Path) -> float:
    manifest = _in_force(pointer) / MANIFEST
    return manifest.stat().st_mtime if manifest.is_file() else 0.0


def _remarks(artifact: Path) -> Iterator[Row]:
    """What the stage found that people should know."""
    if (artifact / REMARKS).is_file():
        try:
            yield from (Row("remark", str(sentence)) for sentence in Artifact(artifact).remarks)
        except DamagedArtifact as error:
            yield Row("remark", f"damaged: {error}")


def _stage(run: Path, stage: str) -> str:
    try:
        artifact = current(run, stage)
    except DamagedArtifact as error:
        return f"damaged: {error}"
    assert artifact is not None, "its pointer is there"
    manifest = artifact.manifest
    total = sum(record.size for record in manifest.files.values())
    memory = f", {size(manifest.peak_memory_bytes)} of memory" if manifest.peak_memory_bytes else ""
    return f"{artifact.path.name}  {counted(len(manifest.files), 'file')}, {size(total)}, {duration(manifest.seconds)}{memory}"


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
    except (DamagedArtifact, OSError) as error:
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
    if any(name.startswith("items-") for name in manifest.files):
        yield from _grouped(path)
    yield from _remarks(path)
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
    without = f"; {counted(found.without_group, 'row')} without one" if found.without_group else ""
    yield Row("ids", f"{found.ids:,} in {counted(found.rows, 'row')}")
    yield Row("groups", f"{found.groups:,}{without}")
    if found.images_per_group is not None:
        yield Row("per group", found.images_per_group.words())


def _is_model(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in MODEL_FILES)


def _model(path: Path) -> Iterator[Row]:
    modules = path / "modules.json"
    if modules.is_file():
        found = _json_file(modules)
        if not isinstance(found, list) or not all(isinstance(module, dict) and "type" in module for module in found):
            raise DataError(f"{modules} is not a list of modules, each with its type; write the model again.")
        for module in found:
            yield Row("module", str(module["type"]).rpartition(".")[2] + (f" in {module['path']}" if module.get("path") else ""))
    for name, told in MODEL_SETTINGS.items():
        if (path / name).is_file():
            found = _json_object(path / name)
            yield from (Row(key, _short(found[key])) for key in told if found.get(key) not in (None, {}, ""))
    weights = sorted(path.rglob("*.safetensors"))
    for file in weights:
        numbers, types = _weights(file)
        yield Row(file.relative_to(path).as_posix(), f"{numbers:,} weights, {', '.join(types)}, {size(file.stat().st_size)}")
    yield Row("size", size(_size(path)))


def _weights(path: Path) -> tuple[int, list[str]]:
    """How many numbers a safetensors file holds and of which types, from its header alone."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            tensors = list(map(file.get_slice, file.keys()))
            return sum(math.prod(tensor.get_shape()) for tensor in tensors), sorted({tensor.get_dtype() for tensor in tensors})
    except SafetensorError as error:
        raise DataError(f"{path} is not a safetensors file, or is cut short ({error}); write it again.") from None


# Files


def _ends(*endings: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.name.lower().endswith(endings)


def _table(path: Path) -> Iterator[Row]:
    """Columns of a table; one pass over the file, in memory only a slice of it, counts, lengths and the first values."""
    is_parquet = path.suffix.lower() == ".parquet"
    yield from _columns(_read_parquet([path]) if is_parquet else _read_text(path))
    if is_parquet:
        yield from _grouped(path)
    yield Row("size", size(path.stat().st_size))


def _holds_tables(path: Path) -> bool:
    return path.is_dir() and any(file.name.lower().endswith(".parquet") for file in path.iterdir())


def _tables(path: Path) -> Iterator[Row]:
    """The Parquet tables of a folder, told as one."""
    from likewise.data.group_tables.files import tables_at

    tables = tables_at([path])
    yield Row("tables", f"{len(tables):,}")
    yield from _columns(_read_parquet(tables))
    yield from _grouped(path)
    yield Row("size", size(sum(table.stat().st_size for table in tables)))


def _columns(read: _Read) -> Iterator[Row]:
    yield Row("rows", f"{read.rows:,}")
    yield Row("columns", f"{len(read.columns):,}{read.whose}: {', '.join(read.columns)}")
    for name, column in read.columns.items():
        yield from column.told(name)
    if read.bad:
        yield Row("bad rows", f"{read.bad:,}; the first: {read.first_bad}")


@dataclass(slots=True)
class _Read:
    """What was met in tables: columns by name, and whose they are where rows differ; rows, good and bad, the first bad one."""

    columns: Mapping[str, _Column]
    whose: str = ""
    rows: int = 0
    bad: int = 0
    first_bad: str = ""


def _read_parquet(tables: Sequence[Path]) -> _Read:
    from likewise.data.group_tables.files import schema_of, slices

    read = _Read({name: _Column() for table in tables for name in schema_of(table).names})
    for table in tables:
        for part in slices(table):  # of pictures, a few at a time
            read.rows += len(part)
            for name, column in read.columns.items():
                for cell in part[name].to_pylist() if name in part.column_names else [None] * len(part):
                    column.add(cell)
    return read


def _read_text(path: Path) -> _Read:
    from likewise.data.table import column_names, read_rows
    from likewise.types import Reject

    names = column_names(path)
    whose = " of the first object" if ".jsonl" in path.name.lower() else ""
    read = _Read({name: _Column() for name in names}, whose)
    for row in read_rows(path, (), names):
        read.rows += 1
        if isinstance(row, Reject):
            read.bad += 1
            read.first_bad = read.first_bad or str(row)
            continue
        for column, cell in zip(read.columns.values(), row.cells, strict=True):
            column.add(cell)
    return read


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
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as an array of numbers ({error}); it may be cut short or hold Python objects."
        ) from None
    yield Row("shape", " × ".join(f"{extent:,}" for extent in array.shape) or "a single number")
    yield Row("type", str(array.dtype))
    if array.size and np.issubdtype(array.dtype, np.number):
        yield from _numbers(array)
    yield Row("size", size(path.stat().st_size))


def _numbers(array: NDArray[Any]) -> Iterator[Row]:
    """The range of the values and, for rows of vectors, their lengths; in pieces, so that memory does not grow with the rows."""
    import numpy as np

    rows = array if array.ndim else array.reshape(1)
    step = max(1, PIECE_BYTES * len(rows) // rows.nbytes)
    are_vectors = array.ndim == 2 and np.issubdtype(array.dtype, np.floating)
    bad = 0
    values, lengths = [], []  # of each piece the least and the greatest
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        bad += int(np.count_nonzero(~np.isfinite(piece)))
        values += [piece.min(), piece.max()]
        if are_vectors:
            norms = np.linalg.norm(piece.astype(np.float64), axis=1)
            lengths += [norms.min(), norms.max()]
    if bad:
        yield Row("not finite", f"{bad:,} values")
        return
    yield Row("values", f"{min(values):g} to {max(values):g}")
    if are_vectors:
        unit = ", unit length" if np.allclose(lengths, 1, atol=1e-3) else ""
        yield Row("vector lengths", f"{min(lengths):.4g} to {max(lengths):.4g}{unit}")


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
        raise DataError(f"{path} is not TOML ({error}); mend it.") from None
    yield from (Row(label, text) for label, text in _flat(value))


def _json_file(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON that can be read ({error}); write it again.") from None


def _json_object(path: Path) -> dict[str, Any]:
    value = _json_file(path)
    if not isinstance(value, dict):
        raise DataError(f"{path} is not a JSON object; write it again.")
    return value


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


KINDS: tuple[tuple[str, Callable[[Path], bool], Callable[[Path], Iterator[Row]]], ...] = (
    ("artifact", _is_artifact, _artifact),
    ("artifact", is_stage, lambda path: _artifact(_in_force(path / CURRENT))),
    ("archives", _holds_archives, _archives),
    ("run", _is_run, _run),
    ("model", _is_model, _model),
    ("tables", _holds_tables, _tables),
    ("table", _ends(".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz"), _table),
    ("array", _ends(".npy"), _array),
    ("json", _ends(".json"), _json),
    ("toml", _ends(".toml"), _toml),
)
"""What can be told apart, in the order in which it is tried."""
