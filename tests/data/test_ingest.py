from __future__ import annotations

import csv
import io
import json
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run, current
from likewise.data import pairs as pairs_module
from likewise.data.beir import BeirSource
from likewise.data.corpus import Corpus
from likewise.data.ingest import ingest
from likewise.data.options import BeirOptions, IngestOptions, PairsOptions, ReadingOptions
from likewise.data.pairs import PairsSource, text_id
from likewise.errors import DataError
from likewise.testing.artifacts import draft, publish
from likewise.types import SPLITS, FileSource, Items, Links, Reject, Tally


def jsonl(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def ingested(folder: Path, path: Path, **options: Any) -> tuple[Draft, Corpus]:
    unfinished = draft(folder, "ingest")
    ingest(unfinished, PairsOptions(path=str(path), **options))
    return unfinished, Corpus(publish(unfinished))


def pairs_of(corpus: Corpus) -> set[tuple[str, str, int, str | None]]:
    texts = corpus.payload(range(len(corpus)))
    splits = [None if code < 0 else SPLITS[code] for code in corpus.pair_splits]
    columns = (corpus.pairs.a.tolist(), corpus.pairs.b.tolist(), corpus.pairs.label.tolist(), splits)
    return {(texts[a], texts[b], label, split) for a, b, label, split in zip(*columns, strict=True)}


def test_items_and_pairs_over_several_shards(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "one.jsonl", [{"anchor": "a", "positive": ["x", "y"]}, {"anchor": "b", "positive": "x"}])
    jsonl(tmp_path / "in" / "two.jsonl", [{"anchor": "a", "positive": "x", "negative": "z"}, {"anchor": "x", "positive": "a"}])
    unfinished, corpus = ingested(tmp_path, tmp_path / "in")
    assert corpus.payload(range(len(corpus))) == ["a", "x", "y", "b", "z", "x", "a"]  # an item stands where it came first
    assert [(shard.name, shard.start, shard.stop) for shard in corpus.shards] == [("one.jsonl", 0, 4), ("two.jsonl", 4, 7)]
    assert pairs_of(corpus) == {
        ("a", "x", 1, None),
        ("a", "y", 1, None),
        ("b", "x", 1, None),
        ("a", "z", 0, None),
        ("x", "a", 1, None),
    }
    counts = unfinished.json("counts.json")
    assert {name: counts[name] for name in ("rows", "accepted", "rejected", "items", "queries", "documents")} == {
        "rows": 4,
        "accepted": 4,
        "rejected": 0,
        "items": 7,
        "queries": 3,
        "documents": 4,
    }
    assert {name: counts[name] for name in ("pairs", "positives", "negatives", "repeated_pairs")} == {
        "pairs": 5,
        "positives": 4,
        "negatives": 1,
        "repeated_pairs": 1,
    }
    assert list(zip(corpus.pairs.a.tolist(), corpus.pairs.b.tolist(), strict=True)) == sorted(
        zip(corpus.pairs.a.tolist(), corpus.pairs.b.tolist(), strict=True)
    )


GOOD = st.builds(lambda a, b: {"anchor": f"a{a}", "positive": f"b{b}"}, st.integers(0, 9), st.integers(0, 9))
BAD = st.sampled_from(["{", "[]", '{"anchor": ""}', '{"anchor": "a", "positive": 3}', '{"anchor": null, "positive": "x"}'])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.one_of(GOOD, BAD), max_size=12), min_size=1, max_size=3))
def test_every_row_is_counted_once(tmp_path_factory: pytest.TempPathFactory, files: list[list[Any]]) -> None:
    folder = tmp_path_factory.mktemp("ingest")
    for number, rows in enumerate(files):
        jsonl(folder / "in" / f"{number}.jsonl", [{"anchor": "always", "positive": "good"}, *rows])
    unfinished, _ = ingested(folder, folder / "in", on_bad="reject")
    counts = unfinished.json("counts.json")
    bad = {
        (f"{number}.jsonl", place + 2)
        for number, rows in enumerate(files)
        for place, row in enumerate(rows)
        if isinstance(row, str)
    }
    assert counts["rows"] == sum(1 + len(rows) for rows in files)
    assert counts["rejected"] == len(bad)
    assert counts["accepted"] + counts["rejected"] == counts["rows"]
    rejects = unfinished.table("rejects.parquet").to_pylist()
    assert {(Path(row["file"]).name, row["row"]) for row in rejects} == bad
    assert all(row["reason"] and row["remedy"] for row in rejects)


