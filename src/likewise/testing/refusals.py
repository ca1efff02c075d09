"""What must be refused, with a message that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from likewise.errors import DataError


def refused(ask: Callable[[], object], what: str, *words: str) -> None:
    """AssertionError unless `ask` raises DataError whose message holds all words, in any case; `what` says what was given."""
    try:
        ask()
    except DataError as error:
        message = str(error)
    else:
        raise AssertionError(f"{what} was accepted")
    for word in words:
        assert word.lower() in message.lower(), f"{what}: the message does not say {word!r}: {message}"
