"""The table beside the vectors: ids, metadata columns and payloads by row, and which rows a filter allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from likewise.errors import DataError

Where = Mapping[str, Any]  # column → a value, or a set, list or tuple of values


def allowed_rows(table: pa.Table, where: Where) -> NDArray[np.bool_]:
    """[N]: whether each row holds, in every column named, one of the values given; None asks for missing values.

    Values are converted to the column's type ("2020" matches 2020); DataError where that cannot be, or for an unknown column.
    """
    allowed = np.ones(table.num_rows, dtype=bool)
    for name, wanted in where.items():
        if name not in table.column_names:
            raise DataError(f'where names the column "{name}", which the index does not have; it has {_names(table)}.')
        values = sorted(wanted, key=repr) if isinstance(wanted, set | frozenset) else wanted
        values = list(values) if isinstance(values, list | tuple) else [values]
        try:
            accepted = pa.array(values).cast(table[name].type)
        except (pa.ArrowException, NotImplementedError) as error:
            kind = table[name].type
            raise DataError(
                f'where asks the column "{name}" ({kind}) for {wanted!r}, which is not of that type ({error}).'
            ) from None
        allowed &= pc.is_in(table[name], accepted).to_numpy()
    return allowed


def appended(table: pa.Table, ids: Sequence[str], metadata: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """The table with rows for new ids; columns that an id does not give are null. DataError for an unknown id or column."""
    known, added = set(table.column_names) - {"id"}, set(ids)
    for name, values in metadata.items():
        if name not in added:
            raise DataError(f'metadata is given for "{name}", which is not added; add its vector, too, or leave it out.')
        if unknown := sorted(set(values) - known):
            raise DataError(
                f'metadata of "{name}" has the column "{unknown[0]}", which the index does not have; it has {_names(table)}.'
            )
    columns = {
        field.name: list(ids) if field.name == "id" else [metadata.get(name, {}).get(field.name) for name in ids]
        for field in table.schema
    }
    try:
        rows = pa.table(columns, schema=table.schema)
    except pa.ArrowException as error:
        raise DataError(f"metadata does not fit the columns of the index ({error}); give values of their types.") from None
    return pa.concat_tables([table, rows]).combine_chunks()


def _names(table: pa.Table) -> str:
    return ", ".join(table.column_names)
