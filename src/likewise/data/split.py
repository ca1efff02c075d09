"""Train, validation and test: decided for whole units of queries, never for single rows.

A unit is a connected component: queries hang together by a positive document that they share, by near-duplicates of either, by
the items' column `unit` where there is one (a module, a product, a customer), and by their group where groups say what is alike.
Documents are one corpus for all splits; items of groups both ask and answer, and train only in their own split. Splits that come
with the data are kept, and only what they lack is taken, from what they leave for training.

Shapes: N items, P pairs, Q queries, U units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.artifacts.artifact import Folder
from likewise.artifacts.draft import Draft
from likewise.data.components import components
from likewise.data.corpus import Corpus
from likewise.data.groups import GroupPairs, Groups, listed, partners
from likewise.data.options import SplitOptions
from likewise.errors import DataError
from likewise.types import SPLITS, Float64, Int64, Pairs, SplitName

Int8 = NDArray[np.int8]

TRAIN, VALIDATION, TEST = range(3)
NONE = -1
UNIT = "unit"  # the column of items that are to stay together
EXAMPLES = 20  # leaks that are shown


class Division:
    """What the stage decided: `items` [N] int8, the split of each query (-1 for documents); `pairs` [P] int8 (-1: dropped).

    Of groups also the near-duplicate `classes` [N] and the `units` [N] that were kept together, None of everything else.
    Where evidence stays within shards, items have the split of their shard, and pairs are not counted.
    """

    def __init__(self, artifact: Folder) -> None:
        self._artifact = artifact
        self.classes: Int64 | None = self._of_groups("classes.npy")
        self.units: Int64 | None = self._of_groups("units.npy")
        self.items: Int8 = self._codes("items.npy")

    @cached_property
    def pairs(self) -> Int8:
        """[P] int8: the split of each pair, -1 for those dropped."""
        return self._codes("pairs.npy")

    @cached_property
    def _asked(self) -> Int8:
        return self._codes("queries.npy")

    def _of_groups(self, name: str) -> Int64 | None:
        return np.array(self._artifact.array(name), dtype=np.int64) if self._artifact.has(name) else None

    def _codes(self, name: str) -> Int8:
        return np.array(self._artifact.array(name), dtype=np.int8)

    def shards(self, split: SplitName) -> Int64:
        """The numbers of a split's shards, ascending, where whole shards are divided."""
        return np.flatnonzero(self._codes("shards.npy") == SPLITS.index(split)).astype(np.int64)

    def queries(self, split: SplitName) -> Int64:
        """The query rows of a split that have a positive there, ascending."""
        return np.flatnonzero(self._asked == SPLITS.index(split)).astype(np.int64)

    def positives(self, corpus: Corpus, split: SplitName) -> Pairs[Int64]:
        """The positive pairs of a split, by item rows, without masked ones; of groups all that the split's documents give."""
        pairs = corpus.pairs
        kept = (self.pairs == SPLITS.index(split)) & _alike(pairs)
        found: Pairs[Int64] = Pairs(pairs.a[kept], pairs.b[kept], pairs.label[kept], pairs.weight[kept])
        if corpus.groups is None:
            return found
        assert self.classes is not None, "a division of groups has their near-duplicates"
        among = np.zeros(len(corpus), dtype=np.bool_)
        among[self.documents(corpus, split)] = True
        mates = listed(corpus.groups.codes, self.classes, self.queries(split), among)
        parts = ((getattr(found, name), getattr(mates, name)) for name in ("a", "b", "label", "weight"))
        return Pairs(*(np.concatenate(part) for part in parts))

    def documents(self, corpus: Corpus, split: SplitName) -> Int64:
        """What the queries of a split look among, ascending: all documents, but of groups none that is held out more strictly.

        A picture that is kept for the test must not help to choose a checkpoint, not even as a wrong answer.
        """
        rows = corpus.rows("document")
        return rows if corpus.groups is None else rows[self.items[rows] <= SPLITS.index(split)]

    def training_pairs(self, corpus: Corpus, seed: int) -> Pairs[Int64] | GroupPairs:
        """What the train split is trained on: its pairs, of both labels, or, of groups, pairs drawn anew for each epoch."""
        pairs = corpus.pairs
        if corpus.groups is not None:
            assert self.classes is not None, "a division of groups has their near-duplicates"
            return GroupPairs(corpus.groups.codes, self.classes, self.queries("train"), seed)
        train = self.pairs == TRAIN
        return Pairs(pairs.a[train], pairs.b[train], pairs.label[train], pairs.weight[train])


