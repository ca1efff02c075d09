"""The reference of a recipe, generated from the options: JSON schema for machines, Markdown for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from likewise.config import Recipe, kinds_of, model_of
from likewise.options import Options


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the reference: its name in a recipe, its kind if there are several, and its options."""

    name: str
    kind: str | None
    options: type[Options]


def sections(model: type[Options] = Recipe, place: str = "") -> Iterator[Section]:
    """Every section that a recipe may have, in order, kinds and nested sections included."""
    for field in model.model_fields:
        name = f"{place}{field}"
        kinds: Mapping[str, type[Options]] | None = kinds_of(model, field)
        inner = model_of(model, field)
        found = [Section(name, kind, options) for kind, options in kinds.items()] if kinds else []
        if inner is not None:
            found.append(Section(name, None, inner))
        for section in found:
            yield section
            yield from sections(section.options, f"{name}.")


def keys(section: Section) -> Iterator[tuple[str, str, str, str]]:
    """(key, type, default, effect) of a section's own keys, without nested sections."""
    schema = section.options.model_json_schema()
    nested = {
        field for field in section.options.model_fields if kinds_of(section.options, field) or model_of(section.options, field)
    }
    for key, info in schema["properties"].items():
        if key not in nested:
            field = section.options.model_fields[key]
            default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
            yield key, _type(info), default, field.description or ""


def _value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value)


def _type(info: Mapping[str, Any]) -> str:
    if "anyOf" in info:
        return " or ".join('"none"' if part.get("type") == "null" else _type(part) for part in info["anyOf"])
    if "const" in info:
        return _value(info["const"])
    if "enum" in info:
        return ", ".join(_value(item) for item in info["enum"])
    if info.get("type") == "array":
        return f"list of {_type(info['items'])}" if info.get("items") else "list"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
    bounds = [
        f"{sign} {info[bound]:g}"
        for bound, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if bound in info
    ]
    return " ".join([names.get(info.get("type", ""), "value"), ", ".join(bounds)]).strip()


def json_schema() -> dict[str, Any]:
    """The JSON schema of a recipe; a section with several kinds is an `anyOf` over them."""
    properties: dict[str, Any] = {}
    for section in sections():
        if "." in section.name:
            continue
        schema = section.options.model_json_schema()
        if section.kind is None:
            properties[section.name] = schema
        else:
            properties.setdefault(section.name, {"anyOf": []})["anyOf"].append(schema)
    own = {key: info for key, info in Recipe.model_json_schema()["properties"].items() if key not in properties}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Likewise recipe",
        "type": "object",
        "additionalProperties": False,
        "required": ["ingest", "encoder"],
        "properties": {**own, **properties},
    }


def as_markdown() -> str:
    """`docs/reference/recipe.md`."""
    lines = [
        "# The recipe: every section and key",
        "",
        "Generated from the options by `make docs`; do not edit. A recipe is a TOML file (YAML is read, too). A section that is",
        'absent is a stage that is absent. A key whose type admits `"none"` may be without a value. Anything with a `kind`',
        'also takes `"package.module:Class"`: a class of yours, whose nested class `Options` holds its keys.',
        "",
        "## The recipe itself",
        "",
        *_table(Section("", None, Recipe)),
    ]
    for section in sections():
        title = f"`[{section.name}]`" + (f' with `kind = "{section.kind}"`' if section.kind else "")
        lines += ["", f"## {title}", "", (section.options.__doc__ or "").strip(), "", *_table(section)]
    return "\n".join(lines) + "\n"


def _table(section: Section) -> list[str]:
    rows = ["| key | type | default | effect |", "| --- | --- | --- | --- |"]
    for key, kind, default, effect in keys(section):
        cells = (f"`{key}`", kind, f"`{default}`", " ".join(effect.split()))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows
