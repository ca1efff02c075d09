"""What `trainer.test` can tell of a module that embeds hits, and write: for modules with a `forward` of their own, too.

    trainer = Trainer(callbacks=[EmbeddingPurEff("purity.json"), EmbeddingTelemetry("telemetry")])
    trainer.test(module, WholeShards([corpus.shards[number] for number in division.shards("test")]))

Each loader holds the events of one split, one batch an event; `splits` names the loaders in their order. The same functions
measure, draw and write in the stages of a recipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from likewise.artifacts.files import replacing
from likewise.encoders.base import weights_digest
from likewise.errors import UserError
from likewise.evaluation.graphs import graph_metrics
from likewise.evaluation.measurement import Events, Measurement, measure_graphs
from likewise.evaluation.measurement_tables import binned_table, neighbors_table, scan_table
from likewise.evaluation.verdict import Rules
from likewise.figures.graphs import graph_drawings
from likewise.figures.paper import save
from likewise.graphs.event import GraphOptions, Pedigree
from likewise.graphs.files import graph_path, is_whole, write_graph
from likewise.graphs.shards import shard_graph
from likewise.graphs.tables import tables_are_whole, write_tables
from likewise.training.layerless import LayerlessEmbedding
from likewise.vectors.shards import vectors_of

SYSTEM = "trained"  # what the one system of these figures and tables is called


class GraphCallback(Callback):
    """Hears of every event that `trainer.test` goes through, with the split that its loader stands for."""

    def __init__(self, splits: Sequence[str]) -> None:
        self.splits = tuple(splits)
        self._tested: dict[str, list[int]] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew; UserError for another kind of module, or another number of loaders."""
        if not isinstance(pl_module, LayerlessEmbedding):
            raise UserError(f"{type(self).__name__} needs a LayerlessEmbedding, not {type(pl_module).__name__}: inherit from it.")
        loaders = len(trainer.num_test_batches)
        if loaders != len(self.splits):
            raise UserError(
                f"{type(self).__name__} names {len(self.splits)} splits ({', '.join(self.splits)}) for {loaders} loaders: "
                "name one for each, in their order."
            )
        self._tested = {split: [] for split in self.splits}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Remember the event; `on_event` is given its vectors."""
        assert isinstance(pl_module, LayerlessEmbedding)
        number = pl_module.shards.number_at(int(batch.rows[0]))
        split = self.splits[dataloader_idx]
        self._tested[split].append(number)
        self.on_event(pl_module, split, number, outputs)

    def on_event(self, module: LayerlessEmbedding, split: str, number: int, vectors: Tensor) -> None:
        """Act on the vectors [n, D] of an event."""

    def _measured(self, module: LayerlessEmbedding, split: str, **asked: Any) -> Measurement:
        numbers = self._tested[split]
        if not numbers:
            raise UserError(f"{type(self).__name__} was given no event of the split {split}: leave the split out, or add events.")
        return measure_graphs(Events(numbers, module.shards.get, lambda shard: vectors_of(module, shard)), **asked)


class EmbeddingPurEff(GraphCallback):
    """Efficiency and purity, over all edges and by event, with 95% intervals: one JSON record, by split.

    The radius is solved for `efficiency` (with `weighted`, for the weighted efficiency); at `r_test` the same is told again.
    `record` holds what was written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        efficiency: float = 0.98,
        r_test: float | None = None,
        weighted: bool = False,
        splits: Sequence[str] = ("test",),
        seed: int = 0,
    ) -> None:
        super().__init__(splits)
        self.path = Path(path)
        self.efficiency = efficiency
        self.r_test = r_test
        self.weighted = weighted
        self.seed = seed
        self.record: dict[str, Any] = {}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and write."""
        assert isinstance(pl_module, LayerlessEmbedding)
        self.record = {split: self._about(pl_module, split) for split in self.splits}
        _write_json(self.path, self.record)

    def _about(self, module: LayerlessEmbedding, split: str) -> dict[str, Any]:
        asked: Any = {"efficiency": self.efficiency, "weighted": self.weighted, "radius": self.r_test, "seed": self.seed}
        found = self._measured(module, split, **asked)

        def at(radius: float) -> dict[str, Any]:
            return {"radius": radius, **graph_metrics(found.counts(radius), Rules(seed=self.seed)).as_json()}

        return {
            "efficiency": self.efficiency,
            "weighted": self.weighted,
            "exact": found.exact,
            "solved": at(found.radius),
            "r_test": None if self.r_test is None else at(self.r_test),
        }


class EmbeddingTelemetry(GraphCallback):
    """Figures for a paper and their numbers as Parquet, by split, in a folder.

    purity, radius, against_pt, against_eta, against_production_radius, neighbors: each as PDF and PNG
    scan.parquet, binned.parquet, neighbors.parquet: what they show
    telemetry.json: the radius, neighbors per hit (mean, median, 99%), how many hits were counted, and how many have too many

    The radius is solved for `efficiency`.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        efficiency: float = 0.98,
        max_neighbors: int | None = None,
        formats: Sequence[Literal["pdf", "png"]] = ("pdf", "png"),
        splits: Sequence[str] = ("test",),
        seed: int = 0,
    ) -> None:
        super().__init__(splits)
        self.folder = Path(folder)
        self.efficiency = efficiency
        self.max_neighbors = max_neighbors
        self.formats = tuple(formats)
        self.seed = seed

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, draw and write."""
        assert isinstance(pl_module, LayerlessEmbedding)
        for split in self.splits:
            found = self._measured(pl_module, split, efficiency=self.efficiency, seed=self.seed)
            folder = self.folder / split
            folder.mkdir(parents=True, exist_ok=True)
            self._draw(folder, found)
            tables = {
                "scan": scan_table({SYSTEM: found.scan}),
                "binned": binned_table({SYSTEM: found.binned}),
                "neighbors": neighbors_table({SYSTEM: found.degrees}),
            }
            for name, table in tables.items():
                with replacing(folder / f"{name}.parquet") as temporary:
                    pyarrow.parquet.write_table(table, temporary, write_page_checksum=True)
            _write_json(folder / "telemetry.json", self._about(found))

    def _draw(self, folder: Path, found: Measurement) -> None:
        binned = {name: {SYSTEM: each} for name, each in found.binned.items()}
        marks: Any = {"chosen": SYSTEM, "radius": found.radius, "efficiency": self.efficiency}
        for drawing in graph_drawings({SYSTEM: found.scan}, binned, {SYSTEM: found.degrees}, **marks):
            for kind in self.formats:
                save(drawing.figure, folder / f"{drawing.name}.{kind}")

    def _about(self, found: Measurement) -> dict[str, Any]:
        degrees = found.degrees
        over = None if self.max_neighbors is None else int(degrees.hits[self.max_neighbors + 1 :].sum())
        return {
            "efficiency": self.efficiency,
            "radius": found.radius,
            "exact": found.exact,
            "neighbors": {"mean": degrees.mean, "median": degrees.quantile(0.5), "99%": degrees.quantile(0.99)},
            "max_neighbors": self.max_neighbors,
            "counted": int(degrees.hits.sum()),
            "cut": over,
        }


class EmbeddingBuilder(GraphCallback):
    """One graph for each event, in folder/SPLIT/EVENT.npz, and Parquet tables beside it if asked (`likewise.graphs`).

    All pairs within `radius`, or those that either hit keeps among its nearest `max_neighbors`; edges point outward, or (`flip`)
    half of them back, drawn by `seed`. `models` are names of models that came before, for the pedigree, which holds a digest of
    the module's weights. A graph that is whole and of the same pedigree is left as it is; `built` counts the others.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        radius: float,
        max_neighbors: int | None = None,
        flip: bool = False,
        tables: bool = False,
        models: Mapping[str, str] | None = None,
        splits: Sequence[str] = ("test",),
        seed: int = 0,
    ) -> None:
        super().__init__(splits)
        self.folder = Path(folder)
        self.options = GraphOptions(radius, max_neighbors, flip, seed)
        self.tables = tables
        self.models = dict(models or {})
        self.built = 0
        self._pedigree: Pedigree | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note which weights build."""
        super().on_test_start(trainer, pl_module)
        self.built = 0
        self._pedigree = Pedigree(self.options, {**self.models, type(pl_module).__name__: weights_digest(pl_module)})

    def on_event(self, module: LayerlessEmbedding, split: str, number: int, vectors: Tensor) -> None:
        """Build and write, unless it is there."""
        assert self._pedigree is not None
        folder, shard = self.folder / split, module.shards.get(number).shard
        folder.mkdir(parents=True, exist_ok=True)
        whole = is_whole(graph_path(folder, shard.name), self._pedigree)
        if whole and (not self.tables or tables_are_whole(folder, shard.name, self._pedigree)):
            return
        graph = shard_graph(shard, vectors, self._pedigree)
        write_graph(folder, graph)
        if self.tables:
            write_tables(folder, graph)
        self.built += 1


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
