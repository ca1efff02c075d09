"""The command line: parse, call, print. What a command does stands in the module it calls, imported when it is called."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from likewise.artifacts.files import storable
from likewise.errors import LikewiseError, UserError

if TYPE_CHECKING:
    from likewise.classifying import Classifier
    from likewise.duplicates import DuplicateFinder
    from likewise.evaluation.classification import Classification
    from likewise.pipeline import Outcome

application = typer.Typer(
    name="likewise",
    help="Teach a model what alike means in your data, and trust the numbers it prints.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: a TOML or YAML file.")]
Changes = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a value of the recipe; may be given again.")
]
Folder = Annotated[Path | None, typer.Option("--folder", help="The run's folder; runs/NAME by default.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do everything again, even what has not changed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DEMONSTRATIONS = {
    "text": "Docstrings of the Python code on this machine: find a function's documentation by its first sentence.",
    "images": "Handwritten digits that come with scikit-learn: which pictures show the same one?",
    "tracks": "Generated collision events: which hits belong to one particle? One candidate graph per event.",
}
NO_ROOM_OR_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
MATRIX_LABELS = 20  # a confusion matrix of more is too wide for a terminal; the most frequent mistakes are listed
NEAREST_SHOWN = 3  # of the neighbours that voted; --json has all
RunFolder = Annotated[Path | None, typer.Option("--run", help="A run's folder; by default the latest below runs/.")]


@application.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["LIKEWISE_DEBUG"] = "1"


@application.command()
def demo(
    which: Annotated[Literal["text", "images", "tracks"], typer.Argument(help="Which demonstration.")] = "text",
    folder: Folder = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """A real run on data that every machine has, without a download; ends with a verdict and a page to open."""
    from likewise.config import packaged_recipe

    recipe = packaged_recipe(f"demo_{which}")
    if not as_json:
        _line(DEMONSTRATIONS[which])
    outcome = _run(recipe, folder, None, fresh, as_json)
    if as_json or outcome.verdict is None or which != "text":
        return
    example = "Return the median of the values"
    _line(f'\nA search, as by: likewise search "{example}"\n')
    _search(example, 3, outcome.folder, [], as_json=False)
    _line(f"\nThe page: {outcome.report}")


@application.command()
def init(
    recipe: Annotated[str | None, typer.Argument(help="A recipe of the package: text, images, tracks or infrared.")] = None,
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
    old: Annotated[
        Path | None, typer.Option("--from", help="Another system's YAML configuration, translated key by key.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a recipe that is there.")] = False,
) -> None:
    """Write a commented recipe to edit, or translate another system's configuration into one."""
    from likewise.config import packaged

    name = recipe or "text"
    if old is not None:
        from likewise.translating import translate

        translation = translate(old)
        text = translation.toml
        _table(("key", "became", "note"), translation.rows)
    else:
        text = packaged(name)
    target = folder / f"{name}.toml"
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists; give --overwrite to replace it, or another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    _line(f"Wrote {target}. Edit it, then: likewise check {target}")


@application.command()
def check(recipe: RecipePath, changes: Changes = [], folder: Folder = None, as_json: AsJson = False) -> None:  # noqa: B006  # typer's form
    """Read the data, count, name problems, and estimate time, memory and disk before hours of work."""
    from likewise.checking import check as check_pairs
    from likewise.checking_events import check_events
    from likewise.config import read_recipe
    from likewise.console import closing, reporter

    heard = reporter(as_json)
    with closing(heard):
        asked = read_recipe(recipe, changes)
        found = (check_events if asked.scope == "shard" else check_pairs)(asked, folder, heard)
    if as_json:
        _json(found.as_json())
        return
    _table(("what", "found"), found.rows)
    for problem in found.problems:
        _line(f"! {problem}")


