"""How a run is told: a live line per stage on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TextIO

from likewise.artifacts.draft import Reporter

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_PROGRESS_SECONDS = 15.0  # how often a stage says how far it is where no line can be redrawn


def reporter(as_json: bool = False, stream: TextIO | None = None) -> Reporter:
    """The reporter that fits the place the output goes to."""
    if as_json:
        return JsonLines(stream or sys.stdout)
    stream = stream or sys.stderr
    return Live(stream) if stream.isatty() else Plain(stream)


def duration(seconds: float) -> str:
    """A duration as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Pace:
    """How fast work of one kind goes, from when it was first heard of; another total or an earlier place begins anew."""

    def __init__(self) -> None:
        self._total = self._first = self._last = 0
        self._began = time.monotonic()

    def words(self, done: int, total: int) -> str:
        """The rate and the time left; nothing before there is a rate."""
        if total != self._total or done < self._last:
            self._total, self._first, self._began = total, done, time.monotonic()
        self._last = done
        seconds = time.monotonic() - self._began
        if done <= self._first or seconds < 0.1:
            return ""
        rate = (done - self._first) / seconds
        return f"{rate:,.0f}/s, {duration((total - done) / rate)} left"


class Plain:
    """One line per event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told = time.monotonic()
        self._pace = Pace()

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def started(self, stage: str) -> None:
        """Begin to measure its pace."""
        self._told = time.monotonic()
        self._pace = Pace()

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """A line now and then."""
        pace = self._pace.words(done, total)
        if time.monotonic() - self._told >= PLAIN_PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._line(f"  {stage:<12} {done:,}/{total:,} {note}  {pace}".rstrip())

    def said(self, stage: str, sentence: str) -> None:
        """The sentence."""
        self._line(f"  {stage:<12} {sentence}")

    def finished(self, stage: str, seconds: float, reused: bool) -> None:
        """How long it took."""
        self._line(f"{'=' if reused else '+'} {stage:<12} {'nothing changed' if reused else duration(seconds)}")

    def absent(self, stage: str, reason: str) -> None:
        """Why it is not run."""
        self._line(f"- {stage:<12} {reason}")


class JsonLines:
    """One JSON object per event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _line(self, **event: Any) -> None:
        print(json.dumps(event, ensure_ascii=False), file=self._stream, flush=True)

    def started(self, stage: str) -> None:
        """As JSON."""
        self._line(event="started", stage=stage)

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """As JSON."""
        self._line(event="progress", stage=stage, done=done, total=total, note=note)

    def said(self, stage: str, sentence: str) -> None:
        """As JSON."""
        self._line(event="said", stage=stage, sentence=sentence)

    def finished(self, stage: str, seconds: float, reused: bool) -> None:
        """As JSON."""
        self._line(event="reused" if reused else "finished", stage=stage, seconds=round(seconds, 3))

    def absent(self, stage: str, reason: str) -> None:
        """As JSON."""
        self._line(event="absent", stage=stage, reason=reason)


class Live(Plain):
    """A line per stage with a bar that is redrawn while the stage runs."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False)

    def started(self, stage: str) -> None:
        """Show a bar."""
        super().started(stage)
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("  {task.fields[stage]:<12}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", style="dim", markup=False),  # a name may hold brackets
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=None, stage=stage, note="")

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            text = "  ".join(part for part in (f"{done:,}/{total:,}", note, self._pace.words(done, total)) if part)
            self._bar.update(self._task, completed=done, total=total, note=text)

    def finished(self, stage: str, seconds: float, reused: bool) -> None:
        """Put a line in the bar's place."""
        self.close()
        mark, text = ("=", "nothing changed") if reused else ("✓", duration(seconds))
        self._console.print(f"[{'dim' if reused else 'green'}]{mark}[/] {stage:<12} [dim]{text}[/]")

    def absent(self, stage: str, reason: str) -> None:
        """In a faint line."""
        self._console.print(f"- {stage:<12} {reason}", style="dim", markup=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def closing(heard: Reporter) -> AbstractContextManager[object]:
    """A context that leaves the terminal tidy, whatever happens."""
    if isinstance(heard, Live):
        from contextlib import closing as close_at_end

        return close_at_end(heard)
    return nullcontext()
