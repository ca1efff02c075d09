"""The sections [ingest], [fingerprint] and [split]."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from likewise.data.events.options import CutOptions, GeneratorOptions
from likewise.errors import UserError
from likewise.options import Options
from likewise.types import Scope

INGEST_VERSION = 3  # of what ingest writes: rises when the same source gives other files
ImageHash = Literal["phash", "dhash"]


class IngestOptions(Options):
    """Where items and evidence come from."""

    needs_positives: ClassVar[bool] = True  # whether data without a single positive pair is an error
    scope: ClassVar[Scope] = "corpus"  # whether evidence may join items of different shards
    grouped: ClassVar[bool] = False  # whether items of one group (the column of this name) are alike
    items: ClassVar[Literal["text", "image", "features"]] = "text"  # what the items are

    kind: str

    @property
    def stops_at_bad(self) -> bool:
        """Whether what cannot be read ends the run."""
        return True


class ReadingOptions(IngestOptions):
    """Data that may be bad."""

    on_bad: Literal["stop", "reject"] = "stop"
    """What a bad row (or event) does: "stop" ends the run and says what and why; "reject" writes it to rejects.parquet."""

    @property
    def stops_at_bad(self) -> bool:
        """As `on_bad` says."""
        return self.on_bad == "stop"


class LinkedOptions(ReadingOptions):
    """Data whose pairs may be marked by people."""

    marks: str | None = None
    """A suspicious.csv of an earlier run, its column `mark` filled in: "alike" makes a positive, "not" a known negative. A mark
    that contradicts the groups keeps a pair from being used either way."""


class PairsOptions(LinkedOptions):
    """Pairs of texts in CSV, TSV, JSONL or Parquet files."""

    implementation: ClassVar[str] = "likewise.data.pairs:PairsSource"
    paths: ClassVar[tuple[str, ...]] = ("path", "marks")

    kind: Literal["pairs"] = "pairs"
    path: str
    """A file, or a folder whose .csv, .tsv, .jsonl and .parquet files (.gz too, but for .parquet) are read by name."""
    anchor: str = "anchor"
    """The column of the query text."""
    positive: str = "positive"
    """The column of the text, or list of texts, that belongs to the anchor."""
    negatives: tuple[str, ...] = ("negative",)
    """Columns of texts, or lists of texts, known not to belong to it. Those that a file lacks are passed over."""
    label: str | None = None
    """A column that says whether anchor and positive are alike: 1 or 0, or a score compared with `label_threshold`."""
    label_threshold: float = 0.5
    """Scores at or above it are alike, below it known negatives."""
    split: str | None = None
    """A column that says "train", "validation" or "test"; such splits are kept."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many rows, drawn with the recipe's seed (not the first ones)."""


class BeirOptions(LinkedOptions):
    """A BEIR folder: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, whose splits are kept."""

    implementation: ClassVar[str] = "likewise.data.beir:BeirSource"
    paths: ClassVar[tuple[str, ...]] = ("path", "marks")

    kind: Literal["beir"] = "beir"
    path: str
    """The folder."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many queries, drawn with the recipe's seed; the corpus stays whole."""


class HubOptions(LinkedOptions):
    """A Hugging Face data set by name (extra: hub)."""

    implementation: ClassVar[str] = "likewise.data.hub:HubSource"
    paths: ClassVar[tuple[str, ...]] = ("name", "marks")

    kind: Literal["hub"] = "hub"
    name: str
    """The data set's name, such as "sentence-transformers/all-nli", or a folder that `datasets.load_dataset` opens."""
    config: str | None = None
    """The data set's configuration, such as "pair"."""
    anchor: str = "anchor"
    """The column of the query text."""
    positive: str = "positive"
    """The column of the text, or list of texts, that belongs to the anchor."""
    negatives: tuple[str, ...] = ("negative",)
    """Columns of texts, or lists of texts, known not to belong to it."""
    label: str | None = None
    """A column that says whether anchor and positive are alike: 1 or 0, or a score compared with `label_threshold`."""
    label_threshold: float = 0.5
    """Scores at or above it are alike, below it known negatives."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many rows, drawn with the recipe's seed (not the first ones)."""
    cache_dir: str | None = None
    """Where downloads are kept; None uses Hugging Face's own place."""