def test_a_bad_row_stops_the_run_by_default(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", [{"anchor": "a", "positive": "b"}, {"anchor": "a"}])
    with pytest.raises(DataError) as error:
        ingested(tmp_path, path)
    assert str(error.value) == (
        f'{path}, row 2: it has no "positive" (it has "anchor"); add it, or name another column in the recipe, '
        'or set on_bad = "reject" in [ingest] to go on without it.'
    )


def test_rows_that_contradict_each_other(tmp_path: Path) -> None:
    rows = [
        {"anchor": "a", "positive": "b", "negative": "c"},
        {"anchor": "a", "positive": ["c", "d"]},  # c again: the row is a bad one, and d goes with it
        {"anchor": "a", "positive": "c", "negative": "e"},
        {"anchor": "q", "positive": "b"},
    ]
    path = jsonl(tmp_path / "in.jsonl", rows)
    with pytest.raises(DataError, match=r"in\.jsonl, row 2: it says .* are alike, but .*in\.jsonl, row 1 says not alike"):
        ingested(tmp_path, path)
    unfinished, corpus = ingested(tmp_path, path, on_bad="reject")
    assert pairs_of(corpus) == {("a", "b", 1, None), ("a", "c", 0, None), ("q", "b", 1, None)}
    counts = unfinished.json("counts.json")
    assert (counts["rows"], counts["accepted"], counts["rejected"]) == (4, 2, 2)
    assert unfinished.table("rejects.parquet")["row"].to_pylist() == [2, 3]


def test_the_split_held_out_furthest_holds(tmp_path: Path) -> None:
    rows = [{"anchor": "a", "positive": "b", "part": part} for part in ("train", "test", "validation", None)]
    _, corpus = ingested(tmp_path, jsonl(tmp_path / "in.jsonl", rows), split="part")
    assert pairs_of(corpus) == {("a", "b", 1, "test")}


def test_a_judgement_of_an_unknown_document_is_a_bad_row(tmp_path: Path) -> None:
    jsonl(tmp_path / "corpus.jsonl", [{"_id": "d1", "text": "one"}])
    jsonl(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "what"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("q1\td1\t1\nq1\td2\t1\nq2\td1\t1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r'train\.tsv, row 2: it names "d2", which is not among the items'):
        ingest(draft(tmp_path / "runs", "ingest"), BeirOptions(path=str(tmp_path)))
    unfinished = draft(tmp_path / "runs", "ingest")
    ingest(unfinished, BeirOptions(path=str(tmp_path), on_bad="reject"))
    counts = unfinished.json("counts.json")
    assert (counts["rows"], counts["accepted"], counts["rejected"], counts["pairs"]) == (5, 3, 2, 1)
    assert unfinished.table("pairs.parquet")["split"].to_pylist() == [0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"found nothing in .*in\.jsonl; name a source"),
        (["{"], "found no positive pair: 1 of 1 rows could not be used, the first: .*row 1: it is not JSON"),
        ([{"anchor": "a", "positive": "b", "label": 0}], "found no positive pair in 1 rows"),
    ],
)
def test_without_positives_there_is_nothing_to_learn(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ingested(tmp_path, jsonl(tmp_path / "in.jsonl", rows), on_bad="reject", label="label" if rows and rows != ["{"] else None)


def marks_file(path: Path, rows: Sequence[tuple[str, str, str]]) -> Path:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["query_id", "query", "negative_id", "negative", "negative_score", "mark"])
    table.writerows(
        (text_id(query, "query"), query, text_id(other, "document"), other, "0.9", word) for query, other, word in rows
    )
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    rows = [
        {"anchor": "a", "positive": "b", "negative": "c", "part": "train"},
        {"anchor": "q", "positive": "d", "part": "test"},
        {"anchor": "r", "positive": "e", "part": None},
    ]
    return jsonl(tmp_path / "in.jsonl", rows)


def test_marks_are_evidence(tmp_path: Path, marked: Path) -> None:
    marks = marks_file(
        tmp_path / "suspicious.csv",
        [("a", "c", "Alike"), ("a", "d", "not"), ("q", "e", "alike"), ("r", "b", ""), ("r", "c", " not ")],
    )
    unfinished, corpus = ingested(tmp_path, marked, split="part", marks=str(marks))
    assert pairs_of(corpus) == {
        ("a", "b", 1, "train"),
        ("a", "c", 1, "train"),  # the mark overrules the data
        ("a", "d", 0, "train"),
        ("q", "d", 1, "test"),
        ("q", "e", 1, "test"),
        ("r", "c", 0, None),
        ("r", "e", 1, None),
    }
    assert unfinished.json("counts.json")["rows"] == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "c", "maybe")], r'suspicious\.csv, row 2: the mark "maybe" is not known; write "alike" or "not"'),
        ([("a", "c", ""), ("nobody", "c", "not")], r'suspicious\.csv, row 3: "[0-9a-f]{16}" is not among the items'),
        ([("r", "c", "not"), ("a", "c", "not"), ("a", "c", "alike")], r'row 4: the mark "alike" contradicts that of row 3'),
        ([("a", "c", "")], "has no row whose mark"),
        ([], "has no row whose mark"),
    ],
)
def test_bad_marks_are_named(tmp_path: Path, marked: Path, rows: list[tuple[str, str, str]], message: str) -> None:
    marks = marks_file(tmp_path / "suspicious.csv", rows)
    with pytest.raises(DataError, match=message):
        ingested(tmp_path, marked, split="part", marks=str(marks))


