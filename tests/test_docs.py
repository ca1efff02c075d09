"""What the documentation says is run: Python blocks, command lines, links; and nothing is left undocumented."""

import re
import shlex
import shutil
import tarfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from command_line import call
from likewise.cli import application
from likewise.config import as_toml, packaged
from likewise.reference import as_markdown, keys, sections
from small_events import tiny_tracks
from small_images import save_model, write_frames, write_pictures

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = [page for page in PAGES if "reference" not in page.parts]  # their lines are run
THINGS = ("planet", "river", "engine", "violin", "harbour", "orchard", "glacier", "lantern")
QUALITIES = ("rings", "depth", "noise", "strings", "ships", "apples", "ice", "light", "age", "colour")


def commands_of(page: Path) -> list[str]:
    """The command lines of a page: indented lines that begin with `likewise`, without what is said beside them."""
    found = re.findall(r"^ {4}(likewise .+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.split(r"\s{2,}(?=\S)|\s+#", line)[0].strip() for line in found]


def python_of(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="session")
def vision_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision model, saved once."""
    return save_model(tmp_path_factory.mktemp("vision"), "dinov2")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vision_model: Path) -> Path:
    """A folder as its user would have it: pairs, frames, a vision model, and recipes small enough for a test."""
    lines = ["anchor,positive"]
    for number in range(240):
        thing, quality = THINGS[number % 8], QUALITIES[number % 10]
        answer = f"The {quality} of {thing} {number} were described in volume {number * 7}."
        lines.append(f"which {thing} number {number} has {quality}?,{answer}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shrink(tmp_path / "text.toml")
    (tmp_path / "tracks.toml").write_text(as_toml(tiny_tracks("tracks")), encoding="utf-8")
    write_frames(tmp_path / "frames", 3)
    for group in ("empty", "person"):
        write_frames(tmp_path / "labelled" / group, 3, seed=10 if group == "person" else 20)
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "labelled.tar", "w") as archive:
        archive.add(tmp_path / "labelled", "")
    shutil.copytree(vision_model, tmp_path / "vision-model")
    recipe = packaged("infrared").replace("facebook/dinov2-small", "vision-model")
    (tmp_path / "infrared.toml").write_text(recipe, encoding="utf-8")
    write_pictures(tmp_path / "pictures", groups=12, each=4)
    grouped = (
        packaged("images").replace("facebook/dinov2-small", "vision-model").replace("epochs = 3", "epochs = 1\nmax_steps = 1")
    )
    grouped = grouped.replace("validation = 0.15", "exact = true\nvalidation = 0.15")
    (tmp_path / "images.toml").write_text(grouped, encoding="utf-8")
    return tmp_path


def shrink(path: Path) -> None:
    result = CliRunner().invoke(application, ["init", "text", str(path.parent), "--overwrite"])
    assert result.exit_code == 0, result.output
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'kind = "text"\nmodel = .*\nmax_length = 256', 'kind = "static"\ndimension = 32\nvocabulary = 600', text)
    text = text.replace("learning_rate = 5e-5", "learning_rate = 0.02").replace("[evaluate]", '[evaluate]\nbaselines = ["bm25"]')
    assert 'kind = "static"' in text
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in GUIDES if commands_of(page)], ids=lambda page: page.stem)
def test_command_lines_run(page: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    for line in commands_of(page):
        words = shlex.split(line)[1:]
        if words[0] in ("init", "demo"):
            continue  # the fixture did it, and made the recipes small; `make demo` runs the demonstrations
        if words[:2] == ["compare", "runs/a"]:
            words = ["compare", "runs/text", "runs/text"]
        assert call(monkeypatch, *words) == 0, line
        ran.append(words[0])
        if words[0] == "check":  # guides run the recipe between the lines
            assert call(monkeypatch, "run", words[1]) == 0
    assert ran


@pytest.mark.parametrize("page", [page for page in GUIDES if python_of(page)], ids=lambda page: page.stem)
def test_python_blocks_run(page: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "documentation"}
    for block in python_of(page):
        exec(compile(block, str(page), "exec"), names)
    if page.name == "README.md":
        assert "nDCG@10" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} names {target}"


def test_every_command_and_option_is_documented() -> None:
    rows = dict(
        re.findall(r"^\| `likewise (\S+)` \|(.*)\|$", (ROOT / "docs/reference/commands.md").read_text("utf-8"), re.MULTILINE)
    )
    commands = typer.main.get_command(application).commands  # type: ignore[attr-defined]  # a group of commands
    assert set(rows) == set(commands)
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        missing = {option for option in options if option not in rows[name]}
        assert not missing or any(says in rows[name] for says in ("the same", "as `run`")), f"{name}: {missing}"


def test_the_reference_is_what_the_options_say() -> None:
    assert (ROOT / "docs/reference/recipe.md").read_text(encoding="utf-8") == as_markdown(), "run: make docs"


def test_every_key_tells_its_effect() -> None:
    for section in sections():
        for key, _, _, effect in keys(section):
            assert key == "kind" or len(effect) > 10, f"[{section.name}] {key} has no docstring"
