"""Where the numbers of a training go: metrics.csv always, TensorBoard or Weights & Biases when asked."""

from __future__ import annotations

import csv
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from likewise.artifacts.files import replacing
from likewise.errors import MissingExtra

FIRST = ("step", "loss", "active", "learning_rate", "gradient_norm")


class MetricsFile(Logger):
    """metrics.csv: a line per logged step, one column per number; cells stay empty where a line has no such number.

    `columns` are those known from the start, beside FIRST; others (the parts of a loss) are added as they come. Each line is
    written at once, so the file can be followed while training runs.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__()
        self.path = path
        self._columns = [*FIRST, *columns]
        self._lines: list[dict[str, float | str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                self._lines = [dict(line) for line in reader if None not in line.values()]
                self._columns = list(reader.fieldnames or self._columns)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def name(self) -> str:
        """Lightning asks for one."""
        return "metrics"

    @property
    def version(self) -> str:
        """Lightning asks for one."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The manifest holds the options."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a line; a new column writes the file anew."""
        line: dict[str, float | str] = {"step": int(step or 0), **metrics}
        self._lines.append(line)
        new = [name for name in line if name not in self._columns]
        if new or len(self._lines) == 1:
            self._columns.extend(new)
            self._write_all()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                self._writer(file).writerow(line)

    def keep(self, lines: int) -> None:
        """Forget what was logged after a checkpoint: only the first lines stay."""
        self._lines = self._lines[:lines]
        self._write_all()

    def _write_all(self) -> None:
        """Write the file anew; a kill meanwhile leaves the old one, with all lines that a checkpoint counts on."""
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(self._lines)

    def _writer(self, file: IO[str]) -> csv.DictWriter[str]:
        return csv.DictWriter(file, self._columns, restval="", lineterminator="\n")


def loggers(names: Sequence[str], folder: Path, file: MetricsFile) -> list[Logger]:
    """The file and those asked for, which write below `folder`; MissingExtra where a package is not installed."""
    chosen: list[Logger] = [file]
    for name in names:
        if find_spec(name) is None:
            raise MissingExtra(name, f'[train] loggers = ["{name}"]')
        if name == "tensorboard":
            chosen.append(TensorBoardLogger(folder, name="tensorboard", version=""))
        else:
            chosen.append(WandbLogger(project="likewise", save_dir=folder))
    return chosen


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within the block Lightning reports nothing below a warning: no banner, no list of devices, no advice."""
    names = ("lightning.pytorch", "lightning.fabric")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 asks torch 2.13 for a class by its old name.
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
