import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.testing.encoders import FakeEncoder, tiny_text_model
from likewise.vectors import precision
from likewise.vectors.precision import InPrecision, device_for, least_cosine, precision_for

CPU = torch.device("cpu")
TEXTS = ["a red fox", "the quick brown fox jumps over the lazy dog", "hello", "one two three four five " * 5]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tiny_text_model(tmp_path_factory.mktemp("tiny") / "model", dimension=64, texts=TEXTS)
    return TextEncoder(TextEncoderOptions(model=str(folder))).eval()


@pytest.mark.parametrize("fast", [True, False])
def test_auto_takes_bfloat16_only_where_it_is_fast_and_there_is_something_to_multiply(encoder, fast, monkeypatch):
    monkeypatch.setattr(precision, "_fast_bfloat16", lambda device: fast)
    assert precision_for(encoder, CPU, "auto") == ("bfloat16" if fast else "float32")
    assert precision_for(FakeEncoder(), CPU, "auto") == "float32"
    assert precision_for(nn.Conv2d(1, 1, 1), CPU, "auto") == ("bfloat16" if fast else "float32")
    assert precision_for(encoder, CPU, "float16") == "float16"


def test_device_is_the_one_named():
    assert device_for("cpu") == CPU
    assert device_for("auto").type in ("cpu", "cuda", "mps")


def test_float32_is_the_encoder_itself(encoder):
    prepared = encoder.prepare(TEXTS)
    with torch.inference_mode():
        assert torch.equal(InPrecision(encoder, "float32")(prepared), encoder(prepared))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_lower_precision_is_near_float32_and_leaves_the_weights(encoder, name):
    prepared = encoder.prepare(TEXTS)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    exact, lower = InPrecision(encoder, "float32")(prepared), InPrecision(encoder, name)(prepared)
    assert lower.dtype == torch.float32
    assert not torch.equal(exact, lower), "nothing was computed in the lower precision"
    assert 0.999 < least_cosine(exact, lower) < 1
    assert torch.allclose(lower.norm(dim=1), torch.ones(len(TEXTS)), atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert all(parameter.dtype == torch.float32 for parameter in encoder.parameters())


def test_threads_compute_in_lower_precision_side_by_side(encoder):
    prepared = [encoder.prepare([text]) for text in TEXTS]
    lower = InPrecision(encoder, "bfloat16")
    alone = [lower(each) for each in prepared]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: [lower(each) for each in prepared], range(20)):
            assert all(torch.equal(a, b) for a, b in zip(found, alone, strict=True))


def test_what_is_not_multiplied_is_shared_and_what_occurs_twice_is_converted_once():
    inner = nn.Linear(3, 3)
    module = nn.Sequential(nn.LayerNorm(3), inner, nn.Sequential(inner))
    twin = precision._converted(module, torch.bfloat16)
    assert twin[0].weight is module[0].weight
    assert twin[1] is twin[2][0]
    assert twin[1].weight.dtype == torch.bfloat16
    assert module[1].weight.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_traced_and_scripted_modules_are_converted_or_left_as_they_are():
    class Traceable(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, given):
            return self.linear(given).relu()

    scripted = torch.jit.script(Traceable())
    module = nn.Sequential(torch.fx.symbolic_trace(Traceable()), scripted)
    twin = precision._converted(module, torch.bfloat16)
    assert twin[0].linear.weight.dtype == torch.bfloat16
    assert twin[1] is scripted
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(twin(torch.ones(2, 3)), module(torch.ones(2, 3)))


def test_least_cosine_is_of_the_worst_row():
    a = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    b = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert least_cosine(a, b) == pytest.approx(0.5**0.5)
    assert least_cosine(a[:2], b[:2]) == pytest.approx(1)
    assert math.isnan(least_cosine(torch.tensor([[torch.nan, 1.0], [1.0, 1.0]]), torch.ones(2, 2)))


def test_float32_on_a_gpu_is_no_tf32():
    settings = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)

    def told() -> list[str]:
        return [setting.fp32_precision for setting in settings]

    class OnGpu(FakeEncoder):
        device = torch.device("cuda")

        def forward(self, prepared):
            self.seen = told()
            return super().forward(prepared)

    encoder, before = OnGpu(), told()
    InPrecision(encoder, "float32")(encoder.prepare(["a b"]))
    assert encoder.seen == ["ieee"] * 3
    assert told() == before
    with precision._float32.exact():
        InPrecision(encoder, "float32")(encoder.prepare(["a b"]))  # as in another thread, which ends first
        assert told() == ["ieee"] * 3
    assert told() == before