def test_a_file_of_marks_must_be_there_and_have_marks(tmp_path: Path, marked: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist; name a suspicious\.csv"):
        ingested(tmp_path, marked, marks=str(tmp_path / "none.csv"))
    (tmp_path / "other.csv").write_text("query_id,negative_id\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match='no column "mark"'):
        ingested(tmp_path, marked, marks=str(tmp_path / "other.csv"))


def files_of(unfinished: Draft) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(unfinished.path.iterdir()) if path.is_file()}


@pytest.mark.parametrize("pieces_before_the_kill", range(0, 14, 2))
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces_before_the_kill: int
) -> None:
    monkeypatch.setattr(pairs_module, "SLICE_ROWS", 3)
    for shard in range(3):
        rows = [{"anchor": f"a{n % 4}", "positive": [f"b{n} {shard}", "shared"], "negative": f"c{n % 3}"} for n in range(5)]
        jsonl(tmp_path / "in" / f"{shard}.jsonl", [*rows, "{"])
    options = PairsOptions(path=str(tmp_path / "in"), on_bad="reject")
    undisturbed = draft(tmp_path, "ingest")
    ingest(undisturbed, options)

    class Killed(BaseException):
        pass

    read = PairsSource.read
    left = pieces_before_the_kill
    shards_read: list[str] = []

    def interrupted(self: PairsSource, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        nonlocal left
        for piece in read(self, shard):
            if left == 0:
                raise Killed
            left -= 1
            yield piece

    def counted(self: PairsSource, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        shards_read.append(shard)
        yield from read(self, shard)

    resumed = draft(tmp_path, "ingest")
    monkeypatch.setattr(PairsSource, "read", interrupted)
    with pytest.raises(Killed):
        ingest(resumed, options)
    whole = sum(1 for _ in resumed.path.glob("items-*"))
    monkeypatch.setattr(PairsSource, "read", counted)
    ingest(Draft(resumed.path, stage="ingest"), options)
    assert len(shards_read) == 3 - whole
    assert files_of(resumed) == files_of(undisturbed)


class Strange:
    """A source whose rows are its items: it sends no tally."""

    pieces: ClassVar[list[Any]] = []

    def __init__(self, options: IngestOptions, seed: int = 0) -> None:
        self.seed = seed

    def shards(self) -> Sequence[str]:
        return ["only"]

    def read(self, shard: str) -> Iterator[Any]:
        return iter(self.pieces)


class StrangeOptions(ReadingOptions):
    implementation: ClassVar[str] = "strange_source:Strange"
    kind: str = "strange_source:Strange"


class UnpairedOptions(StrangeOptions):
    needs_positives: ClassVar[bool] = False


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> type[Strange]:
    module = types.ModuleType("strange_source")
    module.Strange = Strange  # type: ignore[attr-defined]  # a stranger's module
    monkeypatch.setitem(sys.modules, "strange_source", module)
    return Strange


def link(a: str, b: str) -> Links:
    return Links([a], [b], [1], [1.0], [None], "elsewhere", [1])


def test_a_source_without_tallies_counts_its_items(tmp_path: Path, strange: type[Strange]) -> None:
    strange.pieces = [
        Items("only", ["1", "2"], ["one", "two"], {"color": ["red", None]}),
        Reject("file", 3, "a reason", "a remedy"),
        Items("only", ["2", "3"], ["two", "three"], {"color": [None, None]}),
        link("1", "3"),
    ]
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, StrangeOptions(on_bad="reject"))
    counts = unfinished.json("counts.json")
    assert (counts["rows"], counts["accepted"], counts["rejected"], counts["documents"]) == (5, 4, 1, 3)
    corpus = Corpus(publish(unfinished))
    assert corpus.metadata([0, 1, 2])["color"].to_pylist() == ["red", None, None]


def test_one_id_for_two_items_is_an_error(tmp_path: Path, strange: type[Strange]) -> None:
    strange.pieces = [Items("only", ["1"], ["one"]), Items("only", ["1"], ["another"])]
    with pytest.raises(DataError, match='The id "1" stands for two different items'):
        ingest(draft(tmp_path, "ingest"), StrangeOptions())


@pytest.mark.usefixtures("strange")
def test_one_id_for_two_items_of_different_shards_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Two(Strange):
        def shards(self) -> Sequence[str]:
            return ["first", "second", "third"]

        def read(self, shard: str) -> Iterator[Any]:
            yield Items(shard, [shard, "1"], [shard, "another" if shard == "third" else "one"])

    monkeypatch.setattr("strange_source.Strange", Two)
    with pytest.raises(DataError, match='"1" stands for two different items, in first and in third; give each item an id'):
        ingest(draft(tmp_path, "ingest"), UnpairedOptions())


@pytest.mark.parametrize("later", [{"size": ["large"]}, {}, {"size": [2], "weight": [3]}])
def test_columns_may_not_change(tmp_path: Path, strange: type[Strange], later: dict[str, Any]) -> None:
    strange.pieces = [Items("only", ["1"], ["one"], {"size": [1]}), Items("only", ["2"], ["two"], later)]
    with pytest.raises(DataError, match="columns that change from row to row"):
        ingest(draft(tmp_path, "ingest"), StrangeOptions())


@pytest.mark.parametrize(
    ("slices", "type_"),
    [
        ([[None, None], [None, 7], [None, None]], pa.int64()),
        ([[None, None], [1, 2], [2.5, None]], pa.float64()),
        ([[2.5, 1.0], [1, 2], [None, None]], pa.float64()),
        ([[None, None], [None, None], [True, None]], pa.bool_()),
        ([[None, None], [None, None], [None, None]], pa.string()),
        ([["a", None], [None, None], [None, "b"]], pa.string()),
    ],
)
def test_a_column_has_the_type_of_its_values_wherever_they_stand(
    tmp_path: Path, strange: type[Strange], slices: list[list[Any]], type_: Any
) -> None:
    strange.pieces = [
        Items("only", [f"{place}{row}" for row in range(2)], [f"{place} {row}" for row in range(2)], {"size": values})
        for place, values in enumerate(slices)
    ]
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, UnpairedOptions())
    artifact = publish(unfinished)
    found = artifact.table("items-00000.parquet")
    assert found.schema.field("size").type == type_
    assert found["size"].to_pylist() == [value for values in slices for value in values]
    assert found["text"].to_pylist() == [f"{place} {row}" for place in range(len(slices)) for row in range(2)]
    assert not [name for name in artifact.manifest.files if "before" in name]


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("size", 2**60 + 1, 0.5),
        ("size", 2**64, 1),
        ("size", Decimal("1.25"), 0.5),
        ("size", "x", b"x"),
        ("size", {}, {}),
        ("group", 1, 1.5),
    ],
)
def test_values_that_do_not_go_together_are_told(
    tmp_path: Path, strange: type[Strange], column: str, first: Any, second: Any
) -> None:
    strange.pieces = [Items("only", ["1"], ["one"], {column: [first]}), Items("only", ["2"], ["two"], {column: [second]})]
    with pytest.raises(DataError, match=rf'columns that change from row to row .*{column}|"{column}" .*several types'):
        ingest(draft(tmp_path, "ingest"), UnpairedOptions())


