import sys
from pathlib import Path
from typing import Any

import pytest

from likewise.config import Recipe, as_toml, packaged, packaged_recipe, read_recipe, validated
from likewise.errors import RecipeError
from likewise.options import Options, build

MINIMAL: dict[str, Any] = {"ingest": {"kind": "pairs", "path": "pairs.csv"}, "encoder": {"kind": "static"}}


def write(folder: Path, text: str, name: str = "recipe.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    toml = write(
        tmp_path,
        'name = "x"\n[ingest]\nkind = "pairs"\npath = "a.csv"\n[encoder]\nkind = "static"\n[fingerprint]\n[split]\n'
        "[train]\nlearning_rate = 3e-5\n",
    )
    yaml = write(
        tmp_path,
        "name: x\ningest: {kind: pairs, path: a.csv}\nencoder: {kind: static}\nfingerprint: {}\nsplit: {}\n"
        "train: {learning_rate: 3e-5}\n",
        "recipe.yaml",
    )
    assert read_recipe(toml) == read_recipe(yaml)
    train = read_recipe(yaml).train
    assert train is not None
    assert train.learning_rate == pytest.approx(3e-5), "YAML reads 3e-5 as a text"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("train.epoch=3", r"\[train\] epoch is not a known key; did you mean epochs\?"),
        ("trian.epochs=3", r"trian is not a known key; did you mean train\?"),
        ("ingest.pat=x", r"\[ingest\] pat is not a known key; did you mean path\?"),
        ("train.loss.margi=1", r"\[train\.loss\] margi is not a known key"),
        ("train.epochs=many", r"\[train\] epochs = 'many' is not accepted"),
        ("train.epochs=-1", r"greater than or equal to 0"),
        (
            "encoder.kind=sttic",
            r'\[encoder\] kind = "sttic" is not known: use one of convolutional, hits, image, openclip, openvino, static, text',
        ),
        ("ingest.kind=no.such:Thing", r"cannot be loaded"),
        ("mine.range_min=500", r"range_max = 100 must be above range_min = 500"),
        ("train.epochs", r'is not "section\.key=value"'),
        ("name.x=1", r"name is a value, not a section"),
        ("name=../x", r"name = '\.\./x' is not accepted"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path: Path, change: str, sentence: str) -> None:
    path = write(
        tmp_path,
        'name = "x"\n[ingest]\nkind = "pairs"\npath = "a.csv"\n[encoder]\nkind = "static"\n[fingerprint]\n[split]\n[mine]\n'
        '[train.loss]\nkind = "triplet"\n',
    )
    with pytest.raises(RecipeError, match=sentence):
        read_recipe(path, [change])


def test_changes_are_read_as_toml_values(tmp_path: Path) -> None:
    path = write(tmp_path, as_toml(validated(MINIMAL, "minimal")))
    changed = read_recipe(
        path, ["split.test=0.3", "fingerprint.exact_only=true", "ingest.path=other.csv", 'ingest.negatives=["n"]']
    )
    assert changed.split is not None
    assert changed.split.test == pytest.approx(0.3)
    assert changed.ingest.path == "other.csv"  # type: ignore[attr-defined]  # the kind's own key
    assert changed.ingest.negatives == ("n",)  # type: ignore[attr-defined]


def test_a_section_that_needs_another_says_so() -> None:
    with pytest.raises(RecipeError, match=r"\[train\] needs \[split\]"):
        validated({**MINIMAL, "train": {}}, "recipe")


def test_the_resolved_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = validated(
        {**MINIMAL, "fingerprint": {}, "split": {}, "mine": {}, "train": {"guard": None, "clip_norm": "none"}}, "recipe"
    )
    path = write(tmp_path, as_toml(recipe))
    again = read_recipe(path)
    assert again == recipe
    assert again.train is not None
    assert again.train.guard is None
    assert again.train.clip_norm is None
    assert again.evaluate is None, "an absent section stays absent"


