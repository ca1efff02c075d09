import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data import text_looks as text_looks_module
from likewise.data.components import components
from likewise.data.fingerprints import fingerprint
from likewise.data.options import FingerprintOptions
from likewise.data.text_looks import normalized_words, text_looks
from likewise.testing.artifacts import draft, publish

BASE = "the quick brown fox jumps over the lazy dog while seven wizards brew a strong potion near the old mill"
LONG = " ".join(f"{word}{part}" for part in range(3) for word in BASE.split())


class Texts:
    """As much of a corpus as the stage reads."""

    def __init__(self, texts):
        self.texts = texts

    def __len__(self):
        return len(self.texts)

    kind = "text"

    def payload(self, rows):
        return [self.texts[row] for row in rows]


def looks_of(texts, tmp_path, slice_size=3, **options):
    slices = [texts[start : start + slice_size] for start in range(0, len(texts), slice_size)]
    return text_looks(slices, FingerprintOptions(**options), tmp_path / "spool")


def triples_of(text):
    words = normalized_words(text)
    return {tuple(words[n : n + 3]) for n in range(len(words) - 2)}


def slow_classes(texts, threshold):
    pairs = []
    for i in range(len(texts)):
        for j in range(i):
            x, y = triples_of(texts[i]), triples_of(texts[j])
            words = normalized_words(texts[i])
            equal = words == normalized_words(texts[j]) if words else texts[i] == texts[j]
            if equal or (threshold < 1 and (x | y) and len(x & y) / len(x | y) >= threshold):
                pairs.append((i, j))
    a, b = (np.array([pair[column] for pair in pairs], np.int64) for column in (0, 1))
    return components(len(texts), a, b)


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "B", "ß", "c#", "c", "…", "1.5"]), max_size=9), max_size=10),
    st.sampled_from([0.4, 0.6, 0.9, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_equals_brute_force(tmp_path_factory, words, threshold):
    texts = [" ".join(text) for text in words]
    looks = looks_of(texts, tmp_path_factory.getbasetemp(), threshold=threshold)
    assert looks.classes.tolist() == slow_classes(texts, threshold).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, world!", "hello world"),
        ("Straße und Öl", "STRASSE UND O\u0308L"),
        ("ﬁne  print\n", "Fine (print)"),
        ("full-width ＡＢＣ", "full‐width abc"),
        ("snake_case", "snake case"),
        ("\ufeffan exam\u00adple", "an example"),
        ("a heart ❤\ufe0f", "a heart ❤"),
        ("「你好」、世界。", "你好 世界"),
        ("مرحبا، أهلا؟", "مرحبا أهلا"),
        ("नमस्ते।", "नमस्ते"),
    ],
)
def test_case_punctuation_and_form_do_not_count(one, other):
    assert normalized_words(one) == normalized_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("C++", "C#"), ("return self < value", "return self > value"), ("1.5", "15"), ("50%", "50"), ("€5", "$5"), ("x²", "x³")],
)
def test_symbols_and_numbers_do_count(one, other):
    assert normalized_words(one) != normalized_words(other)


def test_one_changed_word_of_a_long_text_joins_and_of_a_short_one_does_not(tmp_path):
    short = "an apple a day keeps doctors away"
    texts = [LONG, LONG.replace("mill1", "barn"), short, short.replace("apple", "orange")]
    assert looks_of(texts, tmp_path).classes.tolist() == [0, 0, 2, 3]


def test_short_texts_join_only_when_their_words_are_equal(tmp_path):
    assert looks_of(["yes sir", "Yes, sir!", "yes madam", "yes"], tmp_path).classes.tolist() == [0, 0, 2, 3]


def test_texts_without_words_are_compared_as_they_are(tmp_path):
    assert looks_of(["...", "!!!", "...", ""], tmp_path).classes.tolist() == [0, 1, 0, 3]
    assert looks_of(["", "\0"], tmp_path).classes.tolist() == [0, 1]


def test_exact_only_finds_no_edited_copies(tmp_path):
    texts = [BASE, BASE.upper(), LONG, LONG + " today"]
    assert looks_of(texts, tmp_path, exact_only=True).classes.tolist() == [0, 0, 2, 3]
    assert looks_of(texts, tmp_path, threshold=1.0).classes.tolist() == [0, 0, 2, 3]


def test_the_threshold_decides(tmp_path):
    texts = [BASE, BASE.replace("mill", "barn")]
    similarity = looks_of(texts, tmp_path, threshold=0.5).similarity[1]
    x, y = map(triples_of, texts)
    assert similarity == len(x & y) / len(x | y)
    assert looks_of(texts, tmp_path, threshold=similarity).classes.tolist() == [0, 0]
    assert looks_of(texts, tmp_path, threshold=similarity + 0.01).classes.tolist() == [0, 1]


def test_slices_and_forgotten_words_change_nothing(tmp_path, monkeypatch):
    texts = [BASE, "other words", BASE + " indeed", BASE.title(), "other words again here", "Other words."]
    whole = looks_of(texts, tmp_path, slice_size=100, threshold=0.8)
    monkeypatch.setattr(text_looks_module, "WORDS_KEPT", 2)
    sliced = looks_of(texts, tmp_path, slice_size=1, threshold=0.8)
    assert np.array_equal(whole.classes, sliced.classes)
    assert np.array_equal(whole.similarity, sliced.similarity)


def test_surrogates_are_texts_too(tmp_path):
    assert looks_of(["broken \ud800 text", "broken \ud800 text"], tmp_path).classes.tolist() == [0, 0]


def stage(tmp_path, texts, **options):
    unfinished = draft(tmp_path)
    fingerprint(unfinished, FingerprintOptions(**options), Texts(texts))
    return publish(unfinished)


def test_the_stage_writes_classes_what_was_joined_and_counts(tmp_path):
    artifact = stage(tmp_path, ["alone", LONG, LONG.upper(), LONG + " today"])
    assert artifact.array("classes.npy").tolist() == [0, 1, 1, 1]
    joined = artifact.table("joined.parquet")
    assert joined.schema == pa.schema([("row", pa.int64()), ("representative", pa.int64()), ("similarity", pa.float32())])
    assert joined["row"].to_pylist() == [2, 3]
    assert joined["representative"].to_pylist() == [1, 1]
    assert joined["similarity"].to_pylist() == [1.0, pytest.approx(58 / 59)]
    assert artifact.json("counts.json") == {
        "items": 4,
        "classes": 2,
        "joined": 2,
        "equal": 1,
        "alike": 1,
        "largest_class": 3,
        "not_compared": 0,
    }


def test_the_same_texts_give_the_same_bytes(tmp_path):
    texts = [BASE, BASE + " today", "other"]
    one, other = (stage(tmp_path, texts, threshold=0.7) for _ in range(2))
    assert one.content == other.content


def test_an_empty_corpus(tmp_path):
    artifact = stage(tmp_path, [])
    assert artifact.array("classes.npy").shape == (0,)
    assert artifact.json("counts.json")["largest_class"] == 0
