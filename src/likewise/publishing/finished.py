"""What of a run is in force: artifacts that stages of an earlier recipe left beside it are passed over."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.run import current
from likewise.errors import DamagedArtifact, UserError

if TYPE_CHECKING:
    from likewise.data.corpus import Corpus

RECIPE = "recipe.toml"
SECTIONS = {  # the section of the recipe without which a stage is absent
    "fingerprint": "fingerprint",
    "split": "split",
    "mine": "mine",
    "train": "train",
    "embed-after": "train",
    "baselines": "evaluate",
    "evaluate": "evaluate",
    "index": "result",
    "graph": "result",
    "report": "report",
}
MADE_BY = {  # the stage whose artifact holds a section as it was when the stage ran
    "ingest": "ingest",
    "fingerprint": "fingerprint",
    "split": "split",
    "encoder": "fit",
    "embed": "embed",
    "mine": "mine",
    "train": "train",
    "evaluate": "evaluate",
    "result": "index",
}


class FinishedRun:
    """A run's folder, read: its recipe and the artifact in force of each stage, each made from the others in force.

    UserError where the folder is no run, or where a stage that is asked for was not run since its inputs changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / RECIPE).is_file():
            raise UserError(f"{folder} is not a run: it has no {RECIPE}; name a folder below runs/.")

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe as it was resolved, by section."""
        path = self.folder / RECIPE
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DamagedArtifact(f"{path} is not TOML ({error}); run the recipe again in this folder.") from None

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """The recipe's sections as the artifacts in force were made with them, which `recipe.toml` may no longer say."""
        return {section: self._made_with(section, values) for section, values in self.recipe.items()}

    def _made_with(self, section: str, values: Any) -> Any:
        stage = "graph" if section == "result" and values.get("kind") == "graph" else MADE_BY.get(section)
        artifact = self.find(stage) if stage is not None else None
        if artifact is None:
            return values
        stored = artifact.manifest.options
        return _without_null(stored["train"] if section == "train" else stored)

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.recipe.get("name", self.folder.name))

    def find(self, stage: str) -> Artifact | None:
        """The artifact in force of a stage; None where the recipe lacks the stage or it was not run."""
        if SECTIONS.get(stage, stage) not in self.recipe and stage in SECTIONS:
            return None
        return current(self.folder, stage)

    def need(self, stage: str) -> Artifact:
        """The artifact in force of a stage; UserError where there is none."""
        artifact = self.find(stage)
        if artifact is None:
            raise UserError(
                f"{self.folder} has no finished stage {stage}; run it: likewise run {self.folder / RECIPE} --folder {self.folder}"
            )
        return artifact

    @cached_property
    def chosen(self) -> Literal["start", "trained"]:
        """Whether the run handed over its start or what it trained."""
        trained = self.find("train")
        return "trained" if trained is not None and trained.json("chosen.json")["chosen"] == "trained" else "start"

    @cached_property
    def model(self) -> Artifact:
        """The artifact of the model that the run handed over."""
        return self.need("train" if self.chosen == "trained" else "fit")

    @cached_property
    def vectors(self) -> Artifact:
        """The artifact of that model's vectors; UserError where none are kept, as of events."""
        if self.items.json("counts.json").get("scope") == "shard":
            raise UserError(
                f"{self.folder} keeps no vectors: those of events are computed when they are needed; its graphs are in"
                f" {self.folder / 'graph'}."
            )
        artifact = self.need("embed-after" if self.chosen == "trained" else "embed")
        self.check_current(artifact, self.model, self.items)
        return artifact

    @cached_property
    def items(self) -> Artifact:
        """The artifact of the items."""
        return self.need("ingest")

    @cached_property
    def corpus(self) -> Corpus:
        """The items."""
        from likewise.data.corpus import Corpus

        return Corpus(self.items)

    @cached_property
    def evaluation(self) -> Artifact | None:
        """The artifact of the verdict on that model; None where the recipe does not evaluate."""
        artifact = self.find("evaluate")
        if artifact is not None:
            trained = self.find("train")
            graphs = artifact.has("graphs.json")  # made from the models and the events themselves, not from kept vectors
            measured = (self.items, self.need("fit")) if graphs else (self.vectors,)
            self.check_current(artifact, *measured, *([trained] if trained else []))
        return artifact

    def check_current(self, artifact: Artifact, *inputs: Artifact) -> None:
        """UserError where an artifact was made of other inputs than these."""
        for other in inputs:
            if artifact.manifest.inputs.get(other.stage) != other.content:
                raise UserError(
                    f"{self.folder}: the stage {artifact.stage} is older than what {other.stage} holds now; "
                    f"run it again: likewise run {self.folder / RECIPE} --folder {self.folder}"
                )


def _without_null(value: Any) -> Any:
    """As a recipe writes it: "none" for a key without a value."""
    if isinstance(value, Mapping):
        return {key: _without_null(inner) for key, inner in value.items()}
    return "none" if value is None else value
