"""Models by the name of a folder or of a repository on the Hugging Face hub, and one sentence where they cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import huggingface_hub
from transformers.utils import logging as transformers_logging

from likewise.errors import DataError

T = TypeVar("T")

HUB_TIMEOUT = 10.0
"""Seconds."""


def opened(model: str, open_: Callable[[str, bool], T], *, writer: str) -> T:
    """What `open_(name, local_files_only)` gives for a folder or a name on the hub; DataError names the model where it fails.

    `writer` says what writes such folders.
    """
    folder = Path(model).expanduser()
    try:
        with without_progress_bars():
            return open_(str(folder) if folder.exists() else model, not folder.exists() and not hub_answers())
    except Exception as error:  # the hub, the file system, JSON, safetensors and transformers each raise their own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if folder.exists():
            remedy = f"give a folder that {writer} wrote"
            raise DataError(f'[encoder] model = "{model}" is here but cannot be opened ({reason}); {remedy}.') from error
        remedy = "check the name, the revision and the network, or give the folder of a model that is on this machine"
        sentence = (
            f'[encoder] model = "{model}" is neither a folder here nor could it be had from the Hugging Face hub ({reason})'
        )
        raise DataError(f"{sentence}; {remedy}.") from error


def hub_answers() -> bool:
    """Whether the hub can be reached; asked first, for its client would try again for minutes before it gives up."""
    if huggingface_hub.is_offline_mode():
        return False
    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception:  # the client's own kinds of "no": no route, no name, no answer, a proxy that refuses
        return False
    return True


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """transformers draws a bar for every file of weights it opens or writes."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
