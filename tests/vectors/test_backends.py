import shutil

import numpy as np
import pytest
import torch

from likewise.encoders.image import ImageEncoder
from likewise.encoders.options import ImageEncoderOptions, TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.errors import MissingExtra, RecipeError
from likewise.testing.encoders import FakeEncoder, tiny_text_model
from likewise.vectors import backends, precision
from likewise.vectors.backends import EXACT, InOpenVINO, NotConvertible, Way, settle, settle_once, ways_for
from likewise.vectors.cache import EmbeddingCache
from likewise.vectors.extract import Extraction, extract
from likewise.vectors.options import EmbedOptions
from small_images import picture, save_model

openvino = pytest.importorskip("openvino")

TEXTS = ["a red fox", "the quick brown fox jumps over the lazy dog", "hello", "one two three four five " * 5]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tiny_text_model(tmp_path_factory.mktemp("tiny") / "model", dimension=64, texts=TEXTS)
    return TextEncoder(TextEncoderOptions(model=str(folder))).eval()


@pytest.mark.parametrize("kind", ["dinov2", "resnet", "clip"])
def test_pictures_by_openvino_are_those_by_torch(kind, tmp_path):
    encoder = ImageEncoder(ImageEncoderOptions(model=str(save_model(tmp_path, kind)))).eval()
    computing = InOpenVINO(encoder, "float32", encoder.prepare([picture(0), picture(1)]))
    for count in (1, 5):
        given = encoder.prepare([picture(seed) for seed in range(2, 2 + count)])
        with torch.inference_mode():
            torch.testing.assert_close(computing(given), encoder(given), atol=2e-5, rtol=0)


def test_texts_of_any_length_and_number_by_openvino_are_those_by_torch(text):
    computing = InOpenVINO(text, "float32", text.prepare(TEXTS[:2]))
    for some in (TEXTS, TEXTS[:1], TEXTS[3:], ["fox " * 40, ""] * 9):
        given = text.prepare(some)
        with torch.inference_mode():
            torch.testing.assert_close(computing(given), text(given), atol=2e-5, rtol=0)


def test_bfloat16_by_openvino_is_near_and_at_unit_length(text):
    given = text.prepare(TEXTS)
    vectors = InOpenVINO(text, "bfloat16", given)(given)
    with torch.inference_mode():
        assert precision.least_cosine(vectors, text(given)) > 0.999
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(TEXTS)), atol=1e-5, rtol=0)


def test_converted_once_until_the_weights_change(text, monkeypatch):
    converted = []
    real = openvino.convert_model
    monkeypatch.setattr(openvino, "convert_model", lambda *given, **named: converted.append(1) or real(*given, **named))
    given = text.prepare(TEXTS)
    before = InOpenVINO(text, "float32", given)(given)
    first = len(converted)
    assert torch.equal(InOpenVINO(text, "float32", given)(given), before)
    assert len(converted) == first
    weights = text.model[0].auto_model.embeddings.word_embeddings.weight
    with torch.no_grad():
        weights.mul_(torch.linspace(0.5, 2, weights.shape[1]))
    assert not torch.allclose(InOpenVINO(text, "float32", given)(given), before, atol=1e-4)
    with torch.no_grad():
        weights.div_(torch.linspace(0.5, 2, weights.shape[1]))
    assert len(converted) == first + 1


# Which way


@pytest.mark.parametrize(
    ("option", "backend", "much", "expected"),
    [
        ("auto", "auto", True, [("openvino", "bfloat16"), ("torch", "bfloat16"), ("torch", "float32")]),
        ("auto", "auto", False, [("torch", "bfloat16"), ("torch", "float32")]),
        ("auto", "openvino", False, [("openvino", "bfloat16"), ("openvino", "float32")]),
        ("bfloat16", "auto", True, [("openvino", "bfloat16"), ("torch", "bfloat16")]),
        ("float16", "auto", True, [("torch", "float16")]),
        ("float32", "compiled", True, [("compiled", "float32")]),
        ("float32", "torch", True, [("torch", "float32")]),
    ],
)
def test_ways_the_options_leave(text, option, backend, much, expected, monkeypatch):
    monkeypatch.setattr(precision, "_fast_bfloat16", lambda device: True)
    assert [way[:2] for way in ways_for(text, option, backend, much=much)] == expected


def test_nothing_to_multiply_nothing_to_convert():
    assert ways_for(FakeEncoder(), "auto", "auto", much=True) == [EXACT]


