"""Pairs from the docstrings of Python code on this machine: the first sentence asks for the signature and the rest.

Files are read and parsed, never imported. A unit is a top-level module of the standard library, or a distribution.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from likewise.data.docstrings import Docstring, read_docstring
from likewise.data.options import PythonDocsOptions, canonical, installed_distributions
from likewise.data.pairs import text_id
from likewise.data.sampling import draw
from likewise.errors import DataError
from likewise.types import Items, Links, Reject, Tally

SHARD = "python_docs"
SLICE_PAIRS = 4096
FILE_BYTES = 1 << 20  # longer files are generated tables
DOCUMENTS_OF_A_SENTENCE = 3  # "Emit a record." asks for none of its dozens of documents in particular
SIGNATURE_CHARACTERS = 400  # longer ones are cut: generated functions with dozens of defaults
# Tests and generated code say little, and copies of other people's packages would tie the units together.
TESTS = {"test", "tests", "testing", "_test", "_tests", "idle_test", "conftest", "benchmarks", "examples", "_internal", "lib2to3"}
COPIES = {"vendor", "vendored", "_vendor", "_vendored", "third_party", "extern", "externals", "site-packages"}
PASSED_OVER = TESTS | COPIES


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that are split together: `root` is what module names are relative to."""

    name: str
    root: Path
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DocumentedPair:
    """A first sentence, and the signature with the rest of the docstring."""

    query: str
    document: str
    unit: str
    module: str
    name: str


