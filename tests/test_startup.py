"""`import likewise` and `likewise --help` load nothing heavy."""

import importlib
import subprocess
import sys

import likewise

HEAVY = ("torch", "pyarrow", "lightning", "transformers", "sentence_transformers", "faiss", "matplotlib")


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import likewise") == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "from typer.testing import CliRunner\n"
        "from likewise.cli import application\n"
        "assert CliRunner().invoke(application, ['--help']).exit_code == 0"
    )
    assert loaded_after(code) == set()


def test_a_mistake_in_a_recipe_is_told_before_torch_is_loaded() -> None:
    code = (
        "from likewise.config import validated\n"
        "try: validated({'ingest': {'kind': 'pairs', 'pat': 'x'}, 'encoder': {'kind': 'static'}}, 'recipe')\n"
        "except ValueError as error: assert 'did you mean path' in str(error), error"
    )
    assert loaded_after(code) == set()


def test_every_public_name_is_there_and_documented() -> None:
    for name in likewise.__all__:
        value = getattr(likewise, name)
        assert name == "__version__" or value.__doc__, name
    assert set(dir(likewise)) == set(likewise.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    module = importlib.import_module("likewise")
    assert not hasattr(module, "nothing_of_this_name")
