from types import SimpleNamespace

import numpy as np
import pytest
import torch

from likewise.encoders.fit import fit, fitting_rows, load_encoder
from likewise.encoders.options import StaticEncoderOptions, TextEncoderOptions
from likewise.errors import DamagedArtifact
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.testing.encoders import FakeEncoderOptions, tiny_text_model

PAIRS = [(f"how to read file number {n}", f"open the file {n} and read each line") for n in range(12)]


def division(corpus, held_out):
    """What a split says of the items: queries by split, documents shared."""
    items = np.where(corpus.roles == 0, 0, -1).astype(np.int8)
    items[held_out] = 2
    return SimpleNamespace(items=items)


def test_held_out_queries_are_not_fitted_on_and_documents_are(tmp_path):
    corpus = small_corpus(tmp_path, PAIRS)
    held_out = corpus.rows("query")[:3]
    rows = fitting_rows(corpus, division(corpus, held_out))
    assert set(held_out).isdisjoint(rows)
    assert set(rows) == set(range(len(corpus))) - set(held_out)
    assert len(fitting_rows(corpus, None)) == len(corpus)


def test_words_of_held_out_queries_stay_unseen(tmp_path):
    corpus = small_corpus(tmp_path, [*PAIRS, *[("zanzibar zanzibar", document) for _, document in PAIRS[:2]]])
    held_out = [row for row in corpus.rows("query") if "zanzibar" in corpus.payload([row])[0]]
    seen, unseen = draft(tmp_path, "fit"), draft(tmp_path, "fit")
    options = StaticEncoderOptions(dimension=8, vocabulary=300)
    fit(seen, options, corpus, None)
    fit(unseen, options, corpus, division(corpus, held_out))
    letters = [set("".join(load_encoder(publish(one)).model[0].tokenizer.get_vocab())) for one in (seen, unseen)]
    assert "z" in letters[0]
    assert "z" not in letters[1]


@pytest.mark.parametrize("kind", ["static", "text", "stranger"])
def test_stage_leaves_an_encoder_that_loads_with_the_same_vectors(kind, tmp_path):
    corpus = small_corpus(tmp_path, PAIRS)
    options = {
        "static": lambda: StaticEncoderOptions(dimension=8, vocabulary=300),
        "text": lambda: TextEncoderOptions(model=str(tiny_text_model(tmp_path / "tiny")), query_prompt="q: "),
        "stranger": lambda: FakeEncoderOptions(dimension=6),
    }[kind]()
    written = draft(tmp_path, "fit")
    fit(written, options, corpus, None)
    before = (written.path / "model").stat().st_mtime_ns
    fit(written, options, corpus, None)  # nothing is done twice
    assert (written.path / "model").stat().st_mtime_ns == before
    artifact = publish(written)
    one, other = load_encoder(artifact).eval(), load_encoder(artifact).eval()
    assert one.options == options
    prepared = one.prepare(["read a file"], "query")
    with torch.inference_mode():
        assert torch.equal(one(prepared), other(other.prepare(["read a file"], "query")))


def test_equal_runs_leave_equal_bytes(tmp_path):
    corpus = small_corpus(tmp_path, PAIRS)
    artifacts = []
    for _ in range(2):
        written = draft(tmp_path, "fit")
        fit(written, StaticEncoderOptions(dimension=8, vocabulary=300), corpus, None)
        artifacts.append(publish(written))
    assert artifacts[0].content == artifacts[1].content


def test_damaged_weights_are_not_opened(tmp_path):
    corpus = small_corpus(tmp_path, PAIRS)
    written = draft(tmp_path, "fit")
    fit(written, FakeEncoderOptions(), corpus, None)
    artifact = publish(written)
    weights = artifact.path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(DamagedArtifact):
        load_encoder(artifact)
