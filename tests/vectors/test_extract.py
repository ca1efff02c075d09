import json
import pickle
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.encoders.fit import fit, save_encoder
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.errors import DataError
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.testing.encoders import FakeEncoder, FakeEncoderOptions, tiny_text_model
from likewise.types import ROLES
from likewise.vectors import extract as extraction
from likewise.vectors import precision
from likewise.vectors.cache import EmbeddingCache
from likewise.vectors.compute import Embed
from likewise.vectors.extract import embed, extract
from likewise.vectors.options import EmbedOptions
from likewise.vectors.precision import InPrecision
from likewise.vectors.store import Vectors

WORDS = ["read", "write", "open", "close", "file", "folder", "table", "column", "row", "index", "query", "vector"]
SMALL = EmbedOptions(batch_tokens=24, batch_items=5, part_items=7, precision="float32", device="cpu")


def texts(count, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(0, 14))) for _ in range(count)]


def one_by_one(encoder, given, roles):
    with torch.inference_mode():
        return np.stack([encoder(encoder.prepare([text], role)).numpy()[0] for text, role in zip(given, roles, strict=True)])


class Counting(FakeEncoder):
    """Knows what was computed, and can be told to fail."""

    def __init__(self, options=None):
        super().__init__(options)
        self.batches, self.fail = [], None

    def prepare(self, payload, role="document", max_length=None):
        return {**super().prepare(payload, role, max_length), "payload": list(payload)}

    def forward(self, prepared):
        payload = prepared["payload"]
        if self.fail is not None:
            self.fail(payload)
        self.batches.append(payload)
        return super().forward({"words": prepared["words"], "starts": prepared["starts"]})


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(["", "a", "a b", "a b c d e f g", "b " * 30]), max_size=25), st.data())
def test_vectors_are_those_of_each_item_alone_in_the_order_given(given_texts, data):
    roles = data.draw(st.lists(st.sampled_from(ROLES), min_size=len(given_texts), max_size=len(given_texts)))
    encoder = FakeEncoder(FakeEncoderOptions(query_prompt="ask "))
    found = extract(encoder, given_texts, roles, SMALL)
    assert found.dtype == np.float32
    assert found.shape == (len(given_texts), encoder.dimension)
    if given_texts:
        np.testing.assert_allclose(found, one_by_one(encoder, given_texts, roles), atol=1e-6)


@pytest.mark.parametrize(("name", "least"), [("float32", 1 - 1e-6), ("bfloat16", 0.999)])
def test_text_encoder_gives_sentence_transformers_vectors(name, least, tmp_path):
    given_texts = texts(60)
    model = str(tiny_text_model(tmp_path / "model", texts=given_texts))
    encoder = TextEncoder(TextEncoderOptions(model=model, query_prompt="read ", max_length=10))
    options = EmbedOptions(batch_tokens=200, precision=name, device="cpu")
    queries, documents = (extract(encoder, given_texts, role, options) for role in ROLES)
    assert (queries * encoder.model.encode_query(given_texts)).sum(axis=1).min() >= least
    assert (documents * encoder.model.encode_document(given_texts)).sum(axis=1).min() >= least
    assert np.abs(queries - documents).max() > 0.01


def test_batches_keep_their_budgets_and_equal_texts_are_computed_once():
    encoder = Counting()
    given_texts = texts(40) + texts(40)
    extract(encoder, given_texts, "document", SMALL)
    computed = [text for batch in encoder.batches for text in batch]
    assert sorted(computed) == sorted(set(given_texts))
    for batch in encoder.batches:
        longest = max(len(text.split()) for text in batch)
        assert len(batch) <= 5
        assert len(batch) == 1 or longest * len(batch) <= 24


def test_encoder_is_given_back_as_it_was():
    encoder = FakeEncoder().train()
    extract(encoder, texts(3), "document", SMALL)
    assert encoder.training


def test_a_frozen_part_stays_frozen():
    encoder = FakeEncoder().train()
    encoder.embedding.eval()
    extract(encoder, texts(3), "document", SMALL)
    assert encoder.training
    assert not encoder.embedding.training