@dataclass(frozen=True, slots=True)
class Units:
    """The units of the queries `rows` [Q]: `unit` [Q] numbers each query's, `keys` [U] name them, `place` [U] is in [0, 1)."""

    rows: Int64
    unit: Int64
    keys: tuple[str, ...]
    place: Float64

    def only(self, chosen: NDArray[np.bool_]) -> Units:
        """The units of some of the queries [Q]; what was one unit stays one, with its key."""
        found, unit = np.unique(self.unit[chosen], return_inverse=True)
        return Units(self.rows[chosen], unit.astype(np.int64), tuple(self.keys[n] for n in found), self.place[found])

    @property
    def sizes(self) -> Int64:
        """The number of queries in each unit [U]."""
        return np.bincount(self.unit, minlength=len(self.keys))


def divide(draft: Draft, options: SplitOptions, corpus: Corpus, classes: Int64) -> None:
    """The stage: items.npy, pairs.npy, queries.npy (the split of queries with a positive, else -1) and leakage.json.

    DataError where a unit is too large a share, where a split that was asked for stays empty, and where none is left to train on.
    """
    if draft.has("leakage.json"):
        return
    classes = np.asarray(classes, dtype=np.int64)
    if options.unit == "item" and corpus.groups is None:
        raise DataError('[split] unit = "item" has no effect where no groups say what is alike; remove it.')
    whole = options.unit == "group"
    units = units_of(corpus, classes, whole_groups=whole)
    given = _given(corpus)
    items = np.full(len(corpus), NONE, dtype=np.int8)
    items[units.rows] = np.maximum(given[units.rows], TRAIN)
    shares = _missing(options, given)
    if shares:
        candidates = units.only(items[units.rows] == TRAIN)
        _check_largest(options, corpus, candidates)
        items[candidates.rows] = assign(candidates, shares, exact=options.exact)[candidates.unit]
        check_filled(options, items, shares, len(candidates.keys), "query")
    pairs, leaks = _without_leaks(corpus, classes, items, given)
    draft.write_array("items.npy", items)
    draft.write_array("pairs.npy", pairs)
    asked = np.full(len(corpus), NONE, dtype=np.int8)
    asked[corpus.pairs.a[_alike(corpus.pairs) & (pairs >= 0)]] = pairs[_alike(corpus.pairs) & (pairs >= 0)]
    mates = np.zeros(len(corpus), dtype=np.int64)
    if corpus.groups is not None:
        mates = _partners(corpus.groups.codes, classes, items)
        asked = np.where(mates > 0, items, asked).astype(np.int8)
        unit = np.full(len(corpus), NONE, dtype=np.int64)
        unit[units.rows] = units.unit
        draft.write_array("classes.npy", classes)
        draft.write_array("units.npy", unit)
    draft.write_array("queries.npy", asked)
    unassigned = int((given[units.rows] == NONE).sum()) if (given >= 0).any() else 0
    report = _report(corpus, classes, units, items, pairs, asked, mates, leaks)
    without = len(units_of(corpus, np.arange(len(corpus)), whole_groups=whole).keys)
    report |= {
        "kept_splits": [name for number, name in enumerate(SPLITS) if (given == number).any()],
        "queries_without_a_split": unassigned,
        "units_joined_by_near_duplicates": without - len(units.keys),
    }
    draft.write_json("leakage.json", report)
    _tell(draft, report)


def units_of(corpus: Corpus, classes: Int64, *, whole_groups: bool = True) -> Units:
    """The units of all that ask, given near-duplicate classes [N] (the smallest row of each)."""
    rows = corpus.asking
    pairs, count = corpus.pairs, len(corpus)
    alike = _alike(pairs)
    ties = [Groups.of(_unit_names(corpus, rows))]
    if whole_groups and corpus.groups is not None:
        ties.append(Groups(corpus.groups.codes[rows], corpus.groups.names))
    a, b, nodes = [classes[pairs.a[alike]]], [classes[pairs.b[alike]]], count
    names: list[str | None] = [None] * len(rows)
    for tie in filter(None, ties):  # a node for each name, after those of the items
        named = tie.rows
        a.append(classes[rows[named]])
        b.append(nodes + tie.codes[named])
        nodes += len(tie.names)
        names = [name or (tie.names[code] if code >= 0 else None) for name, code in zip(names, tie.codes.tolist(), strict=True)]
    root = components(nodes, np.concatenate(a), np.concatenate(b))[classes[rows]]
    # A unit is called by its first query, in the order of ingest: data that is added later does not change that.
    _, first, unit = np.unique(root, return_index=True, return_inverse=True)
    keys = tuple(names[place] or corpus.ids[rows[place]] for place in first.tolist())
    return Units(rows, unit.astype(np.int64), keys, unit_places(keys))


