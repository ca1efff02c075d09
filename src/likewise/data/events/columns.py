"""Columns of CSV files, plain or .gz, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from likewise.data.events.lookup import find_rows
from likewise.errors import DataError, first_line
from likewise.types import Int64

IDENTIFIER = pa.uint64()  # particle and geometry ids use all 64 bits
INTEGER = pa.int64()
NUMBER = pa.float64()

Columns = dict[str, NDArray[Any]]


def read_columns(path: Path, required: Mapping[str, pa.DataType], optional: Mapping[str, pa.DataType] | None = None) -> Columns:
    """The wanted columns of a CSV file with a header; optional ones only where the file has them.

    Identifiers come out as int64 with the same 64 bits. Raises DataError, naming the file and the reason.
    """
    wanted = {**required, **(optional or {})}
    try:
        table = pa_csv.read_csv(
            path, pa_csv.ReadOptions(use_threads=False), convert_options=pa_csv.ConvertOptions(column_types=wanted)
        )
    except (OSError, EOFError, pa.ArrowException) as error:
        reason = first_line(error)
        raise DataError(f"{path} cannot be read ({reason}); write it again, or leave this event out.") from error
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(table.column_names)}.")
    return {name: _array(path, name, table[name]) for name in wanted if name in table.column_names}


def weights_of(name: str, paths: Sequence[Path], key: str, wanted: Int64) -> NDArray[Any]:
    """The column `name` of the first of these files that has it, for the rows whose `key` is wanted; DataError if none has."""
    for path in paths:
        table = read_columns(path, {key: INTEGER}, {name: NUMBER})
        if name not in table:
            continue
        rows = find_rows(table[key], wanted)
        if (rows < 0).any():
            raise DataError(f"{path} has no {name} of {key} {wanted[np.argmin(rows)]}; complete it, or leave this event out.")
        return table[name][rows]
    files = " and ".join(str(path) for path in paths)
    raise DataError(f"{files} have no column {name}; write it, or leave out [ingest] weight_column.")


def _array(path: Path, name: str, column: Any) -> NDArray[Any]:
    if column.null_count:
        row = column.is_null().to_numpy().argmax() + 2  # the header is row 1
        raise DataError(f"{path}, row {row}: the cell of {name} is empty or not a number; fill it in, or leave this event out.")
    values: NDArray[Any] = column.to_numpy()
    return values.view("int64") if column.type == IDENTIFIER else values
