"""Where the time of training on events goes: at least 70% of it in matrix products and the neighbor search.

The stage `train` of the demonstration on generated wedges, under torch's profiler: products of matrices (forward and backward),
the search for neighbors (the radius graph of every step, and the distances that validation counts), and all the rest: reading
events, labels, the loss, layer norms, the optimiser, Lightning. The "peer" is the goal.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from harness import arguments, machine, result

GOAL = 0.70
PRODUCTS = ("aten::addmm", "aten::mm", "aten::bmm", "aten::matmul", "aten::linear")
SEARCH = ("search", "aten::_cdist_forward", "aten::_euclidean_dist")


def main() -> None:
    """Train once, profiled."""
    given = arguments(__doc__)
    print(machine())
    from torch.profiler import ProfilerActivity, profile, record_function

    import likewise
    from likewise import pipeline
    from likewise.config import read_recipe
    from likewise.mining import step

    found = step.within

    def watched(*parts, **named):  # type: ignore[no-untyped-def]
        with record_function("search"):
            return found(*parts, **named)

    changes = ["ingest.events=8", "train.epochs=2"] if given.quick else []
    recipe = read_recipe(Path(likewise.__file__).parent / "recipes" / "demo_tracks.toml", changes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        pipeline.run(recipe, folder, until="fit")
        step.within = watched
        start = time.perf_counter()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            pipeline.run(recipe, folder, until="train")
        wall = time.perf_counter() - start
    times = {event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()}
    products = sum(times.get(name, 0.0) for name in PRODUCTS)
    search = sum(times.get(name, 0.0) for name in SEARCH)
    shares = f"matrix products {products:.1f} s ({products / wall:.0%}), search {search:.1f} s ({search / wall:.0%})"
    print(f"train stage {wall:.1f} s: {shares}")
    others = sorted(((name, took) for name, took in times.items() if name not in PRODUCTS + SEARCH), key=lambda each: -each[1])
    for name, took in others[:12]:
        print(f"  {name:50s} {took:6.2f} s  {took / wall:5.1%}")
    result("track training, share in products and search", (products + search) / wall, GOAL, 1.0, higher_is_better=True)


if __name__ == "__main__":
    main()