def assign(units: Units, shares: Mapping[int, float], *, exact: bool) -> Int8:
    """The split of each unit [U], given the shares of the splits that are to be taken; the rest trains.

    By default where the hash of its key falls, so that no other unit matters. With `exact` units are taken in the order of
    their hashes until the queries come as near to the share as they can, at least one unit of each.
    """
    split = np.full(len(units.keys), TRAIN, dtype=np.int8)
    if not exact:
        start = 0.0
        for number, share in shares.items():
            split[(units.place >= start) & (units.place < start + share)] = number
            start += share
        return split
    order = np.argsort(units.place, kind="stable")
    sizes = units.sizes
    for number, share in shares.items():
        if not len(order):
            break
        distance = np.abs(np.cumsum(sizes[order]) - share * len(units.rows))
        taken = int(np.argmin(distance)) + 1
        split[order[:taken]] = number
        order = order[taken:]
    return split


def _alike(pairs: Pairs[Int64]) -> NDArray[np.bool_]:
    alike: NDArray[np.bool_] = (pairs.label == 1) & (pairs.weight > 0)
    return alike


def _unit_names(corpus: Corpus, rows: Int64) -> list[Any]:
    """The column `unit` of the given rows; None where there is none."""
    metadata = corpus.metadata(rows)
    return metadata[UNIT].to_pylist() if UNIT in metadata.column_names else [None] * len(rows)


def _partners(groups: Int64, classes: Int64, items: Int8) -> Int64:
    """[N] how many of its group, no near-duplicates, an item finds among what is not held out more strictly than itself."""
    found = np.zeros(len(items), dtype=np.int64)
    for number in range(len(SPLITS)):
        asking = np.flatnonzero((groups >= 0) & (items == number))
        found[asking] = partners(groups, classes, asking, (items >= TRAIN) & (items <= number))
    return found


def unit_places(keys: Sequence[str]) -> Float64:
    """Where in [0, 1) each key falls [U]: the same on every machine, for every seed."""
    digests = [blake2b(key.encode("utf-8", "surrogatepass"), digest_size=7).digest() for key in keys]
    return np.array([int.from_bytes(digest, "big") / 2**56 for digest in digests], dtype=np.float64)


def _given(corpus: Corpus) -> Int8:
    """The split that comes with each query [N], -1 for none: the one held out most strictly, where its pairs name several."""
    given = np.full(len(corpus), NONE, dtype=np.int8)
    np.maximum.at(given, corpus.pairs.a, corpus.pair_splits)
    return given


def _missing(options: SplitOptions, given: Int8) -> dict[int, float]:
    """The shares of the splits that the data does not bring and the recipe asks for, test first."""
    asked = {TEST: options.test, VALIDATION: options.validation}
    return {number: share for number, share in asked.items() if share > 0 and not (given == number).any()}


def _without_leaks(corpus: Corpus, classes: Int64, items: Int8, given: Int8) -> tuple[Int8, Int64]:
    """The split of each pair [P], and the pairs dropped: their query, or a near-duplicate of it, is held out more strictly."""
    a, its_own = corpus.pairs.a, corpus.pair_splits
    strictest = np.full(len(corpus), NONE, dtype=np.int8)
    np.maximum.at(strictest, classes, items)
    leaks = (items[a] != strictest[classes[a]]) | ((its_own != NONE) & (its_own != given[a]))
    return np.where(leaks, NONE, items[a]).astype(np.int8), np.flatnonzero(leaks)


def _check_largest(options: SplitOptions, corpus: Corpus, units: Units) -> None:
    """DataError if one unit holds too many of the queries that are to be divided."""
    if not len(units.rows):
        return
    sizes = units.sizes
    largest = int(np.argmax(sizes))
    if sizes[largest] <= options.largest_unit * len(units.rows):
        return
    if sizes[largest] == 1:
        raise DataError(
            f"There are only {len(units.rows)} queries to divide into train, validation and test: bring more pairs (a hundred are"
            " enough to measure something, a thousand to learn something)."
        )
    members = units.rows[units.unit == largest]
    share = sizes[largest] / len(units.rows)
    raise DataError(
        f"{sizes[largest]:,} of {len(units.rows):,} queries ({share:.0%}) hang together in one unit, more than"
        f" [split] largest_unit = {options.largest_unit:g} allows, so no split can separate them"
        f" ({_shown(corpus, members)}{_tie(corpus, members)}): {_instead(options, corpus)}remove what ties them, bring splits"
        " with the data, or raise largest_unit."
    )