def test_progress_ends_with_everything_done():
    told = []
    extract(FakeEncoder(), texts(30) * 2, "document", SMALL, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(set(texts(30))),) * 2
    assert told == sorted(told)


def test_vector_that_is_not_finite_names_the_item(tmp_path):
    class Broken(FakeEncoder):
        def forward(self, prepared):
            vectors = super().forward(prepared)
            return torch.where(prepared["starts"][:, None] < 0, vectors, torch.nan)

    with pytest.raises(DataError, match=r'Item "number \d+": its vector in float32 is not finite'):
        extract(Broken(), ["one", "two"], "document", SMALL)


# Memory


def test_batch_that_does_not_fit_is_halved_and_counted():
    encoder = Counting()

    def too_large(payload):
        if len(payload) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    expected = extract(FakeEncoder(), texts(30), "document", SMALL)
    encoder.fail = too_large
    said = []
    np.testing.assert_allclose(extract(encoder, texts(30), "document", SMALL, say=said.append), expected, atol=1e-6)
    assert [sentence[:10] for sentence in said] == ["A batch of"]
    assert max(len(batch) for batch in encoder.batches) == 2
    one = Embed(InPrecision(encoder, "float32"))
    one(texts(5), "document")
    assert one.halved == 2  # 5 → 3 + 2, 3 → 2 + 1


def test_batch_that_did_not_fit_is_told_with_its_size():
    encoder, halved = Counting(), threading.Event()

    def large_after_one(payload):
        if len(payload) == 3:
            halved.set()
            raise MemoryError
        assert halved.wait(timeout=30), "the first batch is there before the others"

    encoder.fail = large_after_one
    said = []
    options = SMALL.model_copy(update={"batch_tokens": 6, "workers": 2})
    extract(encoder, ["read write open close file folder", "a b", "c d", "e f"], "document", options, say=said.append)
    assert said == ["A batch of 3 items did not fit in memory; such batches are computed in halves."]


def test_item_that_does_not_fit_alone_is_an_error_with_a_remedy():
    encoder = Counting()

    def never(payload):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")

    encoder.fail = never
    with pytest.raises(DataError, match=r'Item "number \d" alone does not fit in memory.*cut or shrink it'):
        extract(encoder, texts(3), "document", SMALL)


def test_other_errors_are_not_taken_for_lack_of_memory():
    encoder = Counting()

    def broken(payload):
        raise RuntimeError("shapes do not match")

    encoder.fail = broken
    with pytest.raises(RuntimeError, match="shapes do not match"):
        extract(encoder, texts(3), "document", SMALL)


def test_embed_is_picklable():
    one = Embed(InPrecision(FakeEncoder(), "float32"))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one))(texts(4), "query"), one(texts(4), "query"))


# Precision


class Linear(FakeEncoder):
    """An encoder with something to multiply; `noise` spoils it in 16 bits."""

    noise = 0.0

    def __init__(self, options=None):
        super().__init__(options)
        self.linear = torch.nn.Linear(self.dimension, self.dimension, bias=False)
        torch.nn.init.eye_(self.linear.weight)

    def forward(self, prepared):
        vectors = self.linear(super().forward(prepared))
        if vectors.dtype != torch.float32:
            vectors = vectors + self.noise * torch.ones_like(vectors)
        return torch.nn.functional.normalize(vectors.float(), dim=1)


@pytest.mark.parametrize(
    ("noise", "option", "used"), [(0, "auto", "bfloat16"), (1, "auto", "float32"), (1, "bfloat16", "bfloat16")]
)
def test_bfloat16_is_used_where_it_agrees_or_where_it_is_asked_for(noise, option, used, monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(Linear, "noise", noise)
    said = []
    options = SMALL.model_copy(update={"precision": option, "batch_tokens": 1000, "batch_items": 100})
    given_texts = sorted(set(texts(60)))
    encoder = Linear()
    found = extract(encoder, given_texts, "document", options, say=said.append)
    exact = one_by_one(encoder, given_texts, ["document"] * len(given_texts))
    assert np.array_equal(found, exact) == (used == "float32") or np.abs(found - exact).max() < 1e-6
    assert bool(said) == bool(noise)
    if noise:
        assert f"{used} is used" in said[0]


def test_few_items_are_computed_at_once_in_float32(monkeypatch):
    monkeypatch.setattr(precision, "_fast_bfloat16", lambda device: True)
    encoder = Linear()
    few, options = texts(20), EmbedOptions(backend="auto", precision="auto", device="cpu")
    exact = one_by_one(encoder, few, ["document"] * 20)
    forwards = []
    encoder.register_forward_hook(lambda *given: forwards.append(1))
    np.testing.assert_allclose(extract(encoder, few, "document", options), exact, atol=1e-6)
    assert len(forwards) == 1, "nothing was tried first"


# The cache


def test_second_time_nothing_is_computed_and_bits_are_the_same(tmp_path):
    first, second = Counting(), Counting()
    options = SMALL.model_copy(update={"cache_dir": str(tmp_path / "cache")})
    roles = [ROLES[place % 2] for place in range(40)]
    before = extract(first, texts(40), roles, options)
    np.testing.assert_array_equal(extract(second, texts(40), roles, options), before)
    assert first.batches
    assert not second.batches


def test_planned_batch_is_computed_whole_if_any_of_it_is_missing(tmp_path):
    given_texts = sorted(set(texts(60)))
    reference, encoder = Counting(), Counting()
    extract(reference, given_texts, "document", SMALL)
    with EmbeddingCache(tmp_path / "cache") as cache:
        extract(Counting(), given_texts[::9], "document", SMALL, cache=cache)
        extract(encoder, given_texts, "document", SMALL, cache=cache)
    assert all(batch in reference.batches for batch in encoder.batches)
    known = set(given_texts[::9])
    assert [batch for batch in reference.batches if batch not in encoder.batches] == [
        batch for batch in reference.batches if set(batch) <= known
    ]


def test_changed_weights_do_not_meet_old_vectors(tmp_path):
    encoder = FakeEncoder()
    with EmbeddingCache(tmp_path / "cache") as cache:
        before = extract(encoder, texts(9), "document", SMALL, cache=cache)
        with torch.no_grad():
            encoder.embedding.weight.mul_(torch.linspace(-1, 2, encoder.dimension))
        after = extract(encoder, texts(9), "document", SMALL, cache=cache)
    assert np.abs(before - after).max() > 0.1
    np.testing.assert_array_equal(after, extract(encoder, texts(9), "document", SMALL))


# The stage


@pytest.fixture
def run(tmp_path):
    pairs = [(f"ask {query}", document) for query, document in zip(texts(30, 1), texts(30, 2), strict=True)]
    corpus = small_corpus(tmp_path, pairs, shards=3)
    written = draft(tmp_path, "fit")
    fit(written, FakeEncoderOptions(query_prompt="q "), corpus, None)
    return corpus, publish(written)


def test_stage_leaves_row_aligned_vectors_and_their_space(run, tmp_path):
    corpus, model = run
    written = draft(tmp_path, "embed")
    embed(written, SMALL, model, corpus)
    vectors = Vectors(publish(written))
    encoder = FakeEncoder(FakeEncoderOptions(query_prompt="q "))
    roles = [ROLES[code] for code in corpus.roles]
    np.testing.assert_allclose(vectors.array, one_by_one(encoder, corpus.payload(range(len(corpus))), roles), atol=1e-6)
    assert (vectors.space, vectors.array.shape[1], vectors.distance) == (encoder.space, 16, "cosine")
    assert len(vectors) == len(corpus)
    space = json.loads((written.path / "space.json").read_text())
    assert space["keys"] == {role: encoder.key(role) for role in ROLES}
    assert (space["precision"], space["cosine_to_float32"], space["halved_batches"]) == ("float32", None, 0)


def test_killed_stage_goes_on_from_the_last_whole_part_with_the_same_bytes(run, tmp_path, monkeypatch):
    corpus, model = run
    undisturbed = draft(tmp_path, "embed")
    embed(undisturbed, SMALL, model, corpus)

    computed = []
    real = Embed.__call__

    def dies_on_the_way(self, payload, role, prepared=None):
        if len(computed) == 12:
            raise KeyboardInterrupt
        computed.append(len(payload))
        return real(self, payload, role, prepared)

    disturbed = draft(tmp_path, "embed")
    monkeypatch.setattr(Embed, "__call__", dies_on_the_way)
    with pytest.raises(KeyboardInterrupt):
        embed(disturbed, SMALL, model, corpus)
    before = sum(computed)
    computed.clear()
    computed_after = []

    def counting(self, payload, role, prepared=None):
        computed_after.append(len(payload))
        return real(self, payload, role, prepared)

    monkeypatch.setattr(Embed, "__call__", counting)
    embed(disturbed, SMALL, model, corpus)
    total = len(set(corpus.payload(corpus.rows("query")))) + len(set(corpus.payload(corpus.rows("document"))))
    assert 0 < total - sum(computed_after) <= before
    assert publish(disturbed).content == publish(undisturbed).content


def test_parts_of_another_plan_are_not_taken_for_ours(run, tmp_path, monkeypatch):
    corpus, model = run
    options = EmbedOptions(batch_items=5, part_items=7, precision="float32", device="cpu")
    undisturbed, disturbed = draft(tmp_path, "embed"), draft(tmp_path, "embed")
    embed(undisturbed, options, model, corpus)
    monkeypatch.setattr(extraction, "BATCH_TOKENS_CPU", 24)  # as another machine, or another version, would have it

    def dies_late(done, total, note=""):
        if done > total // 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(disturbed, "progress", dies_late)
    with pytest.raises(KeyboardInterrupt):
        embed(disturbed, options, model, corpus)
    monkeypatch.undo()
    embed(disturbed, options, model, corpus)
    np.testing.assert_allclose(Vectors(publish(disturbed)).array, Vectors(publish(undisturbed)).array, atol=1e-6)


def test_finished_stage_is_not_done_again(run, tmp_path, monkeypatch):
    corpus, model = run
    written = draft(tmp_path, "embed")
    embed(written, SMALL, model, corpus)
    monkeypatch.setattr(extraction, "load_encoder", lambda artifact: pytest.fail("opened again"))
    embed(written, SMALL, model, corpus)


def test_stage_names_the_item_whose_vector_is_not_finite(run, tmp_path):
    corpus, _ = run
    encoder = FakeEncoder()
    with torch.no_grad():
        encoder.embedding.weight.fill_(torch.inf)
    written = draft(tmp_path, "fit")
    save_encoder(written, encoder)
    with pytest.raises(DataError, match=r'Item "[qd]\d+": its vector'):
        embed(draft(tmp_path, "embed"), SMALL, publish(written), corpus)


def test_empty_corpus_has_no_vectors(tmp_path):
    corpus = SimpleNamespace(ids=[], roles=np.zeros(0, dtype=np.int8), payload=lambda rows: [])
    written = draft(tmp_path, "fit")
    save_encoder(written, FakeEncoder())
    empty = draft(tmp_path, "embed")
    embed(empty, SMALL, publish(written), corpus)
    assert Vectors(publish(empty)).array.shape == (0, 16)


def test_cache_folder_of_the_recipe_is_used_by_the_stage(run, tmp_path):
    corpus, model = run
    options = SMALL.model_copy(update={"cache_dir": str(tmp_path / "cache")})
    for _ in range(2):
        embed(draft(tmp_path, "embed"), options, model, corpus)
    with EmbeddingCache(tmp_path / "cache") as cache:
        assert cache.get_stats().entries > 10


def test_as_many_roles_as_items():
    with pytest.raises(DataError, match="There are 3 items and 2 roles"):
        extract(Counting(), texts(3), ["query", "document"], SMALL)
