"""Small tables of grouped items, written and read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.data.image_refs import image_digest
from likewise.data.payloads import IMAGES


def images(payloads: Iterable[bytes]) -> pa.Array[Any]:
    return pa.array([{"path": None, "bytes": data, "digest": image_digest(data), "look": b"l"} for data in payloads], IMAGES)


def items(ids: Sequence[str], groups: Sequence[str | None], **columns: Any) -> pa.Table:
    """Items whose image is their id, unless `image` says otherwise."""
    image = images(columns.pop("image", [name.encode() for name in ids]))
    texts = {"id": pa.array(ids, pa.string()), "group": pa.array(groups, pa.string())}
    return pa.table({**texts, "shard": pa.array(["s"] * len(ids), pa.string()), "image": image, **columns})


def write(path: Path, table: pa.Table, rows: int = 64) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)
    return path


def read(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.iterdir())], promote_options="default")


def two_tables(folder: Path) -> list[Path]:
    first = items(["a", "b", "c"], ["x", "x", "y"], width=[1, 2, 3])
    second = items(["d", "e"], [None, "y"], camera=["left", None])
    return [write(folder / "1.parquet", first), write(folder / "2.parquet", second)]
