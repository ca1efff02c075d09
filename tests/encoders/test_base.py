import time

import numpy as np
import pytest
import torch

from likewise.encoders.base import to_device, weights_digest
from likewise.testing.encoders import FakeEncoder, FakeEncoderOptions, check_encoder

TEXTS = ["a red fox", "the quick brown fox jumps", "", "lazy dogs sleep all day long", "a red fox again"]


def test_fake_encoder_keeps_the_contract(tmp_path):
    check_encoder(FakeEncoder, TEXTS, tmp_path / "model")


def test_contract_catches_an_encoder_that_mixes_its_batch(tmp_path):
    class Mixing(FakeEncoder):
        def forward(self, prepared):
            vectors = super().forward(prepared)
            return vectors - vectors.mean(dim=0)

    with pytest.raises(AssertionError, match="other items of its batch"):
        check_encoder(Mixing, TEXTS, tmp_path / "model")


def test_contract_catches_an_encoder_whose_forward_is_for_one_thread(tmp_path):
    class Single(FakeEncoder):
        def forward(self, prepared):
            self.prepared = prepared
            time.sleep(0.001)
            return super().forward(self.prepared)

    with pytest.raises(AssertionError, match="forward is not safe in threads"):
        check_encoder(Single, TEXTS, tmp_path / "model")


def test_contract_catches_a_space_that_ignores_the_weights(tmp_path):
    class Blind(FakeEncoder):
        space = "always the same"

    with pytest.raises(AssertionError, match="space did not change with the weights"):
        check_encoder(Blind, TEXTS, tmp_path / "model")


def test_contract_catches_saving_that_forgets_weights(tmp_path):
    class Forgetful(FakeEncoder):
        @classmethod
        def load(cls, folder, options):
            return cls(FakeEncoderOptions(seed=1))

    with pytest.raises(AssertionError, match="space changed by saving"):
        check_encoder(Forgetful, TEXTS, tmp_path / "model")


def test_contract_catches_a_detached_forward(tmp_path):
    class Detached(FakeEncoder):
        def forward(self, prepared):
            vectors = super().forward(prepared)
            return vectors if torch.is_inference_mode_enabled() else vectors.detach().requires_grad_()

    with pytest.raises(AssertionError, match="no parameter received a gradient"):
        check_encoder(Detached, TEXTS, tmp_path / "model")


def test_key_tells_prompt_and_length_apart():
    options = [{}, {"query_prompt": "q: "}, {"max_length": 8}]
    encoders = [FakeEncoder(FakeEncoderOptions(**one)) for one in options]
    assert len({encoder.space for encoder in encoders}) == 1
    assert len({encoder.key("query") for encoder in encoders}) == 3


def test_digest_follows_names_types_shapes_and_bytes():
    def module(**weights):
        made = torch.nn.Module()
        for name, weight in weights.items():
            made.register_buffer(name, weight)
        return made

    one = torch.arange(6, dtype=torch.float32)
    variants = [
        module(a=one),
        module(b=one),
        module(a=one.double()),
        module(a=one.view(2, 3)),
        module(a=one + 1e-7),
        module(a=one, b=torch.zeros(0)),
    ]
    assert len({weights_digest(made) for made in variants}) == len(variants)
    assert weights_digest(module(a=one.view(2, 3).T.contiguous().T)) == weights_digest(module(a=one.view(2, 3)))


def test_to_device_keeps_the_structure_and_copies_containers():
    given = {"ids": torch.ones(2), "more": [np.zeros(3), ("text", torch.zeros(1))]}
    moved = to_device(given, torch.device("cpu"))
    assert moved is not given
    assert isinstance(moved["more"][0], torch.Tensor)
    assert moved["more"][1][0] == "text"
