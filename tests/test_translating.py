from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from likewise.config import Recipe, validated
from likewise.errors import RecipeError
from likewise.translating import ALIASES, PLACES, REASONS, Translation, translate

OLD = {
    "dataset_name": "sentence-transformers/all-nli",
    "dataset_config": "pair",
    "sample_size": 10000,
    "test_size": 0.1,
    "model_name": "sentence-transformers/all-MiniLM-L6-v2",
    "mining_model_name": "sentence-transformers/static-retrieval-mrl-en-v1",
    "num_epochs": 4,
    "batch_size": 64,
    "learning_rate": "3e-5",
    "weight_decay": "0.01",
    "warmup_ratio": 0.05,
    "cache_dir": "./cache",
    "output_dir": "models/my embedder",
    "seed": 7,
    "max_seq_length": 200,
    "bf16": True,
    "fp16": False,
    "mining": {"num_negatives": 3, "range_min": 200, "range_max": 300, "margin": 0.1, "max_score": 0.9, "use_faiss": True},
    "training": {"gradient_accumulation_steps": 2, "eval_steps": 50, "scale": 25, "early_stopping_patience": 3},
}


def written(tmp_path: Path, old: Any) -> Path:
    path = tmp_path / "old.yaml"
    path.write_text(old if isinstance(old, str) else yaml.safe_dump(old), encoding="utf-8")
    return path


def recipe(translation: Translation) -> Recipe:
    return validated(tomllib.loads(translation.toml), "translated")


def row(translation: Translation, key: str) -> tuple[str, str]:
    (found,) = [row for row in translation.rows if row.key == key]
    return found.became, found.note


def test_a_whole_configuration(tmp_path: Path) -> None:
    translation = translate(written(tmp_path, OLD))
    new = recipe(translation)
    assert (new.name, new.seed) == ("my-embedder", 7)
    assert new.ingest.model_dump(include={"kind", "name", "config", "sample_size", "cache_dir"}) == {
        "kind": "hub",
        "name": "sentence-transformers/all-nli",
        "config": "pair",
        "sample_size": 10000,
        "cache_dir": "./cache",
    }
    assert new.split is not None
    assert new.split.test == 0.1
    assert new.encoder.model_dump(include={"model", "max_length", "cache_dir"}) == {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "max_length": 200,
        "cache_dir": "./cache",
    }
    assert new.mine is not None
    mine = new.mine
    assert (mine.model, mine.num_negatives, mine.range_min, mine.range_max) == (OLD["mining_model_name"], 3, 200, 300)
    assert (mine.absolute_margin, mine.max_score, mine.relative_margin) == (0.1, 0.9, None)
    assert new.train is not None
    train = new.train
    assert (train.epochs, train.batch_size, train.learning_rate, train.weight_decay) == (4, 64, 3e-5, 0.01)
    assert (train.warmup_ratio, train.max_length, train.precision, train.accumulate) == (0.05, 200, "bfloat16", 2)
    assert (train.eval_steps, train.early_stopping) == (50, 3)
    assert train.loss.model_dump()["scale"] == 25


def test_every_key_has_one_row(tmp_path: Path) -> None:
    rows = translate(written(tmp_path, OLD)).rows
    keys = {key for key, value in OLD.items() if not isinstance(value, dict)}
    keys |= {f"{section}.{key}" for section in ("mining", "training") for key in OLD[section]}  # type: ignore[attr-defined]  # a dict
    assert sorted(row.key for row in rows) == sorted(keys)


