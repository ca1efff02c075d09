"""One `.npz` file for each event: no pickle, whole or absent, and read in one line elsewhere.

    Data(**{name: torch.from_numpy(array) for name, array in np.load(path).items()})                # PyTorch Geometric
    networkx.from_edgelist(np.load(path)["edge_index"].T.tolist(), networkx.DiGraph)                # NetworkX
    json.loads(bytes(np.load(path)["metadata"]))                                                    # counts and pedigree

The arrays' names are those of `EventGraph.arrays`; `metadata` is JSON in UTF-8, as uint8, which every tensor library can hold.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.artifacts.files import replacing
from likewise.errors import DamagedArtifact
from likewise.graphs.contents import damaged, describe, verified
from likewise.graphs.event import EventGraph, Pedigree
from likewise.graphs.names import file_name

SUFFIX = ".npz"
METADATA = "metadata"
UNREADABLE = (  # what numpy and zipfile raise, between them, when bytes are missing or changed
    OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, RuntimeError, MemoryError, SyntaxError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def graph_path(folder: Path, event: str) -> Path:
    """Where the graph of an event stands in a folder, by the event's full id."""
    return folder / f"{file_name(event)}{SUFFIX}"


def write_graph(folder: Path, graph: EventGraph) -> Path:
    """Write a graph, atomically, under its event's name; the same graph gives the same bytes. Returns the path."""
    path = graph_path(folder, graph.event)
    arrays = graph.arrays()
    metadata = np.frombuffer(describe(graph, arrays).encode(), dtype=np.uint8)
    everything: dict[str, Any] = {**arrays, METADATA: metadata}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **everything)
    return path


def read_graph(path: Path) -> EventGraph:
    """Read a graph, whole: its digest is checked. DamagedArtifact, which names the file, for any other."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays: dict[str, NDArray[Any]] = {name: stored[name] for name in stored.files}
        metadata = arrays.pop(METADATA).tobytes()
    except UNREADABLE as error:
        raise damaged(path, str(error) or type(error).__name__) from error
    return verified(arrays, metadata, path)


def is_whole(path: Path, pedigree: Pedigree | None = None) -> bool:
    """Whether a graph's file is there and whole and, where a pedigree is given, was made by the same models and options."""
    try:
        graph = read_graph(path)
    except DamagedArtifact:
        return False
    return pedigree is None or graph.pedigree.as_json() == pedigree.as_json()
