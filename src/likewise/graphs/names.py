"""The name of an event's files: its full id, made safe for every file system, and never that of another event."""

from __future__ import annotations

import hashlib
import re

PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,119}")
KEPT = 80  # characters of an id that stay legible in a name with a digest


def file_name(event: str) -> str:
    """An id of lower-case letters, digits, "_", "-" and "." (not first) names its own file; others get a digest of the id.

    "event000001000" stays as it is, "run 7/Event 3" becomes "run-7-event-3~…" with 16 hexadecimal digits. File systems that take
    "A" and "a" for the same keep them apart, too, and no name is longer than 120 characters.
    """
    if PLAIN.fullmatch(event):
        return event
    legible = re.sub(r"[^a-z0-9_.]+", "-", event.lower())[:KEPT].strip("-.") or "event"
    return f"{legible}~{hashlib.sha256(event.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