@application.command()
def run(
    recipe: RecipePath,
    changes: Changes = [],  # noqa: B006  # typer's form
    until: Annotated[str | None, typer.Option("--until", help="Stop after this stage.")] = None,
    folder: Folder = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: every stage whose section or input has changed."""
    from likewise.config import read_recipe

    _run(read_recipe(recipe, changes), folder, until, fresh, as_json)


def _stage_command(stage: str, does: str) -> None:
    def command(
        recipe: RecipePath,
        changes: Changes = [],  # noqa: B006  # typer's form
        folder: Folder = None,
        fresh: Fresh = False,
        as_json: AsJson = False,
    ) -> None:
        from likewise.config import read_recipe

        _run(read_recipe(recipe, changes), folder, stage, fresh, as_json)

    application.command(stage, help=f"{does} (with the stages before it, where they have changed).")(command)


for _stage, _does in {
    "ingest": "Read the data",
    "fingerprint": "Find near-duplicates",
    "split": "Divide into train, validation and test",
    "embed": "Compute the vectors of the model to start from",
    "mine": "Find hard negatives",
    "train": "Train",
    "evaluate": "Measure before and after",
    "index": "Build what is searched",
    "graph": "Keep one candidate graph per event",
    "report": "Write the page",
}.items():
    _stage_command(_stage, _does)


@application.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many results.")] = 10,
    run_folder: RunFolder = None,
    where: Annotated[list[str], typer.Option("--where", metavar="COLUMN=VALUE", help="Only items with this value.")] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Search a run's index with words."""
    _search(query, k, run_folder, where, as_json)


@application.command()
def classify(
    items: Annotated[list[str], typer.Argument(help="Pictures and folders of them, or texts in a run on texts.")] = [],  # noqa: B006
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many neighbours vote.")] = 5,
    column: Annotated[str, typer.Option("--column", help="The column that holds the labels.")] = "group",
    leave_one_out: Annotated[bool, typer.Option("--leave-one-out", help="Measure it on the labelled items themselves.")] = False,
    run_folder: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Label new pictures or texts by the nearest labelled items of a run, or measure how often that is right."""
    from likewise.classifying import Classifier

    if bool(items) == leave_one_out:
        raise UserError("Name what is to be labelled, or give --leave-one-out to measure; one of the two.")
    classifier = Classifier(_latest(run_folder), column)
    if leave_one_out:
        _classification(classifier.leave_one_out(k), as_json)
    else:
        _classify(classifier, items, k, as_json)


@application.command()
def duplicates(
    items: Annotated[list[Path], typer.Argument(metavar="PICTURES", help="Pictures, and folders of them.")],
    bits: Annotated[
        int | None, typer.Option("--bits", min=0, max=16, help="How many of 64 bits may differ; by default as in the run.")
    ] = None,
    run_folder: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Tell which new pictures are near-duplicates of a run's pictures, or of one another."""
    from likewise.duplicates import DuplicateFinder

    _duplicates(DuplicateFinder(_latest(run_folder), bits), items, as_json)


@application.command()
def compare(first: Path, second: Path, as_json: AsJson = False) -> None:
    """Two runs side by side: their metrics, a paired test where they share test queries, and what differs in their recipes."""
    from likewise.comparing import compare as work

    found = work(first, second)
    if as_json:
        _json(found.as_json())
        return
    _table(("metric", str(first), str(second)), found.metrics)
    if found.sentence:
        _line(found.sentence)
    if found.recipe:
        _table(("recipe", str(first), str(second)), found.recipe)


@application.command()
def publish(
    target: Annotated[Path, typer.Argument(help="The folder to write.")],
    run_folder: RunFolder = None,
    name: Annotated[str | None, typer.Option(help="The model's name on its card.")] = None,
    license: Annotated[str, typer.Option(help="The licence on its card, such as apache-2.0.")] = "other",
    push: Annotated[str | None, typer.Option(help="Also upload it to this repository of the Hugging Face hub.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that is there.")] = False,
) -> None:
    """Write a folder that SentenceTransformer opens, with a card that tells the measured verdict."""
    from likewise.publishing.huggingface import publish as work
    from likewise.publishing.huggingface import push as upload

    published = work(_latest(run_folder), target, overwrite=overwrite, name=name, license=license)
    _line(f"Wrote {target}: {published.sentence}")
    if push:
        _line(f"Uploaded to {upload(target, push)}")


@application.command()
def export(
    kind: Annotated[Literal["numpy", "faiss", "parquet", "csv", "jsonl"], typer.Argument(help="The format.")],
    target: Annotated[Path, typer.Argument(help="The folder to write.")],
    run_folder: RunFolder = None,
) -> None:
    """Write ids and vectors in a format other tools read."""
    from likewise.publishing.export import export as work

    for path in work(_latest(run_folder), target, kind):
        _line(f"Wrote {path}")


@application.command()
def inspect(path: Path, as_json: AsJson = False) -> None:
    """Tell what a file, a folder of Parquet tables, of archives that were read, an artifact or a run holds."""
    from likewise.inspecting import inspect as work

    found = work(path)
    if as_json:
        _json(found.as_json())
    else:
        _table(("what", "value"), found.rows)


tables = typer.Typer(
    help="Work on Parquet tables of grouped items: read them from archives, merge them, drop repeated ids and small groups, "
    "repair older ones.",
    no_args_is_help=True,
)
application.add_typer(tables, name="tables")
Tables = Annotated[
    list[Path], typer.Argument(metavar="TABLES", help="Parquet files, folders of them, runs, and what `read` wrote.")
]
Into = Annotated[Path, typer.Option("--into", help="The new folder to write.")]


@tables.command("read")
def read_tables(
    paths: Annotated[list[Path], typer.Argument(metavar="ARCHIVES", help="Tar archives of pictures, and folders of them.")],
    into: Annotated[Path, typer.Option("--into", help="The folder of what is read; each archive gets a folder in it.")],
    annotations: Annotated[
        Literal["none", "street_view"], typer.Option("--annotations", help="What stands beside each picture.")
    ] = "none",
    group_from_folder: Annotated[
        bool, typer.Option("--group-from-folder", help="The first folder in an archive names the group of its pictures.")
    ] = False,
    frame: Annotated[int, typer.Option("--frame", min=0, help="Which page is read of a picture of several.")] = 0,
    on_bad: Annotated[
        Literal["stop", "reject"], typer.Option("--on-bad", help="What cannot be read ends the work, or is left out and told.")
    ] = "stop",
    as_json: AsJson = False,
) -> None:
    """Read tar archives of pictures, each into tables of its own; what was read before and has not changed is not read again."""
    from likewise.console import closing, reporter
    from likewise.data.group_tables.read import read_archives
    from likewise.data.options import ImageArchiveOptions

    options = ImageArchiveOptions(
        path="", annotations=annotations, group_from_folder=group_from_folder, frame=frame, on_bad=on_bad
    )
    heard = reporter()
    with closing(heard):
        found = read_archives(paths, into, options, reporter=heard)
    _report(found, as_json)


@tables.command("merge")
def merge_tables(
    paths: Tables,
    into: Into,
    rows_per_file: Annotated[int, typer.Option("--rows-per-file", min=1, help="Rows of each table written.")] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Write the rows of several tables, in their order, as tables with the columns of all."""
    from likewise.data.group_tables.merge import merge

    _report(merge(paths, into, rows_per_file=rows_per_file), as_json)


@tables.command("deduplicate")
def deduplicate_tables(
    paths: Tables,
    into: Into,
    on_conflict: Annotated[
        Literal["error", "first"], typer.Option("--on-conflict", help="Two images of one id: an error, or the first is kept.")
    ] = "error",
    as_json: AsJson = False,
) -> None:
    """Write one row for each id, the first one met."""
    from likewise.data.group_tables.deduplicate import deduplicate

    _report(deduplicate(paths, into, on_conflict=on_conflict), as_json)


@tables.command("drop-single")
def drop_single_tables(
    paths: Tables,
    into: Into,
    at_least: Annotated[int, typer.Option("--at-least", min=2, help="The fewest images of a group that is kept.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Write the rows of groups of two images or more, and those without a group."""
    from likewise.data.group_tables.small_groups import drop_single

    _report(drop_single(paths, into, at_least=at_least), as_json)


@tables.command("repair")
def repair_tables(
    paths: Tables,
    into: Annotated[
        Path | None, typer.Option("--into", help="A new folder to write; without it tables are repaired in place.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give older tables the columns and types of today, and their images digests."""
    from likewise.data.group_tables.repair import repair

    _report(repair(paths, into, dry_run=dry_run), as_json)


@application.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference page instead of JSON schema.")] = False,
) -> None:
    """Print every section, key, type, default and effect of a recipe."""
    from likewise.reference import as_markdown, json_schema

    if markdown:
        sys.stdout.write(as_markdown())
    else:
        _json(json_schema())


@application.command()
def clean(
    folder: Annotated[Path, typer.Argument(help="A run's folder.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove artifacts of a run that are no longer in force, and unfinished ones."""
    import shutil

    from likewise.artifacts.run import LOG, Run, leftovers

    if not (folder / LOG).is_file():
        raise UserError(f"{folder} is not a run; name a folder below runs/.")
    with Run(folder):
        found = leftovers(folder)
        size = sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())
        if not found:
            _line("Nothing to remove.")
            return
        for path in found:
            _line(str(path))
        if yes or typer.confirm(f"Remove these {len(found)} folders ({size / 1e6:,.1f} MB)?"):
            for path in found:
                shutil.rmtree(path)
            _line(f"Removed {size / 1e6:,.1f} MB.")


def _run(recipe: Any, folder: Path | None, until: str | None, fresh: bool, as_json: bool) -> Outcome:
    from likewise.console import closing, reporter
    from likewise.pipeline import run as work

    heard = reporter(as_json)
    with closing(heard):
        outcome = work(recipe, folder, until=until, fresh=fresh, reporter=heard)
    if as_json:
        _json(
            {"event": "done", "folder": str(outcome.folder), "verdict": outcome.verdict, "report": str(outcome.report or "")},
            indent=None,
        )
        return outcome
    if outcome.verdict is not None:
        _line("")
        for sentence in outcome.verdict["sentences"]:
            _line(sentence)
    if outcome.report is not None:
        _line(f"Report: {outcome.report}")
    return outcome


def _search(query: str, k: int, run_folder: Path | None, where: list[str], as_json: bool) -> None:
    from likewise.searching import open_run

    conditions = {}
    for condition in where:
        column, equals, value = condition.partition("=")
        if not equals:
            raise UserError(f"--where {condition!r} is not COLUMN=VALUE.")
        conditions[column] = value
    found = open_run(_latest(run_folder)).search(query, k, where=conditions or None)
    if as_json:
        _json([{"id": hit.id, "score": hit.score, "text": hit.text, **hit.metadata} for hit in found])
        return
    _table(("score", "id", "text"), [(f"{hit.score:.3f}", hit.id, _shorten(hit.text, 300)) for hit in found])


def _classify(classifier: Classifier, items: list[str], k: int, as_json: bool) -> None:
    from dataclasses import asdict

    if classifier.kind == "image":
        read = classifier.read([Path(item) for item in items]).some()
        refused = [str(reject) for reject in read.rejects]
        found = classifier.classify(read.payload, k, ids=read.ids)
    else:
        found, refused = classifier.classify(items, k), []
    if as_json:
        _json({"items": [asdict(each) for each in found], "refused": refused, "remarks": classifier.remarks})
        return
    rows = (
        (
            each.label,
            f"{each.share:.0%}",
            each.id,
            "\n".join(f"{near.score:.3f} {near.label}: {near.id}" for near in each.neighbors[:NEAREST_SHOWN]),
        )
        for each in found
    )
    _table(("label", "votes", "item", "nearest"), rows)
    for sentence in (*refused, *classifier.remarks):
        _line(f"! {sentence}")


def _duplicates(finder: DuplicateFinder, items: list[Path], as_json: bool) -> None:
    from dataclasses import asdict

    read = finder.read(items).some()
    found = finder.find(read.payload, ids=read.ids)
    refused = [str(reject) for reject in read.rejects]
    if as_json:
        _json({"items": [asdict(each) for each in found], "refused": refused})
        return
    rows = [
        (
            each.id,
            "\n".join("the same file" if near.same_file else f"{near.bits} of 64 bits differ" for near in shown),
            "\n".join(near.id for near in shown) + (f"\nand {each.count - len(shown):,} more" if each.count > len(shown) else ""),
        )
        for each in found
        if (shown := each.near[:NEAREST_SHOWN])
    ]
    if rows:
        _table(("picture", "how near", "to"), rows)
    alike = sum(bool(each.near) for each in found)
    _line(f"Near-duplicates of one of the run's {len(finder):,} pictures, or of one named before: {alike:,} of {len(found):,}.")
    for sentence in refused:
        _line(f"! {sentence}")


def _classification(found: Classification, as_json: bool) -> None:
    if as_json:
        _json(found.as_json())
        return
    for sentence in found.sentences():
        _line(sentence)
    labels = [each.label for each in found.accuracy.labels]
    if len(labels) <= MATRIX_LABELS:
        short = max(map(len, labels)) < 4
        heads = labels if short else ascii_lowercase[: len(labels)]
        named = labels if short else [f"{letter}  {label}" for letter, label in zip(heads, labels, strict=True)]
        counts = ([str(count or "·") for count in row] for row in found.accuracy.matrix().tolist())
        _table((found.column, *heads), [(name, *row) for name, row in zip(named, counts, strict=True)])
        return
    confused = [(each.label, each.taken_for, f"{each.items:,}") for each in found.accuracy.confusions[:MATRIX_LABELS]]
    _table((found.column, "taken for", "items"), confused)


def _report(report: Any, as_json: bool) -> None:
    """What was done to tables."""
    from dataclasses import asdict

    if as_json:
        typer.echo(json.dumps({**asdict(report), "sentences": report.sentences()}, ensure_ascii=False, indent=2, default=str))
        return
    for sentence in report.sentences():
        _line(sentence)


def _latest(folder: Path | None) -> Path:
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"There is no run {folder}; name a folder below runs/, or run a recipe first.")
        return folder
    runs = sorted(Path("runs").glob("*/recipe.toml"), key=lambda path: path.stat().st_mtime) if Path("runs").is_dir() else []
    if not runs:
        raise UserError("There is no run below runs/; run a recipe first (likewise demo), or name a run with --run.")
    return runs[-1].parent


def _shorten(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _line(text: str) -> None:
    typer.echo(text)


def _json(value: Any, indent: int | None = 2) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def _table(head: tuple[str, ...], rows: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console().print(table)


def main() -> None:
    """The `likewise` command: exit 0, 2 for the user's mistake, 1 for ours, 143 after SIGTERM."""
    try:
        application()
    except LikewiseError as error:
        if os.environ.get("LIKEWISE_DEBUG"):
            raise
        typer.echo(f"likewise: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("likewise: interrupted; what was whole is kept, run again to go on.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # the last line of defence: our own mistake, told in one line
        if os.environ.get("LIKEWISE_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in NO_ROOM_OR_RIGHTS:
            place = storable(error.filename) if isinstance(error.filename, str) else "A file"
            typer.echo(f"likewise: {place} cannot be used ({error.strerror}); see to its rights and room.", err=True)
            sys.exit(2)
        typer.echo(f"likewise: {type(error).__name__}: {error} (a fault of ours; likewise --debug … shows where)", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
