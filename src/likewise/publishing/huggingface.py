"""A run's model as a folder that `SentenceTransformer(path)` opens, checked before it appears, and its upload to the hub.

Shapes: n sample texts, D dimensions.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from likewise.encoders.fit import load_encoder
from likewise.errors import DamagedArtifact, UserError, first_line
from likewise.publishing.card import write_card
from likewise.publishing.finished import FinishedRun
from likewise.publishing.folders import appearing, check_free
from likewise.types import ROLES, Float32, Int64, Role
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions
from likewise.vectors.store import Vectors

if TYPE_CHECKING:
    from likewise.encoders.base import Encoder

MODEL_FILE = "modules.json"  # by it sentence-transformers knows its folders
SAMPLE = 32  # texts of each role that are compared
TOLERANCE = 1e-5  # largest difference of any number of a vector, both sides in float32
ROUNDED_COSINE = 0.999  # stored vectors may be of 16-bit arithmetic


@dataclass(frozen=True, slots=True)
class Published:
    """A folder that was written: the largest difference of its vectors to the run's own encoder on `texts` sample texts."""

    folder: Path
    name: str
    texts: int
    largest_difference: float
    kept_start: bool
    sentence: str


def publish(run: Path, target: Path, *, overwrite: bool = False, name: str | None = None, license: str = "other") -> Published:
    """Write the model that a run handed over to `target`: model, prompts, `README.md` and `demo_usage.py`.

    `license` is a Hugging Face licence identifier. Before the folder appears it is opened by sentence-transformers, and its
    vectors of sample texts are compared with those of the run's encoder, in float32, to 1e-5; DamagedArtifact if they differ.
    UserError where `target` is taken, or the encoder is of a kind that sentence-transformers cannot open.
    """
    check_free(target, overwrite=overwrite, mark=MODEL_FILE)
    finished = FinishedRun(run)
    encoder = load_encoder(finished.model).eval()
    name = name or finished.name
    with appearing(target, overwrite=overwrite, mark=MODEL_FILE) as folder:
        encoder.save(folder)
        if not (folder / MODEL_FILE).is_file():
            kind = type(encoder).__name__
            raise UserError(f"{run} has a {kind}, which sentence-transformers cannot open; likewise export writes its vectors.")
        texts, difference = _verify(folder, finished, encoder)
        demo = importlib.resources.files("likewise.publishing") / "demo_usage.py.template"
        (folder / "demo_usage.py").write_text(demo.read_text(encoding="utf-8"), encoding="utf-8")
        write_card(folder / "README.md", finished, encoder, name=name, license=license, folder=target.name)
    kept = finished.chosen == "start"
    what = "the model the run began with, unchanged" if kept else "the trained model"
    sentence = f"{what}; its vectors of {texts} texts of the run are those that were measured (to {TOLERANCE:.5f})."
    return Published(target, name, texts, difference, kept, sentence)


def _verify(folder: Path, run: FinishedRun, encoder: Encoder) -> tuple[int, float]:
    """How many texts were compared, and their vectors' largest difference; DamagedArtifact if it is too large."""
    from sentence_transformers import SentenceTransformer

    from likewise.encoders.hub import without_progress_bars

    stored = Vectors(run.vectors)
    if stored.space != encoder.space:
        raise DamagedArtifact(
            f"{run.vectors.path} holds vectors of another model than {run.model.path}; run with --fresh and publish again."
        )
    with without_progress_bars():
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    count, largest = 0, 0.0
    for role in ROLES:
        rows = _spread(run.corpus.rows(role))
        if not len(rows):
            continue
        texts = run.corpus.payload(rows)
        encode = model.encode_query if role == "query" else model.encode_document
        published = np.asarray(encode(texts, show_progress_bar=False), dtype=np.float32)
        largest = max(largest, _difference(published, _reference(encoder, texts, role)))
        _check_stored(published, np.asarray(stored.array[rows]), run)
        count += len(rows)
    return count, largest


def _spread(rows: Int64) -> Int64:
    """At most `SAMPLE` of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).round().astype(np.int64))] if len(rows) else rows


def _reference(encoder: Encoder, texts: list[str], role: Role) -> Float32:
    return extract(encoder, texts, role, EmbedOptions(precision="float32", device="cpu"))


def _difference(published: Float32, reference: Float32) -> float:
    if published.shape != reference.shape:
        raise DamagedArtifact(
            f"The published model gives vectors {published.shape}, the run's encoder {reference.shape}: not written."
        )
    difference = float(np.abs(published - reference).max())
    if not difference <= TOLERANCE:  # also where it is not a number
        gap = f"they differ by {difference:.2g}, allowed is {TOLERANCE:g}"
        raise DamagedArtifact(f"The published model gives other vectors than the run's encoder ({gap}): not written.")
    return difference


def _check_stored(published: Float32, stored: Float32, run: FinishedRun) -> None:
    """The vectors that were measured must be those of this model, but for the rounding of 16 bits."""
    lengths = np.linalg.norm(published, axis=1) * np.linalg.norm(stored, axis=1)
    cosines = np.einsum("nd,nd->n", published, stored) / np.where(lengths > 0, lengths, 1)
    same = (lengths == 0) | (cosines >= ROUNDED_COSINE)  # a text without a known word has no direction
    if not same.all():
        gap = f"cosine {cosines[~same].min():.4f}"
        raise DamagedArtifact(
            f"{run.vectors.path} holds other vectors than its model gives ({gap}); run with --fresh and publish again."
        )


class Hub(Protocol):
    """What is used of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make the repository if it is not there."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> Any:
        """Upload all files in one commit."""
        ...


def push(folder: Path, repo_id: str, *, private: bool = True, hub: Hub | None = None) -> str:
    """Upload a published folder to the Hugging Face hub and return its address; a new repository is private.

    UserError where the folder is no published model, the name is refused, no token is set, or the hub cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    if not (folder / MODEL_FILE).is_file():
        raise UserError(f"{folder} is not a published model: it has no {MODEL_FILE}; write it first: likewise publish {folder}")
    if hub is None:
        if huggingface_hub.is_offline_mode():
            raise UserError(f"{repo_id} cannot be uploaded: HF_HUB_OFFLINE is set; unset it, or upload {folder} by hand.")
        hub = huggingface_hub.HfApi()
    try:
        hub.create_repo(repo_id, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repo_id, folder_path=str(folder), commit_message="Published by Likewise")
    except HFValidationError as error:
        raise UserError(f'"{repo_id}" is no name of a repository ({first_line(error)}); write OWNER/NAME.') from error
    except LocalTokenNotFoundError as error:
        raise UserError(f"{repo_id} cannot be uploaded: no token of Hugging Face is set; run hf auth login.") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        remedy = "run hf auth login with a token that may write there" if status in (401, 403) else "try again later"
        raise UserError(f"{repo_id} cannot be uploaded: the hub refused ({first_line(error)}); {remedy}.") from error
    except Exception as error:  # no route, no name, no answer: each HTTP client has its own kinds
        reason = first_line(error)
        raise UserError(
            f"{repo_id} cannot be uploaded: the hub cannot be reached ({reason}); {folder} stays, upload it later."
        ) from error
    return f"{huggingface_hub.constants.ENDPOINT}/{repo_id}"
