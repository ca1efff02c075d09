from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.marks import read_marks
from likewise.data.split import Division
from likewise.data.table import Row, read_rows
from likewise.encoders.cross import CrossEncoder, open_cross_encoder
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.errors import DataError, RecipeError
from likewise.mining import mine as stage
from likewise.mining.options import CrossEncoderOptions, MineOptions
from likewise.mining.suspicious import Suspicious
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.testing.cross import tiny_cross_encoder
from likewise.testing.encoders import tiny_text_model
from likewise.types import Float32, Int64
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions
from likewise.vectors.store import Vectors
from mining.reference import Task, mine

ANIMALS = ["cat", "dog", "owl", "bat", "fox", "hen", "eel", "ant"]
SOUNDS = ["purrs", "barks", "hoots", "clicks", "yelps", "clucks", "hums", "hisses"]


class World:
    """Eight queries (the last is for testing) and their documents, one of which has a near-duplicate, and vectors of all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pairs: list[Any] = [
            (f"what does the {animal} do", f"the {animal} {sound}") for animal, sound in zip(ANIMALS, SOUNDS, strict=True)
        ]
        pairs += [
            (pairs[0][0], pairs[3][1], 0),  # a negative that the data knows
            (pairs[1][0], pairs[2][1]),  # a second positive
            (pairs[4][0], "the dog barks !", 0),
            (pairs[1][0], "the dog barks !!", 0),  # contradicts: near-duplicate of a positive
            (pairs[7][0], pairs[0][1], 0),  # of a test query
        ]
        self.corpus: Corpus = small_corpus(folder, pairs)
        self.texts = self.corpus.payload(np.arange(len(self.corpus)))
        self.classes = np.arange(len(self.corpus))
        for text in ("the dog barks !", "the dog barks !!"):
            self.classes[self.row(text)] = self.row("the dog barks")
        self.division = self._division()
        random = np.random.default_rng(0)
        self.vectors: Float32 = random.standard_normal((len(self.corpus), 4)).astype(np.float32)

    def row(self, text: str) -> int:
        return self.texts.index(text)

    def _division(self) -> Division:
        unfinished = draft(self.folder, "split")
        test = self.corpus.pairs.a == self.row("what does the ant do")
        items = np.where(self.corpus.roles == 0, 0, -1).astype(np.int8)
        items[self.row("what does the ant do")] = 2
        for name in ("items.npy", "queries.npy"):  # every query has a positive
            unfinished.write_array(name, items)
        unfinished.write_array("pairs.npy", np.where(test, 2, 0).astype(np.int8))
        unfinished.write_json("leakage.json", {})
        return Division(publish(unfinished))

    def mine(self, options: MineOptions, seed: int = 0) -> tuple[Draft, dict[str, Any]]:
        unfinished = draft(self.folder, "embed")
        unfinished.write_array("vectors.npy", self.vectors)
        vectors = Vectors(publish(unfinished))
        target = draft(self.folder, "mine", seed=seed)
        stage.mine(target, options, vectors, self.corpus, self.division, self.classes)
        return target, target.json("mining.json")

    def task(self) -> Task:
        pairs = self.corpus.pairs
        listed = list(zip(pairs.a.tolist(), pairs.b.tolist(), pairs.label.tolist(), strict=True))
        anchors = self.division.queries("train").tolist()
        stated = {(a, b) for a, b, label in listed if label == 1 and a in anchors}
        apart = {(a, b) for a, b, label in listed if label == 0 and a in anchors}
        return Task(self.vectors, anchors, self.corpus.rows("document").tolist(), self.classes.tolist(), stated, stated, apart)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def rows_of(target: Draft) -> list[tuple[int, int, int]]:
    table = target.table("negatives.parquet").to_pydict()
    return list(zip(table["anchor"], table["item"], table["rank"], strict=True))


def table_of(target: Draft) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(target.file("suspicious.csv").read_text(encoding="utf-8"))))


OPTIONS = MineOptions(num_negatives=2, range_max=5, range_min=1, absolute_margin=0.1, max_score=0.9)


def test_the_stage_equals_loops(world: World) -> None:
    target, told = world.mine(OPTIONS)
    expected = mine(world.task(), OPTIONS, 0)
    given = [
        (world.row(f"what does the {animal} do"), world.row(text), -1)
        for animal, text in (("cat", "the bat clicks"), ("fox", "the dog barks !"))
    ]
    assert sorted(rows_of(target)) == sorted([(a, b, rank) for a, b, _, rank in expected.negatives] + given)
    counts = dict(expected.counts)
    assert told["candidates"] == counts.pop("candidates")
    assert told["removed"] == counts
    assert told["passed"] + sum(told["removed"].values()) == told["candidates"]
    assert (told["anchors"], told["documents"], told["known_negatives"], told["known_negatives_contradicted"]) == (7, 10, 2, 1)
    found = np.bincount([a for a, *_ in expected.negatives], minlength=len(world.corpus))[world.division.queries("train")]
    assert told["anchors_with_fewer"] == (found < 2).sum()
    assert told["chosen"] == found.sum()


def test_negatives_are_sorted_and_typed(world: World) -> None:
    table = world.mine(OPTIONS)[0].table("negatives.parquet")
    assert [str(field.type) for field in table.schema] == ["int64", "int64", "float", "int64"]
    anchor, item, score = (table[name].to_numpy() for name in ("anchor", "item", "score"))
    assert (np.lexsort((item, -score, anchor)) == np.arange(len(table))).all()


def test_a_positive_of_a_test_query_may_be_a_negative(world: World) -> None:
    world.vectors[world.row("the ant hisses")] = world.vectors[world.row("what does the cat do")]
    target, _ = world.mine(MineOptions(num_negatives=1))
    assert (world.row("what does the cat do"), world.row("the ant hisses"), 0) in rows_of(target)


def test_the_same_bytes_again_and_others_by_another_seed(world: World) -> None:
    options = MineOptions(num_negatives=2, range_max=8, sampling_strategy="random")
    first, again, other = (world.mine(options, seed)[0] for seed in (1, 1, 2))
    for name in ("negatives.parquet", "suspicious.csv", "mining.json"):
        assert first.file(name).read_bytes() == again.file(name).read_bytes()
    assert rows_of(first) != rows_of(other)


def test_every_suspicious_row_is_read_back_whatever_the_texts_hold(tmp_path: Path) -> None:
    texts = ["a\rb", "c\nd", 'e,"f"', "  g ", "h\r\ni"]
    corpus = small_corpus(tmp_path, [("query\rtoo", text) for text in texts])
    rows = np.array([corpus.row_of(name) for name in corpus.ids if corpus.payload([corpus.row_of(name)])[0] in texts])
    scores = np.linspace(1, 0.5, len(rows), dtype=np.float32)
    anchor = np.zeros(len(rows), np.int64)
    (tmp_path / "suspicious.csv").write_text(
        Suspicious(anchor, rows, rows, scores, scores).as_csv(corpus), encoding="utf-8", newline=""
    )
    read = list(read_rows(tmp_path / "suspicious.csv", ("query", "negative", "positive")))
    assert [row.cells for row in read if isinstance(row, Row)] == [("query\rtoo", text, text) for text in corpus.payload(rows)]


def test_suspicious_candidates_can_be_read_marked_and_fed_back(world: World) -> None:
    cat, bark = world.row("what does the cat do"), world.row("the fox yelps")
    world.vectors[bark] = world.vectors[cat]
    world.vectors[world.row("the cat purrs")] = -world.vectors[cat]
    target, told = world.mine(MineOptions(absolute_margin=0.1))
    expected = mine(world.task(), MineOptions(absolute_margin=0.1), 0).suspicious
    rows = table_of(target)
    ids = world.corpus.ids
    assert [(row["query_id"], row["negative_id"], row["positive_id"]) for row in rows] == [
        tuple(ids[at] for at in found) for found in expected
    ]
    assert told["suspicious"] == len(rows) > 3
    top = rows[0]
    assert (top["query"], top["negative"], top["positive"]) == ("what does the cat do", "the fox yelps", "the cat purrs")
    assert (top["negative_score"], top["positive_score"], top["mark"]) == ("1.0000", "-1.0000", "")
    assert (cat, bark, 0) not in rows_of(target)  # the margin keeps it out of training

    path = target.file("suspicious.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], lines[1] + "alike", *lines[2:]]) + "\n", encoding="utf-8")
    marks = read_marks(path, {name: row for row, name in enumerate(ids)})
    assert (marks.a.tolist(), marks.b.tolist(), marks.label.tolist()) == ([cat], [bark], [1])


def test_no_suspicious_candidates_where_none_are_asked(world: World) -> None:
    assert table_of(world.mine(MineOptions(suspicious=0))[0]) == []


def test_texts_with_commas_quotes_and_lines_survive(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, [('a, "b"\nc', "d\r\ne"), ("x", "y")])
    from likewise.mining.suspicious import Suspicious

    rows, scores = np.array([0]), np.array([0.5], np.float32)
    text = Suspicious(rows, np.array([3]), np.array([1]), scores, scores - 1).as_csv(corpus)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["query"], row["positive"], row["negative"]) == ('a, "b"\nc', "d\r\ne", "y")


def test_a_finished_stage_is_not_done_again(world: World) -> None:
    target, told = world.mine(OPTIONS)
    target.file("negatives.parquet").unlink()
    stage.mine(target, OPTIONS, None, world.corpus, world.division, world.classes)  # type: ignore[arg-type]  # is not looked at
    assert target.json("mining.json") == told
    assert not target.has("negatives.parquet")


def test_a_mining_model_of_its_own(world: World) -> None:
    """The vectors that count are those of the model that the options name, with its prompts; the run's own are not asked for."""
    folder = tiny_text_model(world.folder / "model", texts=world.texts)
    prompts = {"query_prompt": "what ", "document_prompt": "the "}
    target, _ = world.mine(MineOptions(num_negatives=2, range_max=4, model=str(folder), device="cpu", **prompts))  # type: ignore[arg-type]  # strings
    encoder = TextEncoder(TextEncoderOptions(model=str(folder), **prompts))  # type: ignore[arg-type]  # strings
    vectors = np.zeros((len(world.corpus), encoder.dimension), np.float32)
    for role in ("query", "document"):
        rows: Int64 = world.corpus.rows(role)
        vectors[rows] = extract(encoder, world.corpus.payload(rows), role, EmbedOptions(precision="float32", device="cpu"))
    world.vectors = vectors
    expected = mine(world.task(), MineOptions(num_negatives=2, range_max=4), 0)
    table = target.table("negatives.parquet").to_pydict()
    mined = {(a, rank): score for a, score, rank in zip(table["anchor"], table["score"], table["rank"], strict=True) if rank >= 0}
    assert mined == {(a, rank): pytest.approx(score, abs=5e-3) for a, _, score, rank in expected.negatives}


