"""The base of every recipe section, and the tables of kinds. Pydantic only: no torch, no pyarrow.

A section is a frozen pydantic model. A section with a `kind` is one of several: the short names stand in an explicit
table at the owning stage, and `"package.module:Class"` names a stranger's class, whose options are its `Options`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, model_validator

from likewise.errors import RecipeError


class Options(BaseModel):
    """A section of a recipe: frozen, unknown keys refused. `implementation` names the class that a kind builds."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    implementation: ClassVar[str] = ""
    paths: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _none(cls, given: Any) -> Any:
        """TOML has no null: the word "none" stands for it wherever a key may be without a value."""
        if not isinstance(given, dict):
            return given
        return {key: None if value == "none" and cls._may_be_none(key) else value for key, value in given.items()}

    @classmethod
    def _may_be_none(cls, key: str) -> bool:
        return key in cls.model_fields and type(None) in get_args(cls.model_fields[key].annotation)

    def outside(self) -> tuple[str, ...]:
        """What this section depends on beside its own text: paths whose files are watched, or versions."""
        return tuple(value for name in self.paths if (value := getattr(self, name)))


def load(reference: str) -> Any:
    """The object that `"package.module:Name"` names; RecipeError if there is none."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the last two: no module, or a relative one
        raise RecipeError(
            f'kind = "{reference}" cannot be loaded ({error}); write "package.module:Class" of an importable class.'
        ) from error


def options_of(kind: str, table: Mapping[str, type[Options]], section: str) -> type[Options]:
    """The options class of a kind: from the table, or the `Options` of a stranger's class."""
    if kind in table:
        return table[kind]
    if ":" not in kind:
        names = ", ".join(sorted(table))
        raise RecipeError(f'[{section}] kind = "{kind}" is not known: use one of {names}, or "package.module:Class".')
    found = getattr(load(kind), "Options", None)
    if not (isinstance(found, type) and issubclass(found, Options)):
        raise RecipeError(
            f'[{section}] kind = "{kind}" has no nested class Options(likewise.options.Options): add one, with its keys.'
        )
    return found


class Kinds:
    """Annotates a field that holds one of several kinds: `loss: Annotated[Options, Kinds(TABLE, "train.loss")]`."""

    def __init__(self, table: Mapping[str, type[Options]], section: str, default: str | None = None) -> None:
        """`default`: the kind of a section that names none."""
        self.table = dict(table)
        self.section = section
        self.default = default

    def parse(self, given: Any) -> Any:
        """The options of the kind that a table names; options pass as they are."""
        if isinstance(given, Options) or given is None:
            return given
        if isinstance(given, dict) and self.default is not None:
            given = {"kind": self.default, **given}
        if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
            names = ", ".join(sorted(self.table))
            raise RecipeError(f'[{self.section}] needs kind = "…": one of {names}, or "package.module:Class".')
        return options_of(given["kind"], self.table, self.section).model_validate(given)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        annotation = Annotated[SerializeAsAny[source], BeforeValidator(self.parse)]
        return handler(annotation)


def build(options: Options, *arguments: Any, **named: Any) -> Any:
    """An instance of what the options describe: `Implementation(options, *arguments, **named)`."""
    reference = options.implementation or getattr(options, "kind", "")
    return load(reference)(options, *arguments, **named)
