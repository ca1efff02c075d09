"""What belongs together: queries joined by shared positives or near-duplicates are not independent, and are drawn together."""

from __future__ import annotations

import numpy as np

from likewise.evaluation.retrieval import RetrievalTask
from likewise.types import Int64


def query_units(task: RetrievalTask) -> Int64:
    """[Q] int64: a code for each query; equal for queries in one connected component of positives and near-duplicates.

    Each class takes the smallest code among its neighbors, then that code's own code, until nothing changes.
    """
    _, node = np.unique(np.concatenate([task.classes[task.queries], task.classes[task.document]]), return_inverse=True)
    own, other = node[: len(task)], node[len(task) :]
    mine = own[task.query]
    code = np.arange(int(node.max()) + 1)
    while True:
        before = code.copy()
        smallest = np.minimum(code[mine], code[other])
        np.minimum.at(code, mine, smallest)
        np.minimum.at(code, other, smallest)
        code = code[code]
        if (code == before).all():
            return code[own].astype(np.int64)
