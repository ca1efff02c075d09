"""The flow, top to bottom. Every stage runs once: again only when its own section or its inputs have changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise import stages
from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Reporter
from likewise.artifacts.files import replacing
from likewise.artifacts.run import ABSENT, Run
from likewise.config import Recipe, as_toml
from likewise.errors import DataError, UserError
from likewise.options import Options

STAGES = (
    "ingest", "fingerprint", "split", "fit", "embed", "mine", "train", "embed-after", "baselines", "evaluate", "index", "graph",
    "report",
)  # fmt: skip
RESULT_STAGES = ("graph", "index")  # of which a recipe has one
WHEN_NEEDED = "vectors are computed when they are needed"
IN_STEPS = "pairs are found in every training step"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left: its folder, the artifacts by stage, and the verdict if it came that far."""

    folder: Path
    finished: Mapping[str, Artifact]
    verdict: Mapping[str, Any] | None
    report: Path | None


def run(
    recipe: Recipe,
    folder: Path | None = None,
    *,
    until: str | None = None,
    fresh: bool = False,
    tentative: bool = False,
    reporter: Reporter | None = None,
) -> Outcome:
    """Run a recipe in a folder (runs/NAME by default), up to the stage `until`; `fresh` does everything again.

    `tentative`: the folder's recipe, and the artifacts in force, stay what they are; a later run finds what was made.
    """
    check_stage(recipe, until)
    folder = folder or Path("runs") / recipe.name
    with Run(folder, until=until, fresh=fresh, tentative=tentative, seed=recipe.seed, reporter=reporter) as r:
        if not tentative:
            _write(folder / "recipe.toml", as_toml(recipe))
        items = r.stage(stages.ingest, recipe.ingest)
        looks = r.stage(stages.fingerprint, recipe.fingerprint, items)
        split = r.stage(stages.divide, recipe.split, items, looks, name="split")
        check_measurable(recipe, split)
        start = r.stage(stages.fit, recipe.encoder, items, split)
        before = r.stage(stages.embed, embedding(recipe), start, items, absent=WHEN_NEEDED)
        mined = r.stage(stages.mine, recipe.hard, before, items, looks, split, absent=IN_STEPS if recipe.mine else ABSENT)
        trained = r.stage(stages.train, training(recipe), start, before, items, looks, split, mined)
        if trained and trained.json("chosen.json")["chosen"] == "trained":
            after = r.stage(stages.embed, embedding(recipe), trained, items, name="embed-after", absent=WHEN_NEEDED)
        else:
            after = r.absent("embed-after", "the start is kept: its vectors are there", instead=before)
        rivals = r.stage(stages.baselines, computed_baselines(recipe), items, looks, split)
        measured = r.stage(stages.evaluate, recipe.evaluate, start, before, after, items, looks, split, trained, rivals)
        r.stage(stages.result, recipe.result, trained or start, after, items, split, measured, name=result_stage(recipe))
        r.stage(stages.report, reporting(recipe, r), *r.finished.values())
    return finish(r)


def check_stage(recipe: Recipe, until: str | None) -> None:
    """UserError for a stage to end after that no run of this recipe comes to."""
    known = [stage for stage in STAGES if stage == result_stage(recipe) or stage not in RESULT_STAGES]
    if until is not None and until not in known:
        raise UserError(f'There is no stage "{until}" in a run of this recipe to end after; its stages are {", ".join(known)}.')


def check_measurable(recipe: Recipe, split: Artifact | None) -> None:
    """DataError before hours of training, where the verdict would have nothing to measure."""
    if recipe.retrieval is not None and split is not None and not split.json("leakage.json")["test"]["units"]:
        raise DataError(
            "[evaluate] has nothing to measure: nothing is in the test split; raise [split] test, or remove [evaluate]."
        )


def training(recipe: Recipe) -> stages.TrainInputs | None:
    """The sections that training reads, or None for a recipe that does not train."""
    return stages.TrainInputs(train=recipe.train, mine=recipe.mine, embed=recipe.embed) if recipe.train else None


def embedding(recipe: Recipe) -> Options | None:
    """How items become vectors that are kept; where evidence stays within shards they are computed when they are needed."""
    return recipe.embed if recipe.scope == "corpus" else None


def result_stage(recipe: Recipe) -> str:
    """The folder of the result."""
    graph, index = RESULT_STAGES
    return graph if getattr(recipe.result, "kind", "") == "graph" else index


def computed_baselines(recipe: Recipe) -> dict[str, list[str]] | None:
    """The baselines that have vectors; "static" needs training, and another encoder in the run than one of its kind."""
    trains = recipe.train is not None and getattr(recipe.encoder, "kind", "") != "static"
    names: list[str] = [name for name in recipe.baselines if name == "pixels" or (name == "static" and trains)]
    return {"names": names} if names else None


def reporting(recipe: Recipe, r: Run) -> stages.ReportInputs | None:
    """What the page tells beside the artifacts: the recipe, and how long each stage took."""
    if recipe.report is None:
        return None
    return stages.ReportInputs(report=recipe.report, recipe=recipe.model_dump(mode="json"), records=stage_times(r))


def stage_times(r: Run) -> tuple[dict[str, Any], ...]:
    """What each stage took when it was done (which may have been in an earlier run)."""
    return tuple(
        {"stage": record.stage, "seconds": record.seconds, "peak_memory_bytes": record.peak_memory_bytes} for record in r.records
    )


def finish(r: Run) -> Outcome:
    """Lay the verdict and the page where people look for them."""
    verdict = report = None
    if "evaluate" in r.finished and r.finished["evaluate"].has("verdict.json"):
        verdict = r.finished["evaluate"].json("verdict.json")
        _copy(r.finished["evaluate"].file("verdict.json"), r.folder / "verdict.json")
    if "report" in r.finished:
        report = r.folder / "report.html"
        _copy(r.finished["report"].file("report.html"), report)
    return Outcome(r.folder, dict(r.finished), verdict, report)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
