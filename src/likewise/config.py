"""A recipe: the sections that the stages own, put together, read from TOML or YAML, checked, and written out again.

No torch is imported here, so that a mistake in a recipe is told within half a second.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import Field, ValidationError, model_validator

from likewise.data.options import INGEST_KINDS, FingerprintOptions, SplitOptions
from likewise.encoders.options import ENCODER_KINDS
from likewise.errors import RecipeError
from likewise.evaluation.metric_names import check_metric
from likewise.evaluation.options import BASELINES, EVALUATE_KINDS, Baseline, EvaluateOptions
from likewise.graphs.options import GraphResultOptions
from likewise.index.options import IndexOptions, VectorsOptions
from likewise.mining.options import MINE_KINDS, MineOptions
from likewise.options import Kinds, Options, options_of
from likewise.report.options import ReportOptions
from likewise.training.options import TrainOptions
from likewise.types import Scope
from likewise.vectors.options import EmbedOptions

RESULT_KINDS: dict[str, type[Options]] = {"index": IndexOptions, "vectors": VectorsOptions, "graph": GraphResultOptions}
RECIPES = ("text", "images", "tracks", "infrared")  # the recipes in the wheel that `init` offers


class Recipe(Options):
    """What to do with which data. A section that is absent is a stage that is absent."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's name, and its folder below runs/."""
    seed: int = Field(0, ge=0)
    """Of everything that is drawn at random."""
    ingest: Annotated[Options, Kinds(INGEST_KINDS, "ingest")]
    """Where items and evidence come from."""
    fingerprint: FingerprintOptions | None = None
    """How near-duplicates are found."""
    split: SplitOptions | None = None
    """What is held out for choosing and for the verdict."""
    encoder: Annotated[Options, Kinds(ENCODER_KINDS, "encoder")]
    """The model to start from."""
    embed: EmbedOptions = EmbedOptions()
    """How items become vectors."""
    mine: Annotated[Options, Kinds(MINE_KINDS, "mine", default="hard")] | None = None
    """Which negatives to learn from."""
    train: TrainOptions | None = None
    """How the encoder is trained."""
    evaluate: Annotated[Options, Kinds(EVALUATE_KINDS, "evaluate", default="retrieval")] | None = None
    """How the trained model is measured against its start."""
    result: Annotated[Options, Kinds(RESULT_KINDS, "result")] | None = None
    """What is kept to be used."""
    report: ReportOptions | None = None
    """The page that tells how it went."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        needs = {
            "split": ("fingerprint",) if self.scope == "corpus" else (),
            "mine": ("split",),
            "train": ("split",),
            "evaluate": ("split",),
        }
        for section, others in needs.items():
            for other in others:
                if getattr(self, section) is not None and getattr(self, other) is None:
                    raise RecipeError(f"[{section}] needs [{other}]: add the section (it may be empty).")
        self._check_scope()
        self._check_baselines()
        self._agree_on_a_page()
        return self

    @property
    def scope(self) -> Scope:
        """Whether the evidence of this data stays within a shard."""
        return getattr(self.ingest, "scope", "corpus")

    @property
    def hard(self) -> MineOptions | None:
        """[mine], where it looks for hard negatives in a corpus."""
        return self.mine if isinstance(self.mine, MineOptions) else None

    @property
    def retrieval(self) -> EvaluateOptions | None:
        """[evaluate], where it measures retrieval."""
        return self.evaluate if isinstance(self.evaluate, EvaluateOptions) else None

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The cheap models that are measured beside, where retrieval is."""
        if self.retrieval is None:
            return ()
        suited = BASELINES.get(getattr(self.ingest, "items", "text"), ())
        return suited if self.retrieval.baselines is None else self.retrieval.baselines

    def _agree_on_a_page(self) -> None:
        """What is looked at while pictures are read in is what the encoder sees: a page that one section names holds for both."""
        pixels, page = getattr(self.encoder, "pixels", None), getattr(self.ingest, "frame", None)
        if pixels is None or page is None or pixels.frame == page:
            return
        if "frame" not in pixels.model_fields_set:  # sections are frozen, for everyone else
            same = pixels.model_copy(update={"frame": page})
            object.__setattr__(self, "encoder", self.encoder.model_copy(update={"pixels": same}))
        elif "frame" not in self.ingest.model_fields_set:
            object.__setattr__(self, "ingest", self.ingest.model_copy(update={"frame": pixels.frame}))
        else:
            both = f"[ingest] frame = {page} and [encoder.pixels] frame = {pixels.frame}"
            raise RecipeError(f"{both} are different pages: give one of them, and the other is the same.")

    def _check_baselines(self) -> None:
        items = getattr(self.ingest, "items", "text")
        suited = BASELINES.get(items, ())
        for name in self.baselines:
            if name not in suited:
                known = ", ".join(f'"{other}"' for other in suited) or "none"
                raise RecipeError(f'[evaluate] baselines: "{name}" is not for items of kind {items}; known for them: {known}.')

    def _check_scope(self) -> None:
        """Events and pairs of a corpus are mined, measured and kept differently."""
        kind = f'[ingest] kind = "{getattr(self.ingest, "kind", "")}"'
        shard = self.scope == "shard"
        if shard and self.fingerprint is not None:
            raise RecipeError(f"{kind} has no near-duplicates to look for: remove [fingerprint].")
        if shard and self.train is not None and self.mine is None:
            raise RecipeError(f'{kind} is trained on pairs found in every step: add [mine] with kind = "step".')
        if self.mine is not None and getattr(self.mine, "within_step", False) != shard:
            raise RecipeError(f'{kind} is mined by [mine] kind = "{"step" if shard else "hard"}".')
        if self.evaluate is not None and getattr(self.evaluate, "scope", self.scope) != self.scope:
            raise RecipeError(f'{kind} is measured by [evaluate] kind = "{"graph" if shard else "retrieval"}".')
        for key in self.train.without_effect(self.scope) if self.train else ():
            raise RecipeError(f"[train] {key} has no effect on {kind}: remove it.")
        if shard and self.embed != EmbedOptions():
            raise RecipeError(f"[embed] has no effect on {kind}, whose vectors are computed when they are needed: remove it.")
        for name in (self.train.metric, self.train.guard) if self.train else ():
            if name is not None and check_metric(name) != self.scope:
                known = "purity@E, such as purity@0.98" if shard else "retrieval metrics, such as ndcg@10"
                raise RecipeError(f'{kind} knows {known}, not [train] metric or guard "{name}".')


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML or YAML file, with `section.key=value` changes made to it.

    Raises RecipeError with the file, the key, the value and the remedy. Relative paths inside are taken as they are: from the
    folder in which the command runs.
    """
    path = Path(path)
    raw = _parse(path)
    for change in changes:
        _change(raw, change)
    return validated(raw, str(path))


def validated(raw: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from plain values; `name` says in errors where they come from."""
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise RecipeError(f"{name}: {explain(error, raw)}") from None


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        near = difflib.get_close_matches(
            path.name, [other.name for other in path.parent.glob("*.*")] if path.parent.is_dir() else [], 1
        )
        hint = f"did you mean {near[0]}?" if near else f"write one with: likewise init {RECIPES[0]}"
        raise RecipeError(f"There is no recipe {path}; {hint}")
    try:
        text = path.read_text(encoding="utf-8")
        value = _parse_yaml(text) if path.suffix in {".yaml", ".yml"} else tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}.") from None
    if not isinstance(value, dict):
        raise RecipeError(f"{path} must hold sections with keys, not {type(value).__name__}.")
    return value


