"""OpenVINO's one core in a process."""

from __future__ import annotations

import threading
from typing import Any

_lock = threading.Lock()
_cores: list[Any] = []


def core() -> Any:
    """The core that everything here uses, never given back.

    Each core gives the thread that makes it a stack for signals, and unmaps it at its end even where a later core, which ended
    before, has put it back in force: the next signal then ends the process, be there a handler or not.
    """
    import openvino

    with _lock:
        if not _cores:
            _cores.append(openvino.Core())
        return _cores[0]