class PythonDocsSource:
    """Reads the standard library and installed distributions; one shard.

    Only the first of several equal documents is kept, and a sentence belongs to the first unit that has it: otherwise
    copied code would tie units together. The files of a unit are read in an order drawn by the seed until there are enough
    pairs. Items have the columns unit, module and name; units are split as a whole. A row
    is a pair that is kept, or a file that cannot be parsed. The same installation and seed give the same pairs.
    """

    Options = PythonDocsOptions

    def __init__(self, options: PythonDocsOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed

    def shards(self) -> Sequence[str]:
        """One: duplicates are sought among all units."""
        return [SHARD]

    def read(self, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        """The pairs of every unit."""
        pairs, rejects = self._found
        yield from rejects
        yield Tally(len(rejects))
        for start in range(0, len(pairs), SLICE_PAIRS):
            yield from _pieces(pairs[start : start + SLICE_PAIRS])

    @cached_property
    def _found(self) -> tuple[list[DocumentedPair], list[Reject]]:
        options = self._options
        units = [*(standard_library() if options.standard_library else []), *installed(options.distributions)]
        seen = _Seen()
        found: list[DocumentedPair] = []
        rejects: list[Reject] = []
        for unit in units:
            pairs: list[DocumentedPair] = []
            for file in sorted(unit.files, key=lambda file: _drawn(self._seed, file)):
                if len(pairs) >= options.per_module:
                    break
                for pair in documented_pairs(unit, file):
                    if isinstance(pair, Reject):
                        rejects.append(pair)
                    elif seen.is_new(pair):
                        pairs.append(pair)
            found += sorted(pairs[: options.per_module], key=lambda pair: (pair.module, pair.name, pair.query))
        if options.sample_size is not None:
            chosen = set(draw([pair.document for pair in found], options.sample_size, self._seed))
            found = [pair for pair in found if pair.document in chosen]
        return found, rejects


class _Seen:
    """What earlier pairs took: each sentence belongs to one unit and to few documents, each document occurs once."""

    def __init__(self) -> None:
        self._units: dict[str, str] = {}
        self._documents: set[str] = set()
        self._uses: Counter[str] = Counter()

    def is_new(self, pair: DocumentedPair) -> bool:
        """Whether the pair may be kept; if so it takes its place."""
        query, document = _words(pair.query), _words(pair.document)
        if (
            self._units.get(query, pair.unit) != pair.unit
            or self._uses[query] == DOCUMENTS_OF_A_SENTENCE
            or document in self._documents
        ):
            return False
        self._units[query] = pair.unit
        self._uses[query] += 1
        self._documents.add(document)
        return True


def standard_library() -> list[Unit]:
    """The modules of the running Python that are written in Python."""
    root = Path(sysconfig.get_path("stdlib"))
    units = []
    for name in sorted(sys.stdlib_module_names):
        single = root / f"{name}.py"
        files = [single] if single.is_file() else sorted((root / name).rglob("*.py"))
        relative = [file.relative_to(root).as_posix() for file in files]
        units.append(Unit(name, root, tuple(file for file in relative if _is_read(file))))
    return [unit for unit in units if unit.files]


def installed(names: Sequence[str] | None) -> list[Unit]:
    """The Python files of the named distributions, or of all but this package; DataError for one that is not installed."""
    found = installed_distributions()
    if names is None:
        chosen = sorted(set(found) - {"likewise"})
    else:
        chosen = sorted({canonical(name) for name in names})
        for name in chosen:
            if name not in found:
                nearest = difflib.get_close_matches(name, list(found), n=1)
                hint = f' (did you mean "{nearest[0]}"?)' if nearest else ""
                raise DataError(
                    f'The distribution "{name}" is not installed{hint}; run pip install {name}, or correct distributions.'
                )
    return [_unit(name, found[name]) for name in chosen]


def _unit(name: str, distribution: Distribution) -> Unit:
    files = sorted({str(PurePosixPath(file)) for file in distribution.files or []})
    return Unit(name, Path(str(distribution.locate_file(""))), tuple(file for file in files if _is_read(file)))


def documented_pairs(unit: Unit, file: str) -> Iterator[DocumentedPair | Reject]:
    """The pairs of a file; a Reject if it cannot be parsed."""
    path = unit.root / file
    if not path.is_file() or path.stat().st_size > FILE_BYTES:
        return
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other people's escape sequences
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        reason = f"Python cannot parse it ({getattr(error, 'msg', None) or error})"
        yield Reject(str(path), getattr(error, "lineno", None), reason, "nothing need be done: other files are read")
        return
    module = _module(file)
    for name, signature, docstring in _definitions(tree, ""):
        read = read_docstring(docstring)
        if isinstance(read, Docstring):
            yield DocumentedPair(read.first_sentence, f"{signature}\n{read.rest}", unit.name, module, name)


def _definitions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, str, str]]:
    """(qualified name, signature, docstring) of the classes and functions of a module, and of the methods of its classes."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield f"{prefix}{node.name}", _signature(node), docstring
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions(node, prefix)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        text = f"class {node.name}({bases})" if bases else f"class {node.name}"
    else:
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        text = f"{node.name}({ast.unparse(node.args)}){returns}"
    return text if len(text) <= SIGNATURE_CHARACTERS else f"{text[:SIGNATURE_CHARACTERS]}…"


def _pieces(pairs: Sequence[DocumentedPair]) -> Iterator[Items | Links | Tally]:
    items: dict[str, tuple[str, str, DocumentedPair]] = {}
    a: list[str] = []
    b: list[str] = []
    for pair in pairs:
        for text, role, ids in ((pair.query, "query", a), (pair.document, "document", b)):
            name = text_id(text, "query" if role == "query" else "document")
            items.setdefault(name, (text, role, pair))
            ids.append(name)
    texts, roles, origins = (list(column) for column in zip(*items.values(), strict=True))
    columns = {
        "role": roles,
        "unit": [pair.unit for pair in origins],
        "module": [pair.module for pair in origins],
        "name": [pair.name for pair in origins],
    }
    count = len(pairs)
    yield Items(SHARD, list(items), texts, columns)
    yield Links(a, b, [1] * count, [1.0] * count, [None] * count, SHARD, list(range(1, count + 1)))
    yield Tally(count)


def _is_read(file: str) -> bool:
    path = PurePosixPath(file)
    if path.suffix != ".py" or ".." in path.parts or path.is_absolute():
        return False
    names = {*path.parts[:-1], path.stem}
    return not (names & PASSED_OVER) and not path.stem.startswith("test_") and not path.stem.endswith("_test")


def _module(file: str) -> str:
    return ".".join(PurePosixPath(file).with_suffix("").parts).removesuffix(".__init__")


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _drawn(seed: int, key: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{key}".encode(), digest_size=8).digest()
