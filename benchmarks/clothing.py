"""Real photographs by real weights: do we give the vectors that were computed of them elsewhere, and what do they find?

713 photographs of ten kinds of clothing, MobileNetV2 in a TFLite file, its last ReduceMean as the vector. The peer is a cosine of
1 to the vectors of the shared data. The data is not part of the project: LIKEWISE_DATA names its folder.
"""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import numpy as np

from harness import arguments, machine, result

GOAL = 0.999
DATA = Path(os.environ.get("LIKEWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    """Compute all vectors, compare them, and search each among the others."""
    given = arguments(__doc__)
    print(machine())
    stored, model = DATA / "vectors" / "clothing10", DATA / "weights" / "mobilenet_v2.tflite"
    if not stored.is_dir():
        print(f"{stored} is not here: set LIKEWISE_DATA to the folder of the data. Nothing was measured.")
        result("clothing, least cosine to vectors computed elsewhere", 1.0, 1.0, GOAL, higher_is_better=True, gated=False)
        return
    from likewise.data.image_refs import ImageRef
    from likewise.encoders.openvino import OpenVINOEncoder
    from likewise.encoders.options import OpenVINOEncoderOptions
    from likewise.neighbors.nearest import nearest
    from likewise.vectors.extract import extract
    from likewise.vectors.options import EmbedOptions

    expected, ids = np.load(stored / "embeddings.npy"), json.loads((stored / "ids.json").read_text(encoding="utf-8"))
    with (stored / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    count = 100 if given.quick else len(ids)
    pictures = [ImageRef.of_bytes((DATA / "images" / "clothing10" / rows[name]["path"]).read_bytes()) for name in ids[:count]]
    options = OpenVINOEncoderOptions(model=str(model), output="ReduceMean", resize="stretch", precision="bfloat16")
    start = time.perf_counter()
    vectors = extract(OpenVINOEncoder(options), pictures, options=EmbedOptions(precision="float32"))
    print(f"{count} pictures in {time.perf_counter() - start:.1f} s")
    kind = np.array([rows[name]["category"] for name in ids[:count]])
    codes = np.unique(kind, return_inverse=True)[1]
    found = nearest(vectors, vectors, count).rows
    others = found[found != np.arange(count)[:, None]].reshape(count, count - 1)
    same = codes[others] == codes[:, None]
    print(f"recall@1 {same[:, 0].mean():.4f}, MAP@R {np.mean([_map_at_r(row) for row in same if row.any()]):.4f}")
    cosine = float((vectors * expected[:count]).sum(axis=1).min())
    result("clothing, least cosine to vectors computed elsewhere", cosine, 1.0, GOAL, higher_is_better=True)


def _map_at_r(same: np.ndarray) -> float:
    """Mean precision at the right ones among the first R, the number of all that are right (Musgrave et al. 2020)."""
    right = int(same.sum())
    first = same[:right]
    precision = np.cumsum(first) / np.arange(1, right + 1)
    return float((precision * first).sum() / right)


if __name__ == "__main__":
    main()
