from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from likewise.data.links import LINKS, RowLinks, as_table, contradictions, locate, mark, merge, without_rows_of

LINK = st.tuples(st.integers(0, 4), st.integers(5, 9), st.integers(0, 1), st.sampled_from([0.5, 1.0]), st.integers(-1, 2))


def links_of(rows: Sequence[tuple[int, int, int, float, int]], places: Sequence[int] | None = None) -> RowLinks:
    a, b, label, weight, split = zip(*rows, strict=True) if rows else ((),) * 5
    return RowLinks(
        np.array(a, np.int64),
        np.array(b, np.int64),
        np.array(label, np.int8),
        np.array(weight, np.float32),
        np.array(split, np.int8),
        np.zeros(len(rows), np.int64),
        np.array(range(len(rows)) if places is None else places, np.int64),
        ("a.csv",),
    )


def tuples(links: RowLinks) -> list[tuple[Any, ...]]:
    columns = (links.a, links.b, links.label, links.weight, links.split)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(st.lists(LINK, max_size=40))
def test_merging_keeps_each_pair_once(rows: list[tuple[int, int, int, float, int]]) -> None:
    expected: dict[tuple[int, int], tuple[int, float, int]] = {}
    for a, b, label, weight, split in rows:
        first = expected.get((a, b), (label, weight, split))
        expected[a, b] = (first[0], first[1], max(first[2], split))
    assert tuples(merge(links_of(rows))) == [(*pair, *expected[pair]) for pair in sorted(expected)]


@given(st.lists(LINK, max_size=40))
def test_contradictions_are_later_links_with_the_other_label(rows: list[tuple[int, int, int, float, int]]) -> None:
    first: dict[tuple[int, int], int] = {}
    expected = []
    for place, (a, b, label, *_) in enumerate(rows):
        if first.setdefault((a, b), label) != label:
            expected.append(place)
    found = contradictions(links_of(rows), [str(row) for row in range(10)])
    assert [link for link, _ in found] == expected
    assert [reject.row for _, reject in found] == expected


@given(st.lists(st.tuples(LINK, st.integers(-1, 6)), max_size=30), st.data())
def test_a_bad_link_takes_its_row_with_it(rows: list[tuple[tuple[int, int, int, float, int], int]], data: st.DataObject) -> None:
    links = links_of([link for link, _ in rows], [place for _, place in rows])
    bad = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True)) if rows else []
    places = {rows[link][1] for link in bad} - {-1}  # a link without a row stands alone
    expected = [link for number, (link, place) in enumerate(rows) if number not in bad and place not in places]
    assert tuples(without_rows_of(links, np.array(bad, np.int64))) == tuples(links_of(expected))


def test_the_message_names_both_rows() -> None:
    [(link, reject)] = contradictions(links_of([(0, 5, 1, 1.0, -1), (0, 5, 0, 1.0, -1)], [2, 7]), [str(row) for row in range(10)])
    assert link == 1
    assert (
        str(reject) == 'a.csv, row 7: it says that "0" and "5" are not alike, but a.csv, row 2 says alike; remove one of the two.'
    )


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(LINKS.names, row, strict=True)) for row in rows], schema=LINKS)


def test_links_are_found_by_row() -> None:
    rows = {"q": 0, "d": 1, "e": 2}
    first = table(
        [("q", "d", 1, 1.0, "test", "one", 4), ("q", "x", 1, 1.0, None, "one", 5), ("y", "d", 1, 1.0, None, "one", None)]
    )
    second = table([("d", "d", 1, 1.0, None, "two", 1), ("q", "e", 0, 0.5, None, "two", 2)])
    links, rejects = locate([first, second, table([])], rows)
    assert tuples(links) == [(0, 1, 1, 1.0, 2), (0, 2, 0, 0.5, -1)]
    assert [links.place(0), links.place(1)] == ["one, row 4", "two, row 2"]
    assert [(reject.file, reject.row) for reject in rejects] == [("one", 5), ("one", None), ("two", 1)]
    assert [reject.reason for reject in rejects] == [
        'it names "x", which is not among the items',
        'it names "y", which is not among the items',
        'it pairs "d" with itself',
    ]


def test_no_links_are_no_pairs() -> None:
    links, rejects = locate([], {})
    assert (len(merge(links)), rejects, contradictions(links, [])) == (0, [], [])
    assert as_table(merge(links)).schema == as_table(links_of([(0, 5, 1, 1.0, 0)])).schema


def test_a_mark_overrules_a_label_and_follows_its_query() -> None:
    pairs = links_of([(0, 5, 1, 1.0, 2), (0, 6, 0, 0.5, 0), (1, 5, 1, 1.0, -1)])
    marks = links_of([(0, 6, 1, 1.0, -1), (1, 7, 0, 1.0, -1), (2, 5, 1, 1.0, -1)])
    assert tuples(mark(pairs, marks)) == [
        (0, 5, 1, 1.0, 2),
        (0, 6, 1, 1.0, 2),
        (1, 5, 1, 1.0, -1),
        (1, 7, 0, 1.0, -1),
        (2, 5, 1, 1.0, -1),
    ]