class PythonDocsOptions(LinkedOptions):
    """First sentence of a docstring → signature and the rest, from Python code on this machine, read by `ast`, never imported."""

    implementation: ClassVar[str] = "likewise.data.python_docs:PythonDocsSource"
    paths: ClassVar[tuple[str, ...]] = ("marks",)

    kind: Literal["python_docs"] = "python_docs"
    on_bad: Literal["stop", "reject"] = "reject"
    """What a file that Python cannot parse does: "reject" lists it in rejects.parquet, "stop" ends the run."""
    standard_library: bool = True
    """Read the standard library of the running Python."""
    distributions: tuple[str, ...] | None = None
    """Names of installed distributions to read; None reads all that are installed."""
    per_module: int = Field(1500, ge=1)
    """At most this many pairs of each top-level module or distribution."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many pairs, drawn with the recipe's seed."""

    def outside(self) -> tuple[str, ...]:
        """The files named, and the versions of Python and of what is read: another installation gives other pairs."""
        named = None if self.distributions is None else {canonical(name) for name in self.distributions}
        found = installed_distributions()
        read = sorted(f"{name} {found[name].version}" for name in found if named is None or name in named)
        return (*super().outside(), f"python {platform.python_version()}", *read)


class HitsOptions(IngestOptions):
    """What is learnt from the hits of collision events, wherever they come from."""

    scope: ClassVar[Scope] = "shard"

    edges: Literal["consecutive", "all_pairs"] = "consecutive"
    """Which hits are alike: those that follow each other on a particle's path, or any two of one particle."""
    cuts: CutOptions = CutOptions()
    """Which true pairs are signal, and which hits are kept."""
    weight_by: Literal["none", "pt"] = "none"
    """What a true pair weighs: 1, or its particle's transverse momentum over that of the signal cut, from 1 up."""
    largest_weight: float = Field(5.0, ge=1)
    """With weight_by = "pt" no pair weighs more."""


class EventsOptions(HitsOptions, ReadingOptions):
    """Collision events in a folder: TrackML or ACTS CSV files (.gz too), Parquet, or PyG files."""

    implementation: ClassVar[str] = "likewise.data.events.source:EventsSource"
    paths: ClassVar[tuple[str, ...]] = ("path",)

    kind: Literal["events"] = "events"
    path: str
    """The folder. TrackML: NAME-hits.csv and its companions; ACTS: NAME-measurements.csv; Parquet: NAME.parquet; PyG: NAME.pt."""
    prefix: str = ""
    """Only events whose names begin with this, such as "geometric_"."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many events, drawn with the recipe's seed."""
    step: Literal["path", "layer", "module"] = "module"
    """Hits of a particle that are one step of its path: those at the same place of it, on one layer, or on one module."""
    cells: bool = False
    """Add what the sensor cells say of each hit to r, φ and z."""
    weight_column: str | None = None
    """A column of the files, of your own making, that holds weights of hits: a true pair has the smaller of both, 0 masks it."""
    momentum_unit: Literal["MeV", "GeV"] = "MeV"
    """The unit of momenta in PyG files, which do not say it."""


class GeneratedEventsOptions(HitsOptions):
    """Generated events: helices in a solenoid, a detector of pixels, strips and discs, scattering, noise. For trying things."""

    implementation: ClassVar[str] = "likewise.data.events.source:GeneratedEventsSource"

    kind: Literal["generated_events"] = "generated_events"
    events: int = Field(20, ge=1)
    """How many events are generated."""
    generator: GeneratorOptions = GeneratorOptions(wedge=0.0625)
    """What they are like; one sixteenth of the azimuth unless told otherwise."""


class ImagesOptions(LinkedOptions):
    """What is looked at in pictures as they are read in."""

    needs_positives: ClassVar[bool] = False
    grouped: ClassVar[bool] = True
    items: ClassVar[Literal["text", "image", "features"]] = "image"

    frame: int = Field(0, ge=0)
    """Which page of a picture of several pages is read, counted from 0; the encoder reads the same."""


class ImageFolderOptions(ImagesOptions):
    """The pictures below a folder: JPEG, PNG, TIFF, WebP, BMP, GIF, PGM and PPM."""

    implementation: ClassVar[str] = "likewise.data.images:ImageFolderSource"
    paths: ClassVar[tuple[str, ...]] = ("path", "marks")

    kind: Literal["image_folder"] = "image_folder"
    path: str
    """The folder; folders inside are searched, too."""
    group_from_folder: bool = False
    """Whether the first folder on the way to a picture names its group: pictures of one group are alike."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many pictures, drawn with the recipe's seed."""


class ImageTableOptions(ImagesOptions):
    """Pictures that the rows of CSV, TSV, JSONL or Parquet files name."""

    implementation: ClassVar[str] = "likewise.data.images:ImageTableSource"
    paths: ClassVar[tuple[str, ...]] = ("path", "images", "marks")

    kind: Literal["image_table"] = "image_table"
    path: str
    """A table, or a folder of tables."""
    images: str | None = None
    """The folder that the pictures' paths start from; None is that of the table."""
    id: str = "id"
    """The column of the id."""
    file: str = "path"
    """The column of the picture's path."""
    group: str | None = None
    """The column of the group: pictures of one group are alike."""
    sample_size: int | None = Field(None, ge=1)
    """Use this many pictures, drawn with the recipe's seed."""


