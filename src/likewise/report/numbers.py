"""Numbers, times and sizes as people read them."""

from __future__ import annotations

from typing import Any

from likewise.evaluation.digits import plain


def duration(seconds: float) -> str:
    """A time with the precision that matters at its size."""
    if seconds < 0.0005:
        return "0 s"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(count: float) -> str:
    """Bytes in decimal units."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit in ("B", "kB") or value >= 100 else f"{value:.1f} {unit}"


def amount(number: float) -> str:
    """A share with the decimals that it needs; what is larger than any share with about three digits."""
    return plain(number) if number <= 1 else f"{number:,.1f}" if number < 100 else f"{number:,.0f}"


def value(thing: Any) -> str:
    """A value of a JSON file."""
    if thing is None:
        return "–"
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, int):
        return f"{thing:,}"
    if isinstance(thing, float):
        return f"{thing:,.0f}" if thing.is_integer() and abs(thing) >= 1000 else f"{thing:.4g}"
    if isinstance(thing, list | tuple):
        return ", ".join(value(part) for part in thing) or "–"
    return str(thing)


def words(name: str) -> str:
    """A key of a JSON file as words: "repeated_items" is "repeated items"."""
    return name.replace("_", " ")


def shortened(text: str, longest: int = 240) -> str:
    """A text cut after a word, with an ellipsis where something is missing; white space is single."""
    single = " ".join(text.split())
    if len(single) <= longest:
        return single
    head = single[:longest]
    return head[: head.rfind(" ") if " " in head[longest // 2 :] else longest].rstrip() + " …"