def test_without_openvino_it_is_not_taken_and_cannot_be_asked_for(text, monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    assert ways_for(text, "float32", "auto", much=True) == [EXACT]
    with pytest.raises(MissingExtra, match=r"pip install 'likewise\[openvino\]'"):
        ways_for(text, "auto", "openvino", much=True)


def test_what_openvino_does_not_compute_is_refused(text):
    with pytest.raises(RecipeError, match="not float16 on cpu"):
        ways_for(text, "float16", "openvino", much=True)


@pytest.mark.parametrize(("least", "way"), [(0.5, "float32 by openvino"), (1.1, "float32")])
def test_a_way_that_disagrees_is_not_taken(text, least, way, monkeypatch):
    monkeypatch.setattr(backends, "COSINE_TO_FLOAT32", least)
    said = []
    ways = ways_for(text, "float32", "auto", much=True)
    _, settled = settle(text, text.prepare(TEXTS), ways, said.append)
    assert str(settled.way) == way
    assert [sentence.split("; ")[1] for sentence in said] == ([] if least < 1 else ["float32 is used."])


def test_the_only_way_is_taken_and_told(text, monkeypatch):
    monkeypatch.setattr(backends, "COSINE_TO_FLOAT32", 1.1)
    said = []
    _, settled = settle(text, text.prepare(TEXTS), [Way("openvino", "float32")], said.append)
    assert settled.way.backend == "openvino"
    assert "is used because the recipe says so" in said[0]


class Stubborn(FakeEncoder):
    """Has something to multiply, and is given nothing that can be traced."""

    def __init__(self, options=None):
        super().__init__(options)
        self.linear = torch.nn.Linear(2, 2)

    def prepare(self, payload, role="document", max_length=None):
        return [super().prepare(payload, role, max_length)]

    def forward(self, prepared):
        return super().forward(prepared[0])


def test_an_encoder_that_cannot_be_converted_is_computed_by_torch(monkeypatch):
    with pytest.raises(NotConvertible):
        InOpenVINO(Stubborn(), "float32", Stubborn().prepare(TEXTS))
    said = []
    _, settled = settle(Stubborn(), Stubborn().prepare(TEXTS), [Way("openvino", "float32"), EXACT], said.append)
    assert settled.way == EXACT
    assert said == ["OpenVINO cannot compute this encoder (it is given no tensors); torch is used."]
    with pytest.raises(RecipeError, match="cannot compute this encoder"):
        extract(Stubborn(), TEXTS, options=EmbedOptions(backend="openvino", precision="float32"))


def test_what_was_settled_is_remembered_by_the_cache(text, tmp_path):
    ways = [Way("openvino", "float32"), EXACT]
    with EmbeddingCache(tmp_path / "cache") as cache:
        computing, first = settle_once(text, lambda: text.prepare(TEXTS), ways, print, cache, b"items")
        nothing, second = settle_once(text, lambda: pytest.fail("computed"), ways, print, cache, b"items")
        asked = []
        settle_once(text, lambda: asked.append(1) or text.prepare(TEXTS), ways, print, cache, b"others")
    assert (computing is not None, nothing) == (True, None)
    assert second.way == first.way
    assert second.cosine == pytest.approx(first.cosine)
    assert asked


# The whole


def test_extraction_by_openvino_has_its_own_key_and_says_so(text, tmp_path):
    options = EmbedOptions(backend="openvino", precision="float32", cache_dir=str(tmp_path / "cache"))
    found = extract(text, TEXTS, "query", options)
    plain = extract(text, TEXTS, "query", options.model_copy(update={"backend": "torch"}))
    np.testing.assert_allclose(found, plain, atol=2e-5)
    assert text.key("query", "float32", "openvino 1") != text.key("query", "float32", "openvino 2") != text.key("query")
    with EmbeddingCache(tmp_path / "cache") as cache:
        assert cache.get_stats().entries == 2 * len(TEXTS) + 1, "of each backend, and the note"


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_bits_do_not_depend_on_which_batches_came_before(text, name):
    options = EmbedOptions(backend="openvino", precision=name, batch_tokens=40, device="cpu")
    given = [f"{sentence} {number}" for number in range(6) for sentence in TEXTS]

    def computed(turned):
        work = Extraction(text, lambda rows: [given[row] for row in rows], np.ones(len(given), np.int8), options, say=print)
        found = np.zeros((len(given), text.dimension), np.float32)
        for batch, vectors in work.compute(work.batches[::-1] if turned else work.batches):
            found[batch.positions] = vectors
        return found

    np.testing.assert_array_equal(computed(turned=False), computed(turned=True))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # of torch's own compiler
def test_compiled_vectors_are_those_of_torch(text):
    options = EmbedOptions(backend="compiled", precision="float32", batch_tokens=60)
    plain = extract(text, TEXTS * 3, options=EmbedOptions(backend="torch", precision="float32"))
    np.testing.assert_allclose(extract(text, TEXTS * 3, options=options), plain, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_a_compiler_that_fails_is_told(text, monkeypatch):
    def fails(prepared):
        raise torch._dynamo.exc.TorchDynamoException("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda work, **named: fails)
    with pytest.raises(RecipeError, match=r"does not work here \(No working C\+\+ compiler found\); install a C\+\+ compiler"):
        extract(text, TEXTS, options=EmbedOptions(backend="compiled", precision="float32"))


class Frozen(FakeEncoder):
    """Computes through numpy, which tracing takes for a constant."""

    def prepare(self, payload, role="document", max_length=None):
        return torch.stack([torch.randn(self.dimension, generator=torch.Generator().manual_seed(len(text))) for text in payload])

    def forward(self, prepared):
        return torch.nn.functional.normalize(torch.from_numpy(prepared.numpy() * 2), dim=1)


def test_what_was_traced_as_a_constant_is_not_taken():
    said = []
    encoder = Frozen()
    computing, settled = settle(encoder, encoder.prepare(["a", "bb", "ccc"]), [Way("openvino", "float32"), EXACT], said.append)
    assert settled.way == EXACT
    assert said
    given = encoder.prepare(["dddd", "eeeee"])
    torch.testing.assert_close(computing(given), encoder(given))