def test_a_model_that_is_not_there_is_named(world: World) -> None:
    with pytest.raises(DataError, match=r"\[mine\] model = .*nowhere"):
        world.mine(MineOptions(model=str(world.folder / "nowhere")))


def test_a_cross_encoder_decides(world: World) -> None:
    folder = str(tiny_cross_encoder(world.folder / "cross", world.texts))
    options = MineOptions(
        num_negatives=2,
        range_max=4,
        relative_margin=0.05,
        device="cpu",
        cross_encoder=CrossEncoderOptions(model=folder, batch_size=3),
    )
    target, told = world.mine(options)
    scorer = CrossEncoder(open_cross_encoder(folder))

    def judge(query: int, document: int) -> float:
        return float(scorer.score([world.texts[query]], [world.texts[document]])[0])

    expected = mine(world.task(), options, 0, judge)
    assert sum(expected.counts.values()) > expected.counts["candidates"]
    assert told["removed"]["relative_margin"] == expected.counts["relative_margin"]
    assert {found for found in rows_of(target) if found[2] >= 0} == {(a, b, rank) for a, b, _, rank in expected.negatives}


@pytest.mark.skipif("__import__('torch').cuda.is_available()")
def test_a_gpu_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(RecipeError, match='device = "cuda"'):
        world.mine(MineOptions(device="cuda"))
