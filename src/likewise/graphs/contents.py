"""What a graph's file says of itself, so that a reader can tell whether it is whole: counts, a digest, the pedigree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DamagedArtifact
from likewise.graphs.event import EventGraph, Pedigree

FORMAT = 1

Arrays = Mapping[str, NDArray[Any]]


def describe(graph: EventGraph, arrays: Arrays) -> str:
    """The metadata of a graph with these arrays, as JSON."""
    told = {
        "format": FORMAT,
        "event": graph.event,
        "hits": len(graph.hits),
        "edges": len(graph.label),
        "true_edges": len(graph.hits.true),
        "cut": graph.cut,
        "pedigree": graph.pedigree.as_json(),
        "sha256": digest_arrays(arrays),
    }
    return json.dumps(told, sort_keys=True, ensure_ascii=False, allow_nan=False)


def verified(arrays: Arrays, metadata: str | bytes, path: Path) -> EventGraph:
    """The graph of what was read; DamagedArtifact where it is not what was written."""
    try:
        told = json.loads(metadata)
        if told["format"] != FORMAT:
            raise DamagedArtifact(f"{path} has the format {told['format']}, this version reads {FORMAT}: build the graph again.")
        whole = told["sha256"] == digest_arrays(arrays)
        whole = whole and (len(arrays["hit_id"]), len(arrays["y"])) == (told["hits"], told["edges"])
        if whole:
            pedigree = Pedigree.from_json(told["pedigree"])
            return EventGraph.from_arrays(arrays, event=told["event"], cut=told["cut"], pedigree=pedigree)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise damaged(path, str(error)) from error
    raise damaged(path, "its digest differs")


def damaged(path: Path, why: str) -> DamagedArtifact:
    """The error of a file that is not what was written."""
    return DamagedArtifact(f"{path} is not a whole graph ({why}): remove it and build the graph again.")


def digest_arrays(arrays: Arrays) -> str:
    """The SHA-256 of names, types, shapes and values, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        whole.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        whole.update(array.reshape(-1).view(np.uint8).data)
    return whole.hexdigest()
