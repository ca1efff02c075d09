"""The same graph as Parquet tables, for whoever asks a database or a data frame: `.nodes`, `.truth` and `.edges`.

nodes   hit_id, particle, r, phi, z, and one column for each feature: feature_0, feature_1, …
edges   source and target (rows of the nodes, from 0), distance, label, weight
truth   first and second (rows of the nodes), signal, weight: the true edges, found or not
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from likewise.artifacts.files import replacing
from likewise.errors import DamagedArtifact
from likewise.graphs.contents import damaged, describe, verified
from likewise.graphs.event import EventGraph, Pedigree
from likewise.graphs.names import file_name

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = ("nodes", "truth", "edges")  # edges last: it is the largest, and where it stands the others do
METADATA = b"likewise"
NODE_COLUMNS = ("hit_id", "particle", "r", "phi", "z")


def table_paths(folder: Path, event: str) -> dict[str, Path]:
    """Where the tables of an event stand in a folder: nodes, truth, edges."""
    return {part: folder / f"{file_name(event)}.{part}.parquet" for part in PARTS}


def write_tables(folder: Path, graph: EventGraph) -> dict[str, Path]:
    """Write the three tables of a graph, each atomically, with page checksums. Returns their paths."""
    import pyarrow as pa
    import pyarrow.parquet

    paths = table_paths(folder, graph.event)
    arrays = graph.arrays()
    metadata = {METADATA: describe(graph, arrays).encode()}
    for part, columns in _columns(arrays).items():
        table = pa.table(columns).replace_schema_metadata(metadata)
        with replacing(paths[part]) as temporary:
            pyarrow.parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    return paths


def read_tables(folder: Path, event: str) -> EventGraph:
    """Read a graph back from its three tables; DamagedArtifact where one is missing, damaged, or of another graph."""
    paths = table_paths(folder, event)
    tables = {part: _read(path) for part, path in paths.items()}
    told = {part: (table.schema.metadata or {}).get(METADATA, b"") for part, table in tables.items()}
    for part, metadata in told.items():
        if metadata != told["edges"]:
            raise damaged(paths[part], "it belongs to another graph than the edges beside it")
    try:
        arrays = _arrays({part: {name: table[name].to_numpy() for name in table.column_names} for part, table in tables.items()})
    except KeyError as error:
        raise damaged(paths["edges"], f"a column {error} is missing") from error
    return verified(arrays, told["edges"], paths["edges"])


def tables_are_whole(folder: Path, event: str, pedigree: Pedigree | None = None) -> bool:
    """Whether the tables of an event are there and whole and, where a pedigree is given, made by the same models and options."""
    try:
        graph = read_tables(folder, event)
    except DamagedArtifact:
        return False
    return pedigree is None or graph.pedigree.as_json() == pedigree.as_json()


def _columns(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    source, target = arrays["edge_index"]
    first, second = arrays["true_edge_index"]
    features = {f"feature_{number}": column for number, column in enumerate(arrays["x"].T)}
    return {
        "nodes": {name: arrays[name] for name in NODE_COLUMNS} | features,
        "truth": {
            "first": first,
            "second": second,
            "signal": arrays["true_edge_signal"],
            "weight": arrays["true_edge_weight"],
        },
        "edges": {
            "source": source,
            "target": target,
            "distance": arrays["edge_attr"][:, 0],
            "label": arrays["y"],
            "weight": arrays["edge_weight"],
        },
    }


def _arrays(columns: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """What `_columns` took apart."""
    nodes, truth, edges = (columns[part] for part in PARTS)
    features = [nodes[f"feature_{number}"] for number in range(len(nodes) - len(NODE_COLUMNS))]
    return {
        **{name: nodes[name] for name in NODE_COLUMNS},
        "x": np.stack(features, axis=1) if features else np.empty((len(nodes["hit_id"]), 0), dtype=np.float32),
        "edge_index": np.stack([edges["source"], edges["target"]]),
        "edge_attr": edges["distance"][:, None],
        "edge_weight": edges["weight"],
        "y": edges["label"],
        "true_edge_index": np.stack([truth["first"], truth["second"]]),
        "true_edge_signal": truth["signal"],
        "true_edge_weight": truth["weight"],
    }


def _read(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error).split("\n")[0]) from error
