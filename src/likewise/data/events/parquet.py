"""Events as Parquet files: one row per hit, the columns of an Event, and its cell features as columns that begin with cell_."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from likewise.artifacts.files import replacing
from likewise.data.events.event import CELL_PREFIX, HIT_COLUMNS, Event, make_event
from likewise.errors import DataError, first_line

_NAME = b"event"  # the key of the schema's metadata that holds the event's name
_REQUIRED = ("hit_id", "x", "y", "z")


def write_event(event: Event, path: Path) -> None:
    """Write an event to a Parquet file, atomically; the same event gives the same bytes."""
    columns = {name: getattr(event, name) for name in HIT_COLUMNS}
    columns |= dict(zip(event.cell_names, event.cells.T, strict=True))
    table = pa.table({name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()})
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_NAME: event.name}), temporary, write_page_checksum=True)


def read_event(path: Path, weight: str = "weight") -> Event:
    """An event from a Parquet file, ours or another with columns hit_id, x, y and z; the others of an Event as they are there.

    The name is the one that was written, or the file's. `weight` names the column of weights, which must be there if it is not
    the usual one. Raises DataError, naming file and reason.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        reason = first_line(error)
        raise DataError(f"{path} cannot be read ({reason}); write it again, or leave this event out.") from error
    required = _REQUIRED if weight == "weight" else (*_REQUIRED, weight)
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(table.column_names)}.")
    cell_names = [name for name in table.column_names if name.startswith(CELL_PREFIX)]
    stored = {name: weight if name == "weight" else name for name in HIT_COLUMNS}
    names = [*(name for name in stored.values() if name in table.column_names), *cell_names]
    empty = next((name for name in names if table[name].null_count), None)
    if empty is not None:
        raise DataError(f"{path} has rows without {empty}; fill them in, or leave this event out.")
    values = {name: table[name].to_numpy() for name in names}
    cells = np.stack([values[name] for name in cell_names], axis=1) if cell_names else None
    columns = {name: values[column] for name, column in stored.items() if column in values}
    name = (table.schema.metadata or {}).get(_NAME, path.stem.encode()).decode()
    return make_event(name, columns, file=path, cells=cells, cell_names=cell_names)
