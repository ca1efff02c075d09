"""Runs every benchmark, one after the other, and refreshes docs/benchmarks.md from their last lines; of named ones, their rows.

python benchmarks/run.py [--quick] [NAME …]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import harness

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
SHARED = {"harness.py", "run.py", "text_quality_peer.py", "workloads.py"}  # the rest are benchmarks
HEAD = ("| benchmark | ours | peer | ratio | goal | met | took |", "| --- | --- | --- | --- | --- | --- | --- |")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def benchmarks() -> list[str]:
    """The names of the benchmarks."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.name not in SHARED)


def measure(name: str, quick: bool) -> dict[str, object] | None:
    """Run one benchmark, showing what it prints; its last line, or None if it failed."""
    print(f"\n== {name}", flush=True)
    command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if quick else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    if process.wait() != 0:
        return None
    found: dict[str, object] = json.loads(last)
    return found


def line(row: dict[str, object], seconds: float) -> str:
    """A benchmark's row of the table."""
    met = {True: "yes", False: "**no**", None: "no gate"}[row["met"]]  # type: ignore[index]  # JSON: true, false or null
    return f"| {row['name']} | {row['ours']} | {row['peer']} | {row['ratio']} | {row['goal']} | {met} | {seconds:.0f} s |"


def table(lines: list[str]) -> str:
    """The figures as a Markdown table."""
    head = [f"{datetime.date.today().isoformat()}: {harness.machine()}", "", *HEAD]
    return "\n".join([*head, *lines])


def kept(text: str, new: list[str]) -> list[str]:
    """The rows that the page has of other benchmarks, and the new ones, by name."""
    found = {_name(row): row for row in text.split(BEGIN)[1].split(END)[0].splitlines() if row.startswith("| ")}
    found |= {_name(row): row for row in new}
    return [found[name] for name in sorted(found) if name not in map(_name, HEAD)]


def _name(row: str) -> str:
    return row.split("|")[1].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes; the page is left alone")
    options = parser.parse_args()
    rows, failed = [], []
    for name in options.names or benchmarks():
        began = time.monotonic()
        row = measure(name, options.quick)
        if row is None:
            failed.append(name)
        else:
            rows.append(line(row, time.monotonic() - began))
    print("\n" + table(rows))
    if not options.quick:
        text = PAGE.read_text(encoding="utf-8")
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        found = table(kept(text, rows) if options.names else rows)
        PAGE.write_text(f"{head}{BEGIN}\n{found}\n{END}{tail}", encoding="utf-8")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
