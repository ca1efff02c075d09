"""How long `import likewise` and `likewise --help` take, beside importing the libraries they stand on."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import harness

GOAL_IMPORT_SECONDS = 0.2
GOAL_HELP_SECONDS = 0.4
GOAL_RATIO = 14.5  # importing sentence_transformers took 5.8 s where these goals were set


def run(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


def main() -> None:
    options = harness.arguments(__doc__)
    print(harness.machine())
    sides = {
        "import likewise": ("-c", "import likewise"),
        "likewise --help": ("-m", "likewise.cli", "--help"),
        "import sentence_transformers": ("-c", "import sentence_transformers"),
    }
    if not options.quick:
        sides |= {"import lightning": ("-c", "import lightning"), "import torch": ("-c", "import torch")}
    times = harness.timed(*(partial(run, *words) for words in sides.values()), repeat=options.repeat)
    seconds = {name: side.seconds for name, side in zip(sides, times, strict=True)}
    for name, value in seconds.items():
        print(f"{name:<32} {value:6.2f} s")
    met = seconds["import likewise"] <= GOAL_IMPORT_SECONDS and seconds["likewise --help"] <= GOAL_HELP_SECONDS
    print(f"goals: import {GOAL_IMPORT_SECONDS} s, help {GOAL_HELP_SECONDS} s: {'met' if met else 'not met'}")
    peer = seconds["import sentence_transformers"]
    harness.result("startup", seconds["likewise --help"], peer, GOAL_RATIO, higher_is_better=False)


if __name__ == "__main__":
    main()