def test_numbers_stand_as_numbers_in_the_toml(tmp_path: Path) -> None:
    raw = tomllib.loads(translate(written(tmp_path, "learning_rate: 3e-5\nbatch_size: '64'\nnum_epochs: 2\n")).toml)
    assert raw["train"]["learning_rate"] == 3e-5
    assert raw["train"]["batch_size"] == 64


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("seed", 3, "kept"),
        ("num_epochs", 2, "renamed"),
        ("output_dir", "out/x", "changed"),
        ("no_such_key", 1, "no counterpart: not a key that is known here"),
        ("learning_rat", 1e-5, "no counterpart: not a key that is known here; did you mean learning_rate?"),
        ("save_total_limit", 3, "no counterpart: checkpoints are private"),
        ("num_epochs", 0.5, "not taken: [train] epochs = 0.5 is not accepted"),
        ("num_epochs", "many", "not taken: [train] epochs = 'many' is not accepted"),
        ("batch_size", True, "not taken: true is no value for it"),
        ("learning_rate", -1.0, "not taken: [train] learning_rate = -1.0 is not accepted"),
        ("model_name", ["a", "b"], "not taken: [encoder] model"),
        ("max_steps", -1, "not taken: without a value"),
        ("early_stopping_patience", None, "not taken: without a value"),
        ("dataset_config", "pair", "no counterpart: only a data set of the Hugging Face hub"),
        ("test_size", 500, "not taken: 500 is a number of rows"),
        ("fp16", "maybe", "not taken: 'maybe' is neither true nor false"),
    ],
)
def test_status_and_reason(tmp_path: Path, key: str, value: Any, status: str) -> None:
    translation = translate(written(tmp_path, {key: value}))
    became, note = row(translation, key)
    assert note.startswith(status)
    assert (became == "–") == status.startswith(("no counterpart", "not taken"))
    recipe(translation)


def test_a_refused_value_leaves_the_others(tmp_path: Path) -> None:
    translation = translate(written(tmp_path, {"num_epochs": 0.5, "batch_size": 48}))
    train = recipe(translation).train
    assert train is not None
    assert (train.epochs, train.batch_size) == (3, 48)  # epochs: the default


def test_a_value_that_needs_a_later_one(tmp_path: Path) -> None:
    mine = recipe(translate(written(tmp_path, "mining:\n  range_min: 500\n  num_negatives: 400\n  range_max: 1000\n"))).mine
    assert mine is not None
    assert (mine.range_min, mine.range_max, mine.num_negatives) == (500, 1000, 400)


def test_the_nested_key_wins_and_the_other_is_told(tmp_path: Path) -> None:
    translation = translate(written(tmp_path, {"num_epochs": 2, "training": {"num_epochs": 5}}))
    assert row(translation, "num_epochs")[1] == "not taken: training.num_epochs means the same and is taken"
    train = recipe(translation).train
    assert train is not None
    assert train.epochs == 5


@pytest.mark.parametrize(
    ("old", "ratio", "steps"),
    [
        ({"warmup_ratio": 0.2}, 0.2, None),
        ({"warmup_steps": 100}, None, 100),
        ({"warmup_ratio": 0.2, "warmup_steps": 100}, None, 100),
        ({"warmup_ratio": 0.2, "warmup_steps": 0}, 0.2, None),
        ({"warmup_steps": 0}, 0.0, None),
    ],
)
def test_warm_up_as_in_transformers(tmp_path: Path, old: dict[str, Any], ratio: float | None, steps: int | None) -> None:
    raw = tomllib.loads(translate(written(tmp_path, old)).toml)["train"]
    assert (raw.get("warmup_ratio"), raw.get("warmup_steps")) == (ratio, steps)


@pytest.mark.parametrize(
    ("old", "precision"),
    [
        ({"bf16": True}, "bfloat16"),
        ({"fp16": True}, "float16"),
        ({"fp16": True, "bf16": True}, "bfloat16"),
        ({"fp16": False}, "float32"),
        ({"fp16": False, "bf16": "yes"}, "bfloat16"),
        ({}, None),
    ],
)
def test_precision(tmp_path: Path, old: dict[str, Any], precision: str | None) -> None:
    raw = tomllib.loads(translate(written(tmp_path, {"seed": 0, **old})).toml)
    assert raw["train"].get("precision") == precision


