"""Rows of CSV, TSV, JSONL and Parquet files, one after the other: memory does not grow with the file.

Rows are numbered as people see them. CSV and TSV: the header is row 1, a cell with line breaks is part of one row.
JSONL: the line. Parquet: from 1. Blank lines are no rows, but they count in the numbering.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.errors import DataError, first_line
from likewise.types import Reject

CELL_BYTES = 16 << 20  # a longer cell, or line of a cell, is taken for a missing quote: reading on would fill the memory
BATCH_ROWS = 4096
DELIMITERS = {".csv": ",", ".tsv": "\t"}
FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".parquet")


class Row(NamedTuple):
    """A row: its number, and the cells of the wanted columns in their order, None where there is nothing."""

    number: int
    cells: tuple[Any, ...]


def table_files(path: Path) -> list[Path]:
    """The file, or the tables directly in the folder, by name; DataError where there is none."""
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.is_file() and table_format(file) and not file.name.startswith("."))
        if not found:
            raise DataError(f"{path} holds no table; put {', '.join(FORMATS)} files there, or name another folder as path.")
        return found
    if not path.exists():
        raise DataError(
            f"{path} does not exist; name a table or a folder of tables as path (relative paths start at {Path.cwd()})."
        )
    if table_format(path) is None:
        raise DataError(f"{path} is not a known kind of table; its name must end in one of {', '.join(FORMATS)}.")
    return [path]


def table_format(path: Path) -> str | None:
    """The format a file's name tells, without `.gz`; None if it is not one of `FORMATS`."""
    name = path.name.lower()
    ending = next((ending for ending in FORMATS if name.endswith(ending)), None)
    return ending.removesuffix(".gz") if ending else None


def column_names(path: Path) -> list[str]:
    """The columns of a table: a header's names, a Parquet schema's, or the keys of the first JSON object."""
    kind = table_format(path)
    if kind == ".parquet":
        with _parquet(path) as file:
            return list(file.schema_arrow.names)
    if kind == ".jsonl":
        return next((list(value) for _, value in _json_lines(path) if isinstance(value, dict)), [])
    assert kind is not None, path
    records = _csv_records(path, DELIMITERS[kind])
    return _header(path, records)


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row | Reject]:
    """The rows of a table with the cells of `required` and `optional` columns, and the rows that cannot be read.

    A CSV, TSV or Parquet file without a required column raises DataError; a JSON object without one is a Reject, since
    objects need not be alike. Absent optional columns give None. A damaged or truncated file raises DataError.
    """
    kind = table_format(path)
    if kind == ".parquet":
        return _parquet_rows(path, required, optional)
    if kind == ".jsonl":
        return _jsonl_rows(path, required, optional)
    assert kind is not None, path
    return _csv_rows(path, DELIMITERS[kind], required, optional)


def count_rows(path: Path) -> int:
    """How many rows `read_rows` will give, good and bad."""
    kind = table_format(path)
    if kind == ".parquet":
        with _parquet(path) as file:
            return int(file.metadata.num_rows)
    if kind == ".jsonl":
        return sum(1 for _, line in read_lines(path) if isinstance(line, Reject) or line.strip())
    assert kind is not None, path
    records = _csv_records(path, DELIMITERS[kind])
    _header(path, records)
    return sum(1 for _ in records)


def missing_column(place: Path | str, name: str, found: Sequence[str]) -> str:
    """One clause: the column that is not there, those that are, and the nearest name."""
    nearest = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
    columns = ", ".join(f'"{column}"' for column in found) or "none"
    hint = f'; did you mean "{nearest[0]}"?' if nearest else ""
    return f'{place} has no column "{name}" (it has {columns}){hint}'


# CSV and TSV


def _csv_rows(path: Path, delimiter: str, required: Sequence[str], optional: Sequence[str]) -> Iterator[Row | Reject]:
    records = _csv_records(path, delimiter)
    header = _header(path, records)
    places = _places(path, header, required, optional)
    for number, record in records:
        if isinstance(record, Reject):
            yield record
        elif len(record) != len(header):
            reason = f"it has {_fields(len(record))}, the header {len(header)}"
            yield Reject(str(path), number, reason, "put quotes around cells that hold the delimiter, or mend the row")
        else:
            yield Row(number, tuple(None if place is None or record[place] == "" else record[place] for place in places))


def _csv_records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | Reject]]:
    """Numbered records, the header among them; blank lines are passed over. Undecodable bytes stay as lone surrogates."""
    csv.field_size_limit(max(csv.field_size_limit(), CELL_BYTES))
    too_long: list[Reject] = []

    def text_lines() -> Iterator[str]:
        for _, line in read_lines(path):
            if isinstance(line, Reject):
                too_long.append(line)
            else:
                yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(text_lines(), delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader)
        except StopIteration:
            record = None
        except csv.Error as error:
            reason = f"its quotes or line ends are broken ({error})"
            yield number, Reject(str(path), number, reason, 'write a quote inside a cell as "" and close every quote')
            continue
        if too_long:  # the line was left out, so what stands around it belongs to no sound row
            too_long.clear()
            reason = f"a line is longer than {CELL_BYTES >> 20} MiB"
            yield number, Reject(str(path), number, reason, "shorten it, or look for a quote that is never closed")
            if record is None:
                return
        elif record is None:
            return
        elif record:
            yield number, record


