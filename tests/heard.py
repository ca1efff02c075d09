"""A reporter that remembers what a run says."""

from __future__ import annotations

from likewise.artifacts.draft import Silence


class Heard(Silence):
    """What was said, as `stage: sentence`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, stage: str, sentence: str) -> None:
        self.lines.append(f"{stage}: {sentence}")

    def absent(self, stage: str, reason: str) -> None:
        self.lines.append(f"{stage}: {reason}")