def _instead(options: SplitOptions, corpus: Corpus) -> str:
    """What helps where groups are few and large."""
    return 'set unit = "item" where groups are classes, ' if corpus.groups is not None and options.unit == "group" else ""


def _tie(corpus: Corpus, members: Int64) -> str:
    """The document that most of a unit's queries share, in words."""
    pairs = corpus.pairs
    documents, counts = np.unique(pairs.b[_alike(pairs) & np.isin(pairs.a, members)], return_counts=True)
    if not len(counts) or counts.max() < 2:
        return ""
    return f"; document {corpus.ids[documents[np.argmax(counts)]]!r} alone belongs to {counts.max():,} of them"


def _shown(corpus: Corpus, rows: Int64) -> str:
    more = ", …" if len(rows) > 3 else ""
    return ", ".join(repr(corpus.ids[row]) for row in rows[:3].tolist()) + more


def check_filled(options: SplitOptions, splits: Int8, shares: Mapping[int, float], units: int, noun: str) -> None:
    """DataError if a split that is taken, or what it is taken from, has no query or shard (`noun`)."""
    hint = " (queries that share a positive or a near-duplicate are one unit)" if noun == "query" else ""
    for number in (*shares, TRAIN):
        if not (splits == number).any():
            wanted = ", ".join(f"{SPLITS[taken]} = {share:g}" for taken, share in shares.items()) or "no share"
            remedy = "lower the shares" if number == TRAIN else f"raise {SPLITS[number]}"
            exact = "" if options.exact else ", set exact = true"
            raise DataError(
                f"[split] {wanted} leaves no {noun} for {SPLITS[number]}: there are {units:,} units to divide{hint}; "
                f"{remedy}{exact}, or bring more data."
            )


def _report(
    corpus: Corpus, classes: Int64, units: Units, items: Int8, pairs: Int8, asked: Int8, mates: Int64, leaks: Int64
) -> dict[str, Any]:
    alike, a, b = _alike(corpus.pairs), corpus.pairs.a, corpus.pairs.b
    tested = np.zeros(len(corpus), dtype=np.bool_)
    tested[classes[b[alike & (pairs == TEST)]]] = True
    sizes = units.sizes
    counts = {
        name: {
            "queries": int((asked == number).sum()),
            "positives": int((alike & (pairs == number)).sum() + mates[items == number].sum()),
            "units": len(np.unique(units.unit[asked[units.rows] == number])),
        }
        for number, name in enumerate(SPLITS)
    }
    return counts | {
        "units": len(units.keys),
        "largest_unit": {"queries": int(sizes.max(initial=0)), "name": units.keys[int(np.argmax(sizes))] if len(sizes) else None},
        "dropped_pairs": len(leaks),
        "training_pairs_whose_document_is_also_a_test_positive": int((tested[classes[b]] & alike & (pairs == TRAIN)).sum()),
        "dropped": _examples(corpus, classes, items, a[leaks[:EXAMPLES]], b[leaks[:EXAMPLES]]),
    }


def _examples(corpus: Corpus, classes: Int64, items: Int8, a: Int64, b: Int64) -> list[dict[str, str]]:
    """Dropped pairs, each with the held-out query that its own query repeats."""
    found = []
    for query, document in zip(a.tolist(), b.tolist(), strict=True):
        copies = np.flatnonzero((classes == classes[query]) & (items >= 0))
        strictest = copies[np.argmax(items[copies])]
        held_out = {"near_duplicate_of": corpus.ids[strictest], "held_out_for": SPLITS[items[strictest]]}
        found.append({"query": corpus.ids[query], "document": corpus.ids[document], **held_out})
    return found


def _tell(draft: Draft, report: Mapping[str, Any]) -> None:
    if report["dropped_pairs"]:
        draft.say(f"{report['dropped_pairs']:,} pairs are dropped: their query, or a near-duplicate of it, is held out.")
    if report["queries_without_a_split"]:
        draft.say(
            f"{report['queries_without_a_split']:,} queries come without a split, others with one; they are taken for training."
        )
    empty = [name for name in SPLITS if not report[name]["queries"]]
    if empty:
        draft.say(f"No query with a positive is in {' or '.join(empty)}.")
