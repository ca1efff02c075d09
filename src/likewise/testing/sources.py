"""What every source of items must hold. For people who write their own, and for ours."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from likewise.types import ROLES, SPLITS, Int64, Items, Links, Pairs, ParallelSource, Reject, Remark, Source, Tally, Withdrawn

SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")

Piece = Items | Links | Pairs[Int64] | Reject | Remark | Tally | Withdrawn


def check_source(make_source: Callable[[], Source]) -> None:
    """Read a source whole, several times, and raise AssertionError with a sentence where it breaks the contract.

    `make_source` must build it anew each time. The data should be small and sound: links to unknown items are refused
    here, though ingest would turn them into rejects. What is checked:

    - shards: some, different, fit for file names, the same each time;
    - reading again, in another order or interleaved, gives the same; and by threads at the same time, if it has `readers`;
    - items: ids are texts and different within a slice, all columns have its length, an id always means the same payload;
    - links name items of the source, pairs positions within their shard, with labels 1 or 0, weights from 0 up and known splits;
    - rejects say where, why and what to do, once for each row; tallies count at least them; remarks are sentences.
    """
    source = make_source()
    shards = _check_shards(source, make_source())
    pieces = {shard: list(source.read(shard)) for shard in shards}
    payloads: dict[str, Any] = {}
    for shard in shards:
        for piece in pieces[shard]:
            if isinstance(piece, Items):
                _check_items(piece, shard, payloads)
    for shard in shards:
        for piece in pieces[shard]:
            if isinstance(piece, Links):
                _check_links(piece, payloads)
        _check_positions(shard, pieces[shard])
        _check_rows(shard, pieces[shard])
    _check_rereading(source, make_source(), pieces)


def _check_shards(source: Source, other: Source) -> list[str]:
    shards = list(source.shards())
    assert shards, "a source has at least one shard"
    for shard in shards:
        assert isinstance(shard, str), f"the shard name {shard!r} is not a text"
        assert SAFE_NAME.fullmatch(shard), (
            f"the shard name {shard!r} is not fit for a file: letters, digits, '.', '_' and '-' only"
        )
    lowered = [shard.lower() for shard in shards]
    assert len(set(lowered)) == len(lowered), "two shards have one name (some file systems do not tell case)"
    assert list(source.shards()) == shards, "shards() gives other names when asked again"
    assert list(other.shards()) == shards, "a second source of the same data has other shards"
    return shards


def _check_rereading(source: Source, other: Source, pieces: dict[str, list[Piece]]) -> None:
    for shard in reversed(pieces):
        assert _same(list(source.read(shard)), pieces[shard]), f"reading {shard!r} again gives something else"
    interleaved: dict[str, Iterator[Piece]] = {shard: iter(other.read(shard)) for shard in pieces}
    read: dict[str, list[Piece]] = {shard: [] for shard in pieces}
    waiting = list(pieces)
    while waiting:
        for shard in list(waiting):
            piece = next(interleaved[shard], None)
            if piece is None:
                waiting.remove(shard)
            else:
                read[shard].append(piece)
    for shard in pieces:
        assert _same(read[shard], pieces[shard]), f"reading {shard!r} while other shards are read gives something else"
    if isinstance(source, ParallelSource):
        assert 1 <= source.readers <= len(pieces), f"{source.readers} shards cannot be read at a time, of {len(pieces)}"
        with ThreadPoolExecutor(len(pieces)) as threads:
            for shard, found in zip(pieces, threads.map(lambda shard: list(source.read(shard)), pieces), strict=True):
                assert _same(found, pieces[shard]), f"reading {shard!r} while threads read other shards gives something else"


def _check_items(items: Items, shard: str, payloads: dict[str, Any]) -> None:
    count = len(items.ids)
    assert items.shard == shard, f"items of {shard!r} say that they are of {items.shard!r}"
    assert len(items.payload) == count, f"{count} items have {len(items.payload)} payloads"
    for name, column in items.columns.items():
        assert len(column) == count, f"{count} items have {len(column)} values in the column {name!r}"
    for name in items.ids:
        assert isinstance(name, str), f"the id {name!r} is not a text"
        assert name, "an id is empty"
    assert len(set(items.ids)) == count, f"an id occurs twice in one slice of {shard!r}"
    for role in items.columns.get("role", ()):
        assert role in ROLES, f"the role {role!r} is not one of {ROLES}"
    for name, payload in zip(items.ids, items.payload, strict=True):
        assert _equal(payloads.setdefault(name, payload), payload), f"the id {name!r} stands for two different items"


def _check_links(links: Links, payloads: dict[str, Any]) -> None:
    columns: dict[str, Sequence[Any]] = {
        "b": links.b,
        "label": links.label,
        "weight": links.weight,
        "split": links.split,
        "row": links.row,
    }
    for column, values in columns.items():
        assert len(values) == len(links), f"{len(links)} links have {len(values)} values of {column!r}"
    for name in (*links.a, *links.b):
        assert name in payloads, f"a link names {name!r}, which is no item of the source"
    assert set(links.label) <= {0, 1}, f"labels are {sorted(set(links.label))}, not 1 and 0"
    assert all(math.isfinite(weight) and weight >= 0 for weight in links.weight), "a weight is negative or not finite"
    assert set(links.split) <= {None, *SPLITS}, f"a split is not one of {SPLITS}, nor None"
    assert links.file, "links do not say which file they come from"


def _check_positions(shard: str, pieces: Sequence[Piece]) -> None:
    count = sum(len(piece) for piece in pieces if isinstance(piece, Items))
    for piece in pieces:
        if isinstance(piece, Pairs):
            inside = (np.minimum(piece.a, piece.b) >= 0) & (np.maximum(piece.a, piece.b) < count)
            assert inside.all(), f"a pair of {shard!r} names a position outside its {count} items"
            assert set(piece.label.tolist()) <= {0, 1}, f"labels are {sorted(set(piece.label.tolist()))}, not 1 and 0"
            assert (piece.weight >= 0).all(), "a weight is negative or not a number"


def _check_rows(shard: str, pieces: Sequence[Piece]) -> None:
    rejects = [
        piece.reject if isinstance(piece, Withdrawn) else piece for piece in pieces if isinstance(piece, Reject | Withdrawn)
    ]
    for reject in rejects:
        assert reject.file, f"a reject of {shard!r} does not name its file"
        assert reject.reason, f"a reject of {reject.file} gives no reason"
        assert reject.remedy, f"a reject of {reject.file} gives no remedy"
        assert not reject.remedy.endswith("."), f"the remedy {reject.remedy!r} ends with a full stop, which the message adds"
    places = [(reject.file, reject.row) for reject in rejects if reject.row is not None]
    assert len(set(places)) == len(places), f"a row of {shard!r} is rejected twice"
    for remark in pieces:
        if isinstance(remark, Remark):
            assert remark.sentence.endswith("."), f"the remark {remark.sentence!r} of {shard!r} is not a sentence"
    tallies = [piece.rows for piece in pieces if isinstance(piece, Tally)]
    assert all(rows >= 0 for rows in tallies), "a tally is negative"
    assert not tallies or sum(tallies) >= len(rejects), f"{shard!r} rejects {len(rejects)} rows but counts {sum(tallies)}"


def _same(found: Sequence[Piece], expected: Sequence[Piece]) -> bool:
    return len(found) == len(expected) and all(_same_piece(one, other) for one, other in zip(found, expected, strict=True))


def _same_piece(one: Piece, other: Piece) -> bool:
    return type(one) is type(other) and all(
        _equal(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
    )


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal, be they arrays, sequences of anything, or mappings of such."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f"))
    if isinstance(one, Mapping):
        return set(one) == set(other) and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, str) or not isinstance(one, Sequence):
        return bool(one == other or (one != one and other != other))  # a number unequal to itself is NaN
    return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