def test_a_path_is_a_table_of_pairs(tmp_path: Path) -> None:
    raw = tomllib.loads(translate(written(tmp_path, {"dataset_name": "data/pairs.parquet"})).toml)
    assert raw["ingest"] == {"kind": "pairs", "path": "data/pairs.parquet"}


def test_a_count_of_test_rows_becomes_a_share_of_the_sample(tmp_path: Path) -> None:
    raw = tomllib.loads(translate(written(tmp_path, {"sample_size": 2000, "test_size": 500})).toml)
    assert raw["split"]["test"] == 0.25


def test_without_mining_no_section_and_a_row_that_says_so(tmp_path: Path) -> None:
    translation = translate(written(tmp_path, {"seed": 1}))
    assert recipe(translation).mine is None
    assert {row.key for row in translation.rows} == {"mining", "dataset_name", "model_name", "seed"}


def test_mining_by_the_same_model_uses_its_vectors(tmp_path: Path) -> None:
    translation = translate(written(tmp_path, {"model_name": "a/b", "mining_model_name": "a/b"}))
    mine = recipe(translation).mine
    assert mine is not None
    assert mine.model is None
    assert row(translation, "mining_model_name")[1].startswith("not taken: the same model")


@pytest.mark.parametrize("given", ["a/cross", {"name": "a/cross"}, {"model_name": "a/cross"}])
def test_a_cross_encoder_by_name_or_in_a_section(tmp_path: Path, given: Any) -> None:
    mine = recipe(translate(written(tmp_path, {"mining": {"cross_encoder": given}}))).mine
    assert mine is not None
    assert mine.cross_encoder is not None
    assert mine.cross_encoder.model == "a/cross"


def test_what_is_lost_stands_in_the_comments(tmp_path: Path) -> None:
    toml = translate(written(tmp_path, {"nonsense": "a\nb", "mining": {"use_faiss": True}})).toml
    assert "#   nonsense: no counterpart" in toml
    assert "#   mining.use_faiss: no counterpart: neighbours are always found exactly" in toml


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a\n- b\n", "must hold keys with values"),
        ("", "must hold keys with values"),
        ("a: [1", "is not YAML"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        translate(written(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"There is no file .*absent\.yaml"):
        translate(tmp_path / "absent.yaml")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(RecipeError, match="not UTF-8"):
        translate(path)


def test_the_tables_agree() -> None:
    groups = {"dataset_name"}  # handled in a function of its own
    assert set(ALIASES.values()) <= set(PLACES) | groups
    assert not set(PLACES) & set(REASONS)
    assert not set(PLACES) & set(ALIASES)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**6),
    st.floats(),
    st.sampled_from(["3e-5", "1e3", "yes", "none", "a/b", "", "x.csv", "top", "random", "linear", "0"]),
    st.lists(st.integers(0, 3), max_size=2),
)
special = ("dataset_name", "dataset_config", "test_size", "cache_dir", "bf16", "fp16", "warmup_ratio", "warmup_steps")
names = st.sampled_from(sorted({*PLACES, *ALIASES, *REASONS, *special, "output_dir", "report_to", "unknown"}))


@given(old=st.dictionaries(names, values, min_size=1, max_size=8))
def test_anything_gives_a_valid_recipe_and_a_row_for_each_key(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, Any]
) -> None:
    nested: dict[str, Any] = {}
    for key, value in old.items():
        if key.count(".") < 2:
            section, _, name = key.rpartition(".")
            (nested.setdefault(section, {}) if section else nested)[name] = value
    if not nested or any(isinstance(nested.get(name), dict) and not nested[name] for name in nested):
        return
    translation = translate(written(tmp_path_factory.mktemp("old"), nested))
    recipe(translation)
    given_keys = [key for key, value in nested.items() if not isinstance(value, dict)]
    given_keys += [f"{key}.{inner}" for key, value in nested.items() if isinstance(value, dict) for inner in value]
    told = [row.key for row in translation.rows if not row.note.startswith("absent")]
    assert sorted(told) == sorted(given_keys)
