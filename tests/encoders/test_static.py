import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from likewise.encoders.options import StaticEncoderOptions
from likewise.encoders.static import StaticEncoder, document_frequencies, train_tokenizer
from likewise.errors import DataError
from likewise.testing.encoders import check_encoder
from likewise.types import Items

WORDS = ["read", "write", "open", "close", "file", "folder", "table", "column", "row", "index", "query", "vector", "model"]


def texts(count=200, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(3, 12))) for _ in range(count)]


def fitted(given=None, **options):
    given = texts() if given is None else given
    encoder = StaticEncoder(StaticEncoderOptions(**{"dimension": 64, "vocabulary": 300, **options}))
    return encoder.fit([Items("shard", [str(i) for i in range(len(given))], given)])


def vectors(encoder, given):
    with torch.inference_mode():
        return encoder(encoder.prepare(given)).numpy()


def test_static_encoder_keeps_the_contract(tmp_path):
    check_encoder(fitted, [*texts(5), "", "unseen ξένος"], tmp_path / "saved")


def test_saved_folder_opens_in_sentence_transformers_with_the_same_vectors(tmp_path):
    encoder = fitted()
    encoder.save(tmp_path / "saved")
    given = [*texts(20, seed=1), "read_the fileName"]
    opened = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(opened.encode(given), vectors(encoder, given), atol=1e-6)
    np.testing.assert_allclose(opened.encode_query(given), vectors(encoder, given), atol=1e-6)


def test_names_of_code_are_taken_apart():
    tokenizer = train_tokenizer([*texts(), "openFile close_folder"], 300)
    assert tokenizer.encode("openFile(close_folder, None)").tokens[:4] == ["▁open", "▁file", "▁close", "▁folder"]


def test_cosines_approximate_those_of_tf_idf():
    given = texts(60)
    encoder = fitted(given, dimension=4096)
    tokenizer = encoder.model[0].tokenizer
    counts = document_frequencies(tokenizer, given)
    exact = np.zeros((len(given), len(counts)))
    for row, text in enumerate(given):
        for token, times in Counter(tokenizer.encode(text).ids).items():
            exact[row, token] = times * np.log((1 + len(given)) / (1 + counts[token]))
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    ours = vectors(encoder, given)
    assert np.abs(ours @ ours.T - exact @ exact.T).max() < 6 / np.sqrt(4096)


def test_document_frequencies_count_texts_not_tokens():
    tokenizer = train_tokenizer(texts(), 300)
    counts = document_frequencies(tokenizer, ["file file file", "file row", "row", ""])
    assert counts[tokenizer.token_to_id("▁file")] == 2
    assert counts[tokenizer.token_to_id("▁row")] == 2


def test_seed_and_dimension_have_their_effect():
    assert fitted(seed=1).space != fitted(seed=0).space
    assert vectors(fitted(dimension=8), ["file"]).shape == (1, 8)
    random = np.random.default_rng(0)
    many = ["".join(random.choice(list("abcdefgh"), 6)) for _ in range(2000)]
    assert [fitted(many, vocabulary=size).model[0].tokenizer.get_vocab_size() for size in (300, 340)] == [300, 340]


def test_unknown_tokens_say_nothing():
    encoder = fitted()
    np.testing.assert_array_equal(vectors(encoder, ["ξ"]), np.zeros((1, 64)))
    np.testing.assert_allclose(vectors(encoder, ["file ξ"]), vectors(encoder, ["file"]), atol=1e-6)


def test_texts_without_a_word_are_refused():
    with pytest.raises(DataError, match="found no word in 2 training texts"):
        fitted(["...", "!"])


TRAINING = """
import json, sys
from likewise.encoders.options import StaticEncoderOptions
from likewise.encoders.static import StaticEncoder
from likewise.types import Items

texts = json.load(open(sys.argv[1]))
print(StaticEncoder(StaticEncoderOptions(dimension=64, vocabulary=500)).fit([Items("shard", texts, texts)]).space)
"""


def test_training_gives_the_same_in_every_process(tmp_path):
    given = texts(500) + [f"extra{i % 97}Words{i % 31}" for i in range(1000)]
    (tmp_path / "texts.json").write_text(json.dumps(given))
    environment = {**os.environ, "RAYON_NUM_THREADS": "7", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "texts.json")]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == fitted(given, vocabulary=500).space
