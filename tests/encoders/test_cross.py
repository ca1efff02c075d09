from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from likewise.encoders.cross import CrossEncoder, open_cross_encoder
from likewise.errors import DataError
from likewise.testing.cross import tiny_cross_encoder

TEXTS = ["what makes a cat purr", "the moon pulls the sea", "tides follow gravity", "content cats vibrate their throat"]
WORDS = sorted({word for text in TEXTS for word in text.split()})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross") / "model", WORDS)


def pairs(count: int) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(1, 20))) for _ in range(2 * count)]
    return texts[:count], texts[count:]


def test_scores_equal_the_model_one_pair_at_a_time(model: Path) -> None:
    opened = open_cross_encoder(str(model))
    queries, documents = pairs(30)
    scores = CrossEncoder(opened, batch_size=7).score(queries, documents)
    alone = [float(opened.predict([pair])[0]) for pair in zip(queries, documents, strict=True)]
    assert scores.dtype == np.float32
    assert np.std(alone) > 0.01
    assert np.allclose(scores, alone, atol=1e-5)


def test_order_follows_the_pairs(model: Path) -> None:
    scorer = CrossEncoder(open_cross_encoder(str(model)), batch_size=4)
    queries, documents = pairs(11)
    forward, backward = scorer.score(queries, documents), scorer.score(queries[::-1], documents[::-1])
    assert np.allclose(forward, backward[::-1], atol=1e-5)


def test_batches_are_sorted_by_length(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long pairs are batched with long ones, over the whole call and not only within a batch."""
    opened = open_cross_encoder(str(model))
    seen: list[list[int]] = []
    before = opened.preprocess

    def preprocess(batch: list[tuple[str, str]], **named: object) -> object:
        seen.append([len(query) + len(document) for query, document in batch])
        return before(batch, **named)

    monkeypatch.setattr(opened, "preprocess", preprocess)
    monkeypatch.setattr("likewise.encoders.cross.BATCHES_AT_ONCE", 2)
    CrossEncoder(opened, batch_size=4).score(*pairs(21))
    lengths = [length for batch in seen for length in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert [len(batch) for batch in seen] == [4, 4, 4, 4, 4, 1]


def test_no_pairs(model: Path) -> None:
    assert CrossEncoder(open_cross_encoder(str(model)), bfloat16=True).score([], []).shape == (0,)


def test_bfloat16_stays_near_float32(model: Path) -> None:
    said: list[str] = []
    opened = open_cross_encoder(str(model))
    queries, documents = pairs(40)
    exact = CrossEncoder(opened).score(queries, documents)
    rounded = CrossEncoder(opened, bfloat16=True, say=said.append).score(queries, documents)
    assert np.abs(exact - rounded).max() < 0.1 * exact.std()
    assert bool(said) == np.array_equal(exact, rounded)


def test_bfloat16_is_given_up_where_scores_move(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.encoders.cross.LARGEST_ERROR", 0.0)
    said: list[str] = []
    opened = open_cross_encoder(str(model))
    queries, documents = pairs(12)
    scorer = CrossEncoder(opened, bfloat16=True, say=said.append)
    assert np.array_equal(scorer.score(queries, documents), CrossEncoder(opened).score(queries, documents))
    scorer.score(queries, documents)
    assert len(said) == 1
    assert "float32" in said[0]


def test_a_model_of_several_outputs_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "three", WORDS, outputs=3)
    with pytest.raises(DataError, match=r"three.*gives 3 numbers"):
        open_cross_encoder(str(folder))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        open_cross_encoder(str(tmp_path))
