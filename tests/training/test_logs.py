from __future__ import annotations

import logging
from pathlib import Path

import pytest

from likewise.errors import MissingExtra
from likewise.training import logs
from likewise.training.logs import MetricsFile, loggers, quiet_lightning


def test_lines_and_columns(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv", ["ndcg@10"])
    file.log_metrics({"loss": 0.5, "learning_rate": 1e-05}, 10)
    file.log_metrics({"ndcg@10": 0.7}, 10)
    file.log_metrics({"loss": 0.25, "loss@64": 1 / 3}, 20)
    assert file.path.read_text() == (
        "step,loss,active,learning_rate,gradient_norm,ndcg@10,loss@64\n"
        "10,0.5,,1e-05,,,\n"
        "10,,,,,0.7,\n"
        "20,0.25,,,,,0.3333333333333333\n"
    )


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    straight, broken = (MetricsFile(tmp_path / name, ["ndcg@10"]) for name in ("straight.csv", "broken.csv"))
    for step in range(6):
        straight.log_metrics({"loss": step / 7}, step)
    for step in range(4):
        broken.log_metrics({"loss": step / 7}, step)
    with broken.path.open("a") as file:
        file.write("4,0.57")  # the machine went down here
    again = MetricsFile(broken.path, ["ndcg@10"])
    again.keep(3)
    assert len(again) == 3
    for step in range(3, 6):
        again.log_metrics({"loss": step / 7}, step)
    assert broken.path.read_bytes() == straight.path.read_bytes()


def test_nothing_kept_is_a_heading(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv", [])
    file.keep(0)
    assert file.path.read_text() == "step,loss,active,learning_rate,gradient_norm\n"


def test_tensorboard_writes_below_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    file = MetricsFile(tmp_path / "metrics.csv", [])
    chosen = loggers(["tensorboard"], tmp_path / "loggers", file)
    assert chosen[0] is file
    chosen[1].log_metrics({"loss": 1.0}, 1)
    chosen[1].finalize("success")
    assert list((tmp_path / "loggers" / "tensorboard").glob("events.*"))


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_logger_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(logs, "find_spec", lambda package: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'likewise\[{name}\]'"):
        loggers([name], tmp_path, MetricsFile(tmp_path / "metrics.csv", []))


def test_lightning_is_quiet_only_for_a_while() -> None:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with quiet_lightning():
        assert logger.level == logging.WARNING
    assert logger.level == before


def test_a_kill_while_the_file_is_written_anew_leaves_the_old_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = MetricsFile(tmp_path / "metrics.csv", [])
    for step in range(3):
        file.log_metrics({"loss": step / 7}, step)
    before = file.path.read_bytes()

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logs.csv.DictWriter, "writerows", killed)
    with pytest.raises(KeyboardInterrupt):
        file.log_metrics({"a new column": 1.0}, 3)
    assert file.path.read_bytes() == before