class ImageArchiveOptions(ImagesOptions):
    """Pictures in tar archives (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz), read as a stream; their bytes are kept in the run."""

    implementation: ClassVar[str] = "likewise.data.archives:ImageArchiveSource"
    paths: ClassVar[tuple[str, ...]] = ("path", "marks")

    kind: Literal["image_archives"] = "image_archives"
    path: str
    """An archive, or a folder of archives, each of which is a shard."""
    annotations: Literal["none", "street_view"] = "none"
    """"street_view": beside each picture stands a .txt with a line "d " and 17 values, which give its id, its group (the building
    that it shows), places and angles."""
    group_from_folder: bool = False
    """Without annotations, whether the first folder in an archive names the group of its pictures."""


def installed_distributions() -> dict[str, metadata.Distribution]:
    """What is installed, by canonical name; the first on the path where there are several."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        if name := distribution.metadata["Name"]:
            found.setdefault(canonical(name), distribution)
    return found


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class FingerprintOptions(Options):
    """How near-duplicates are found."""

    threshold: float = Field(0.9, gt=0, le=1)
    """Texts are near-duplicates when the Jaccard similarity of their sets of word triples reaches this; 1 joins equal words."""
    exact_only: bool = False
    """Join only texts whose normalised words are equal: faster, finds no edited copies."""
    image_bits: int = Field(4, ge=0, le=16)
    """Pictures are near-duplicates when their perceptual hashes differ in at most this many of 64 bits."""
    image_hash: ImageHash = "phash"
    """What the bits of a picture's hash say: "phash" which of its 64 lowest frequencies are strong, "dhash" which of 64 areas are
    brighter than the one to their left."""


class SplitOptions(Options):
    """Shares of units for validation and test; a split that comes with the data is kept."""

    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the units used to choose the checkpoint; taken from training units where the data brings no validation split."""
    test: float = Field(0.2, ge=0, lt=1)
    """Share of the units held out for the verdict, where the data brings no test split."""
    exact: bool = False
    """Meet the shares to within one unit; units may then move when data is added. By default a hash of its key places each."""
    largest_unit: float = Field(0.2, gt=0, le=1)
    """A unit (a connected component of positives and near-duplicates) above this share of the queries is an error."""
    unit: Literal["group", "item"] = "group"
    """Where groups say what is alike: "group" keeps each in one split, so that what is measured are groups never seen; "item"
    divides their items (with their near-duplicates), so that it is new items of known groups, such as classes."""


class ImageItemsOptions(ImagesOptions):
    """Pictures in Parquet tables that ingest, or `likewise tables`, has written: with the columns id, image and group."""

    implementation: ClassVar[str] = "likewise.data.image_items:ImageItemsSource"
    paths: ClassVar[tuple[str, ...]] = ("path", "marks")

    kind: Literal["image_items"] = "image_items"
    path: str
    """A table, a folder of tables or of archives that were read apart, or the folder of a run on pictures. Relative paths of
    pictures start from the folder of their table, but of a run's from where it was run."""

    def outside(self) -> tuple[str, ...]:
        """The tables that are read; of a run's folder the rest changes without them."""
        from likewise.data.group_tables.files import tables_at

        try:
            return (*map(str, tables_at([Path(self.path)])), *((self.marks,) if self.marks else ()))
        except UserError:
            return super().outside()  # ingest says what is wrong


class DigitsOptions(IngestOptions):
    """The 1,797 handwritten digits that come with scikit-learn; the group is the digit."""

    needs_positives: ClassVar[bool] = False
    grouped: ClassVar[bool] = True
    items: ClassVar[Literal["text", "image", "features"]] = "image"
    implementation: ClassVar[str] = "likewise.data.digits:DigitsSource"

    kind: Literal["digits"] = "digits"
    sample_size: int | None = Field(None, ge=1)
    """Use this many pictures, drawn with the recipe's seed."""


INGEST_KINDS: dict[str, type[Options]] = {
    "pairs": PairsOptions,
    "beir": BeirOptions,
    "hub": HubOptions,
    "python_docs": PythonDocsOptions,
    "image_folder": ImageFolderOptions,
    "image_table": ImageTableOptions,
    "image_archives": ImageArchiveOptions,
    "image_items": ImageItemsOptions,
    "digits": DigitsOptions,
    "events": EventsOptions,
    "generated_events": GeneratedEventsOptions,
}
