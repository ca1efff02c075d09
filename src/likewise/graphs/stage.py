"""The stage that keeps graphs: one file for each event, by split, whole or absent.

graphs/train/EVENT.npz, graphs/validation/…, graphs/test/…   and Parquet tables beside them if asked
graphs.json   the radius, and of each event its split, hits, edges and cut queries
"""

from __future__ import annotations

import os
from pathlib import Path

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.fit import load_encoder
from likewise.errors import DataError
from likewise.graphs.event import GraphOptions, Pedigree
from likewise.graphs.files import graph_path, is_whole, read_graph, write_graph
from likewise.graphs.options import GraphResultOptions
from likewise.graphs.shards import shard_graph
from likewise.graphs.tables import write_tables
from likewise.types import SPLITS
from likewise.vectors.precision import device_for
from likewise.vectors.shards import load_shard, vectors_of
from likewise.vectors.store import Made


def keep_graphs(draft: Draft, options: GraphResultOptions, made: Made) -> None:
    """Write the graph of every event that has hits; one that an interrupted attempt left whole is not built again.

    DataError where neither `options.radius` nor an evaluation says how far to look.
    """
    corpus, device = Corpus(made.items), device_for("auto", "result")
    encoder = load_encoder(made.model).eval().to(device)
    radius = _radius(options, made)
    kept = GraphOptions(radius, options.max_neighbors, options.flip, draft.seed)
    pedigree = Pedigree(kept, {"encoder": encoder.space}, {made.model.stage: made.model.content, "ingest": made.items.content})
    events = []
    split_of = _splits(corpus, Division(made.split) if made.split else None)
    for number, split in split_of.items():
        name = corpus.shards[number].name
        path = Path("graphs") / split
        file = (path / graph_path(path, name).name).as_posix()
        if not (draft.has(file) and is_whole(draft.file(file), pedigree)):
            loaded = load_shard(corpus, number, device)
            graph = shard_graph(loaded.shard, vectors_of(encoder, loaded), pedigree)
            if options.tables:  # first: where the graph stands, its tables do
                with draft.write_folder((path / f"{Path(file).stem}-tables").as_posix()) as folder:
                    write_tables(folder, graph)
            with draft.write(file) as temporary:
                os.replace(write_graph(draft.scratch("graphs"), graph), temporary)
        graph = read_graph(draft.file(file))
        found = {"event": name, "split": split, "hits": len(graph.hits), "edges": graph.edge_index.shape[1], "cut": graph.cut}
        events.append({**found, "file": file})
        draft.progress(len(events), len(split_of), f"{name}: {found['edges']:,} edges")
    draft.write_json("graphs.json", {"radius": radius, "max_neighbors": options.max_neighbors, "events": events})
    edges = sum(int(event["edges"]) for event in events)
    draft.say(f"{len(events)} graphs with {edges:,} edges within {radius:.4g}, in {draft.path / 'graphs'}.")


def _radius(options: GraphResultOptions, made: Made) -> float:
    if options.radius is not None:
        return options.radius
    if made.measured is None:
        raise DataError("[result] has no radius: set one, or add [evaluate], which solves it for an efficiency.")
    return float(made.measured.json("graphs.json")["systems"]["after"]["radius"])


def _splits(corpus: Corpus, division: Division | None) -> dict[int, str]:
    """The split of each event that has hits, by number; "train" for all where nothing was divided."""
    if division is None:
        return {number: "train" for number, shard in enumerate(corpus.shards) if len(shard)}
    return {int(number): split for split in SPLITS for number in division.shards(split)}