def _parse_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"The YAML cannot be read: {error}.") from None


def _change(raw: dict[str, Any], change: str) -> None:
    """Apply `a.b=value`; the value is read as TOML, and as a text where it is not TOML."""
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(f'--set {change!r} is not "section.key=value", such as train.epochs=3.')
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for part in parts[:-1]:
        inner = raw.setdefault(part, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {change!r}: {part} is a value, not a section.")
        raw = inner
    raw[parts[-1]] = value


def explain(error: ValidationError, raw: Mapping[str, Any]) -> str:
    """The first mistake of a recipe in a sentence that names the key, the value and the remedy."""
    sentences = []
    for detail in error.errors():
        place = [str(part) for part in detail["loc"]]
        where = f"[{'.'.join(place[:-1])}] {place[-1]}" if len(place) > 1 else "".join(place)
        if detail["type"] == "extra_forbidden":
            known = list(_fields_at(place[:-1], raw))
            near = difflib.get_close_matches(place[-1], known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            sentences.append(f"{where} is not a known key; {remedy}")
        elif detail["type"] == "missing":
            kind = "section" if len(place) == 1 else "key"
            sentences.append(f"{where} is missing; add the {kind} (likewise schema tells about it).")
        elif isinstance(cause := detail.get("ctx", {}).get("error"), RecipeError):
            sentences.append(str(cause))
        elif isinstance(cause, ValidationError):
            sentences.append(explain(cause, raw))
        else:
            sentences.append(f"{where} = {detail['input']!r} is not accepted: {_lower(detail['msg'])}.")
    return " ".join(dict.fromkeys(sentences))


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _fields_at(place: Sequence[str], raw: Mapping[str, Any]) -> Sequence[str]:
    """The keys that the model at a place of the recipe knows."""
    model: type[Options] | None = Recipe
    value: Any = raw
    for part in place:
        value = value.get(part, {}) if isinstance(value, Mapping) else {}
        model = model_of(model, part, value) if model else None
    return tuple(model.model_fields) if model else ()


def model_of(model: type[Options], field: str, value: Any = None) -> type[Options] | None:
    """The options class behind a field of a section: of the kind that `value` names where there are several."""
    info = model.model_fields.get(field)
    if info is None:
        return None
    kinds = kinds_of(model, field)
    if kinds:
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            return None
        return options_of(kind, kinds, field) if kind in kinds or ":" in kind else None
    candidates = [info.annotation, *get_args(info.annotation)]
    return next((found for found in candidates if isinstance(found, type) and issubclass(found, Options)), None)


def kinds_of(model: type[Options], field: str) -> Mapping[str, type[Options]] | None:
    """The table of kinds of a field, or None where it holds no kinds."""
    info = model.model_fields[field]
    places = [*info.metadata, *(getattr(info.annotation, "__metadata__", ()))]
    for part in get_args(info.annotation):
        places += getattr(part, "__metadata__", ())
    return next((place.table for place in places if isinstance(place, Kinds)), None)


def as_toml(recipe: Recipe) -> str:
    """The recipe with every default written out; a key without a value is "none", an absent section stays absent."""
    import tomli_w

    sections = {name: value for name, value in recipe.model_dump(mode="json").items() if value is not None}
    return tomli_w.dumps({name: _with_none(value) for name, value in sections.items()})


def _with_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: "none" if inner is None else _with_none(inner) for key, inner in value.items()}
    return value


def packaged_recipe(name: str) -> Recipe:
    """A recipe that comes with the package, ready to run."""
    return validated(tomllib.loads(packaged(name)), f"{name}.toml")


def packaged(name: str) -> str:
    """The text of a recipe that comes with the package."""
    found = resources.files("likewise.recipes") / f"{name}.toml"
    if not found.is_file():
        raise RecipeError(f"There is no recipe {name!r} in the package; it has {', '.join(RECIPES)}.")
    return found.read_text(encoding="utf-8")
