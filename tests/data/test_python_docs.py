from __future__ import annotations

import sys
from pathlib import Path

import pytest

from likewise.data import python_docs
from likewise.data.options import PythonDocsOptions
from likewise.data.python_docs import DocumentedPair, PythonDocsSource, Unit, documented_pairs, installed, standard_library
from likewise.errors import DataError
from likewise.testing.sources import check_source
from likewise.types import Items, Links, Reject, Tally

REST = "It says more in enough words to be worth finding"


def function(number: int, *, sentence: str | None = None) -> str:
    docstring = f"{sentence or f'Do thing number {number}.'}\n\n    {REST} {number}.\n    "
    return f'def function_{number}(a, b={number}):\n    """{docstring}"""\n'


def distribution(folder: Path, name: str, files: dict[str, str]) -> None:
    """An installed distribution whose code cannot be imported."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    for file, source in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(source, encoding="utf-8")
    record = "".join(f"{file},,\n" for file in (*files, "../../bin/tool.py", f"{name}/gone.py"))
    (metadata / "RECORD").write_text(record, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stop = 'raise ImportError("imported")\n'
    distribution(
        tmp_path,
        "alpha-lib",
        {
            "alpha_lib/__init__.py": stop + "".join(function(n) for n in range(6)),
            "alpha_lib/more.py": stop + "".join(function(n) for n in range(6, 9)),
            "alpha_lib/broken.py": 'def f(:\n    """x"""\n',
            "alpha_lib/tests/test_it.py": function(90),
            "alpha_lib/_vendor/copy.py": function(91),
            "alpha_lib/test_top.py": function(92),
        },
    )
    distribution(
        tmp_path,
        "beta",
        {
            "beta.py": stop
            + function(3)  # a copy
            + function(20, sentence="Do thing number 4.")  # a sentence of alpha-lib
            + "".join(function(n, sentence="Emit a record.") for n in range(30, 40))
            + function(21)
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def source_of(names: tuple[str, ...] = ("alpha_lib", "beta"), seed: int = 0, **options: int) -> PythonDocsSource:
    return PythonDocsSource(PythonDocsOptions(standard_library=False, distributions=names, **options), seed)


def pairs_of(source: PythonDocsSource) -> list[tuple[str, str, str]]:
    """(unit, query, document) of each pair."""
    found = []
    for piece in source.read("python_docs"):
        if isinstance(piece, Items):
            items = dict(zip(piece.ids, zip(piece.payload, piece.columns["unit"], strict=True), strict=True))
        if isinstance(piece, Links):
            found += [(items[b][1], items[a][0], items[b][0]) for a, b in zip(piece.a, piece.b, strict=True)]
    return found


def test_the_first_sentence_asks_for_the_signature_and_the_rest(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(
        f'''
class Reader(Base, metaclass=Meta):
    """Reads rows of text. {REST}."""

    async def read(self, path: str, *, limit: int = 5) -> list[str]:
        """Read the rows of a file.

        {REST}.
        """
        def inner():
            """Never seen from outside. {REST}."""

    def plain(self): pass

if True:
    def guarded():
        """Only on some systems. {REST}."""
''',
        encoding="utf-8",
    )
    found = list(documented_pairs(Unit("package", tmp_path, ()), "package/__init__.py"))
    assert found == [
        DocumentedPair("Reads rows of text.", f"class Reader(Base)\n{REST}.", "package", "package", "Reader"),
        DocumentedPair(
            "Read the rows of a file.",
            f"read(self, path: str, *, limit: int=5) -> list[str]\n{REST}.",
            "package",
            "package",
            "Reader.read",
        ),
        DocumentedPair("Only on some systems.", f"guarded()\n{REST}.", "package", "package", "guarded"),
    ]


def test_distributions_are_read_and_never_imported(site: Path) -> None:
    pairs = pairs_of(source_of())
    assert {query for unit, query, _ in pairs if unit == "alpha-lib"} == {f"Do thing number {n}." for n in range(9)}
    assert not {"alpha_lib", "beta"} & set(sys.modules)
    for _, query, document in pairs:
        assert query not in document


def test_copies_do_not_tie_units_together(site: Path) -> None:
    pairs = pairs_of(source_of())
    beta = [query for unit, query, _ in pairs if unit == "beta"]
    assert sorted(beta) == ["Do thing number 21.", *["Emit a record."] * 3]
    documents = [document for *_, document in pairs]
    assert len(set(documents)) == len(documents)


def test_a_file_that_cannot_be_parsed_is_a_reject(site: Path) -> None:
    pieces = list(source_of().read("python_docs"))
    [reject] = [piece for piece in pieces if isinstance(piece, Reject)]
    assert (reject.file, reject.row) == (str(site / "alpha_lib" / "broken.py"), 1)
    assert "cannot parse" in reject.reason
    assert sum(piece.rows for piece in pieces if isinstance(piece, Tally)) == 1 + 13


def test_the_limit_and_the_sample_are_drawn_by_the_seed(site: Path) -> None:
    def chosen(seed: int, **options: int) -> set[str]:
        return {query for _, query, _ in pairs_of(source_of(("alpha-lib",), seed, **options))}

    assert len(chosen(0, per_module=4)) == 4
    assert len(chosen(0, sample_size=5)) == 5
    assert chosen(0, sample_size=5) == chosen(0, sample_size=5)
    assert len({frozenset(chosen(seed, per_module=2)) for seed in range(8)}) > 1
    assert len({frozenset(chosen(seed, sample_size=5)) for seed in range(8)}) > 1


def test_large_files_are_passed_over(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_docs, "FILE_BYTES", 700)
    assert {query for unit, query, _ in pairs_of(source_of(("alpha-lib",)))} == {f"Do thing number {n}." for n in range(6, 9)}


def test_a_distribution_that_is_not_installed_is_named(site: Path) -> None:
    with pytest.raises(
        DataError, match=r'"alpha-libs" is not installed \(did you mean "alpha-lib"\?\); run pip install alpha-libs'
    ):
        installed(("Alpha.Libs",))
    assert "alpha-lib" in {unit.name for unit in installed(None)}


def test_another_version_is_another_input(site: Path) -> None:
    options = PythonDocsOptions(distributions=("alpha_lib",), marks="marks.csv")
    before = options.outside()
    assert "alpha-lib 1.0" in before
    assert "marks.csv" in before
    assert not any(line.startswith("beta") for line in before)
    assert any(line.startswith("beta") for line in PythonDocsOptions().outside())
    metadata = site / "alpha-lib-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace("1.0", "1.1"), encoding="utf-8")
    assert "alpha-lib 1.1" in options.outside()


def test_the_standard_library_is_read_by_module() -> None:
    units = {unit.name: unit for unit in standard_library()}
    assert {"argparse", "email", "json"} <= set(units)
    assert "email/message.py" in units["email"].files
    assert not any("test" in Path(file).parts for unit in units.values() for file in unit.files)
    pairs = [pair for file in units["json"].files for pair in documented_pairs(units["json"], file)]
    assert any(isinstance(pair, DocumentedPair) and pair.name == "JSONEncoder.default" for pair in pairs)


def test_the_source_keeps_the_contract(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_docs, "SLICE_PAIRS", 4)
    check_source(source_of)