def test_a_missing_recipe_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "", "text.toml")
    with pytest.raises(RecipeError, match=r"did you mean text\.toml"):
        read_recipe(tmp_path / "txt.toml")


@pytest.mark.parametrize("text", ["a = ", "[a\n", "\x00"])
def test_what_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match="is not TOML"):
        read_recipe(write(tmp_path, text))


def test_yaml_that_is_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must hold sections"):
        read_recipe(write(tmp_path, "- a\n", "recipe.yaml"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"name = \xff")
    with pytest.raises(RecipeError, match="UTF-8"):
        read_recipe(path)


@pytest.mark.parametrize("name", ["text", "demo_text"])
def test_packaged_recipes_are_valid(name: str) -> None:
    assert isinstance(packaged_recipe(name), Recipe)


def test_an_unknown_packaged_recipe_is_named() -> None:
    with pytest.raises(RecipeError, match="no recipe 'tex'"):
        packaged("tex")


class Strange:
    """A stranger's encoder."""

    class Options(Options):
        """Its options."""

        kind: str
        sharpness: float = 1.0

    def __init__(self, options: Any) -> None:
        self.sharpness = options.sharpness


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> str:
    module = type(sys)("strangers_module")
    module.Strange = Strange  # type: ignore[attr-defined]  # a module made by the test
    monkeypatch.setitem(sys.modules, "strangers_module", module)
    return "strangers_module:Strange"


def test_a_strangers_class_is_built_with_its_own_options(strange: str) -> None:
    recipe = validated({**MINIMAL, "encoder": {"kind": strange, "sharpness": 2.0}}, "recipe")
    assert build(recipe.encoder).sharpness == 2.0
    with pytest.raises(RecipeError, match="shrpness is not a known key"):
        validated({**MINIMAL, "encoder": {"kind": strange, "shrpness": 2.0}}, "recipe")


def test_a_class_without_options_is_refused() -> None:
    with pytest.raises(RecipeError, match="has no nested class Options"):
        validated({**MINIMAL, "encoder": {"kind": "collections:OrderedDict"}}, "recipe")


@pytest.mark.parametrize(
    ("section", "given", "sentence"),
    [
        ("encoder", {"kind": ":Encoder"}, 'kind = ":Encoder" cannot be loaded'),
        ("encoder", {"kind": ".near:Encoder"}, 'kind = ".near:Encoder" cannot be loaded'),
        ("encoder", {"kind": "static", 3: 4}, "keys should be strings"),
        ("mine", {"preset": ["fast"]}, "[mine] preset = ['fast'] is not accepted"),
    ],
)
def test_what_yaml_may_bring_is_refused_in_a_sentence(section: str, given: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validated({**MINIMAL, "fingerprint": {}, "split": {}, section: given}, "recipe.yaml")
    assert sentence in str(caught.value)


def test_a_key_of_events_has_no_effect_on_pairs() -> None:
    given = {**MINIMAL, "fingerprint": {}, "split": {}, "train": {"shards_in_memory": 2}}
    with pytest.raises(RecipeError, match=r"\[train\] shards_in_memory has no effect on \[ingest\] kind = \"pairs\": remove it"):
        validated(given, "recipe.toml")


@pytest.mark.parametrize("given", ["ingest.frame=2", "encoder.pixels.frame=2"])
def test_a_page_that_one_section_names_holds_for_both(tmp_path: Path, given: str) -> None:
    path = write(tmp_path, '[ingest]\nkind = "image_folder"\npath = "x"\n[encoder]\nkind = "image"\nmodel = "x"\n')
    recipe = read_recipe(path, [given])
    sections = recipe.model_dump()
    assert (sections["ingest"]["frame"], sections["encoder"]["pixels"]["frame"]) == (2, 2)
    assert read_recipe(write(tmp_path, as_toml(recipe), "again.toml")) == recipe
    with pytest.raises(RecipeError, match=r"\[ingest\] frame = 1 and \[encoder.pixels\] frame = 2 are different pages: give one"):
        read_recipe(path, ["ingest.frame=1", "encoder.pixels.frame=2"])