@pytest.mark.usefixtures("strange")
def test_whole_and_other_numbers_of_several_shards_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, Any] = {"a": 1, "b": 2.5, "c": None}

    class Three(Strange):
        def shards(self) -> Sequence[str]:
            return list(sizes)

        def read(self, shard: str) -> Iterator[Any]:
            yield Items(shard, [shard], [shard], {"size": [sizes[shard]]})

    monkeypatch.setattr("strange_source.Strange", Three)
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, UnpairedOptions())
    corpus = Corpus(publish(unfinished))
    assert corpus.metadata(range(3))["size"].to_pylist() == [1.0, 2.5, None]
    sizes["a"] = 2**60 + 1
    with pytest.raises(
        DataError, match=r'column of a does not go with those of the other shards \("size" .*\); write it in one way'
    ):
        ingest(draft(tmp_path, "again"), UnpairedOptions())


def test_data_may_need_no_pairs(tmp_path: Path, strange: type[Strange]) -> None:
    strange.pieces = [Items("only", ["1"], ["one"])]
    ingest(draft(tmp_path, "ingest"), UnpairedOptions())
    with pytest.raises(DataError, match="found no positive pair in 1 rows"):
        ingest(draft(tmp_path, "ingest"), StrangeOptions())


def test_the_seed_is_the_drafts(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", [{"anchor": f"a{n}", "positive": f"b{n}"} for n in range(50)])
    drawn = []
    for seed in (0, 0, 1):
        unfinished = draft(tmp_path, "ingest", seed)
        ingest(unfinished, PairsOptions(path=str(path), sample_size=10))
        drawn.append(unfinished.table("items-00000.parquet")["text"].to_pylist())
    assert drawn[0] == drawn[1] != drawn[2]


class Reading(PairsSource):
    """Pairs, noting which shards are read."""

    read_shards: ClassVar[list[str]] = []

    def read(self, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        self.read_shards.append(shard)
        return super().read(shard)


class ReadingOptions(PairsOptions):
    implementation: ClassVar[str] = f"{__name__}:Reading"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def row(anchor: str, positive: str) -> list[dict[str, str]]:
    return [{"anchor": anchor, "positive": positive}]


def marking(path: Path, word: str) -> None:
    path.write_text(f"query_id,negative_id,mark\n{text_id('d', 'query')},{text_id('u', 'document')},{word}\n", encoding="utf-8")


CHANGES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {  # what is done, and what must be read again
    "added at the end": (lambda folder: jsonl(folder / "z.jsonl", row("z", "x")), ["z.jsonl"]),
    "added before": (lambda folder: jsonl(folder / "a.jsonl", row("z", "zz")), ["a.jsonl", "c.jsonl"]),
    "added before, sharing a text": (lambda folder: jsonl(folder / "a.jsonl", row("z", "x")), ["a.jsonl", "c.jsonl"]),
    "changed": (lambda folder: jsonl(folder / "c.jsonl", row("new", "x")), ["c.jsonl"]),
    "removed": (lambda folder: (folder / "b.jsonl").unlink(), ["c.jsonl"]),
    "marked": (lambda folder: marking(folder.parent / "marks.csv", "alike"), []),
}  # c shares a text with b, d stands alone


@pytest.mark.parametrize("change", CHANGES)
def test_only_what_changed_is_read_again(change: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    jsonl(source / "b.jsonl", [{"anchor": "b", "positive": "x"}, {"anchor": "bb", "positive": ["y", "x"]}, "{"])
    jsonl(source / "c.jsonl", [{"anchor": "c", "positive": "x", "negative": "w"}])  # x stands in b, too
    jsonl(source / "d.jsonl", row("d", "u"))
    marking(tmp_path / "marks.csv", "not")
    options = ReadingOptions(path=str(source), marks=str(tmp_path / "marks.csv"), on_bad="reject")

    def run(folder: Path) -> Artifact:
        with Run(folder) as r:
            found = r.stage(ingest, options)
        assert found is not None
        return found

    run(tmp_path / "run")
    CHANGES[change][0](source)
    Reading.read_shards.clear()
    again = run(tmp_path / "run")
    assert Reading.read_shards == CHANGES[change][1]
    assert contents(again.path) == contents(run(tmp_path / "new").path)


def test_nothing_is_taken_over_from_other_options_or_a_damaged_run(tmp_path: Path) -> None:
    source = tmp_path / "in"
    jsonl(source / "b.jsonl", [{"anchor": "b", "positive": "x", "other": "y"}])
    Reading.read_shards.clear()
    for options in (ReadingOptions(path=str(source)), ReadingOptions(path=str(source), positive="other")):
        with Run(tmp_path / "run") as r:
            r.stage(ingest, options)
    assert Reading.read_shards == ["b.jsonl"] * 2
    found = current(tmp_path / "run", "ingest")
    assert found is not None
    (found.path / "manifest.json").write_text("{", encoding="utf-8")
    jsonl(source / "c.jsonl", [{"anchor": "c", "positive": "x", "other": "y"}])
    with Run(tmp_path / "run") as r:
        r.stage(ingest, options)
    assert Reading.read_shards == ["b.jsonl"] * 3 + ["c.jsonl"]


def test_a_sample_depends_on_every_file(tmp_path: Path) -> None:
    for name in ("b", "c"):
        jsonl(tmp_path / "in" / f"{name}.jsonl", [{"anchor": f"{name}{number}", "positive": f"{number}"} for number in range(9)])
    options = ReadingOptions(path=str(tmp_path / "in"), sample_size=5)
    with Run(tmp_path / "run") as r:
        r.stage(ingest, options)
    jsonl(tmp_path / "in" / "c.jsonl", [{"anchor": "c", "positive": "x"}])
    Reading.read_shards.clear()
    with Run(tmp_path / "run") as r:
        r.stage(ingest, options)
    assert Reading.read_shards == ["b.jsonl", "c.jsonl"]


def test_a_beir_corpus_is_not_read_again_for_new_judgements(tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    jsonl(folder / "corpus.jsonl", [{"_id": "1", "title": "", "text": "one"}, {"_id": "2", "title": "", "text": "two"}])
    jsonl(folder / "queries.jsonl", [{"_id": "1", "text": "first?"}, {"_id": "2", "text": "second?"}])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text("1\t1\t1\n", encoding="utf-8")
    source = BeirSource(BeirOptions(path=str(folder)))
    assert isinstance(source, FileSource)
    assert {shard: [path.name for path in source.files(shard)] for shard in source.shards()} == {
        "corpus": ["corpus.jsonl"],
        "queries": ["queries.jsonl", "train.tsv"],
        "qrels-train": ["train.tsv"],
    }