def _header(path: Path, records: Iterator[tuple[int, list[str] | Reject]]) -> list[str]:
    number, header = next(records, (0, None))
    if header is None:
        raise DataError(f"{path} is empty; its first row must name the columns.")
    if isinstance(header, Reject):
        raise DataError(str(header))
    if any(not encodable(name) for name in header):
        raise DataError(f"{path} has a header (row {number}) that is not UTF-8; save the file as UTF-8.")
    return [name.strip() for name in header]


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


# JSONL


def _jsonl_rows(path: Path, required: Sequence[str], optional: Sequence[str]) -> Iterator[Row | Reject]:
    wanted = (*required, *optional)
    for number, value in _json_lines(path):
        if isinstance(value, Reject):
            yield value
        elif not isinstance(value, dict):
            yield Reject(
                str(path),
                number,
                f"it holds {json_kind(value)} instead of an object",
                'write {"column": "text", ...} on every line',
            )
        elif missing := next((name for name in required if name not in value), None):
            found = ", ".join(f'"{name}"' for name in value) or "none"
            nearest = difflib.get_close_matches(missing, list(value), n=1, cutoff=0.5)
            remedy = f'did you mean "{nearest[0]}"' if nearest else "add it, or name another column in the recipe"
            yield Reject(str(path), number, f'it has no "{missing}" (it has {found})', remedy)
        else:
            yield Row(number, tuple(value.get(name) for name in wanted))


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in read_lines(path):
        if isinstance(line, Reject):
            yield number, line
        elif line.strip():
            try:
                yield number, json.loads(line.decode("utf-8"), object_pairs_hook=_unique)
            except UnicodeDecodeError:
                yield number, Reject(str(path), number, "it has bytes that are not UTF-8", "save the file as UTF-8")
            except RecursionError:
                yield number, Reject(str(path), number, "its JSON is nested too deeply", "write a flat object of columns")
            except ValueError as error:
                yield number, Reject(str(path), number, f"it is not JSON ({error})", "write one JSON object per line")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def json_kind(value: Any) -> str:
    """What a JSON value is, in words."""
    kinds = ((bool, "true or false"), (int | float, "a number"), (str, "a text"), (list, "a list"), (dict, "an object"))
    return next((words for kind, words in kinds if isinstance(value, cast(Any, kind))), "null")


# Parquet


def _parquet_rows(path: Path, required: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    with _parquet(path) as file:
        found = list(file.schema_arrow.names)
        places = _places(path, found, required, optional)
        present = [name for name, place in zip((*required, *optional), places, strict=True) if place is not None]
        number = 0
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(dict.fromkeys(present))):
                columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                nothing = [None] * batch.num_rows
                for cells in zip(*(columns.get(name, nothing) for name in (*required, *optional)), strict=True):
                    number += 1
                    yield Row(number, cells)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is damaged after row {number} ({first_line(error)}); write the file again.") from error


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable Parquet file ({first_line(error)}); write the file again.") from error


# All of them


def _places(path: Path, found: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> list[int | None]:
    """Where the wanted columns stand; DataError for a required one that is missing, or a wanted one that occurs twice."""
    for name in required:
        if name not in found:
            raise DataError(f"{missing_column(path, name, found)}; set the column's name in [ingest].")
    for name in (*required, *optional):
        if list(found).count(name) > 1:
            raise DataError(f'{path} has {list(found).count(name)} columns called "{name}"; rename all but one.')
    return [list(found).index(name) if name in found else None for name in (*required, *optional)]


def read_lines(path: Path) -> Iterator[tuple[int, bytes | Reject]]:
    """Numbered lines with their ends, without a byte order mark; a line too long to hold is a Reject."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(CELL_BYTES):
                number += 1
                if number == 1:
                    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                        raise DataError(f"{path} is UTF-16; save it as UTF-8.")
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if len(line) == CELL_BYTES and not line.endswith(b"\n"):
                    while (rest := file.readline(CELL_BYTES)) and not rest.endswith(b"\n"):
                        pass
                    reason = f"it is longer than {CELL_BYTES >> 20} MiB"
                    yield number, Reject(str(path), number, reason, "shorten its texts, or split it into several rows")
                else:
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:  # gzip reports damage by any of these
        raise DataError(
            f"{path} cannot be read after line {number} ({first_line(error)}); write or fetch the file again."
        ) from error


def _opened(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8; bytes that could not be read are lone surrogates in it."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
