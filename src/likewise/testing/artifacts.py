"""Drafts and artifacts in a test's folder."""

from __future__ import annotations

from pathlib import Path

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft


def draft(folder: Path, stage: str = "stage", seed: int = 0) -> Draft:
    """A fresh draft in a folder of its own below `folder`."""
    number = sum(1 for _ in folder.glob(f"{stage}-*"))
    return Draft(folder / f"{stage}-{number:03d}", stage=stage, seed=seed)


def publish(unfinished: Draft) -> Artifact:
    """The draft as a finished artifact."""
    return unfinished.publish()
