"""A cross-encoder: reads query and document together and scores the pair. Slower than comparing vectors, and a better judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import sentence_transformers
import torch

from likewise.errors import DataError
from likewise.types import Float32

BATCHES_AT_ONCE = 64  # batches given to the model in one call: what it keeps per pair stays small
LARGEST_ERROR = 0.02  # bfloat16 is used where its error is at most this share of the spread of the first batch's scores


class CrossEncoder:
    """Scores pairs of texts by a model with one output. In bfloat16, if asked, as long as the first batch's scores agree.

    `say` hears when bfloat16 was given up.
    """

    def __init__(
        self,
        model: sentence_transformers.CrossEncoder,
        *,
        batch_size: int = 256,
        bfloat16: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self._bfloat16: bool | None = None if bfloat16 else False  # None: not yet tried
        self._say = say

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> Float32:
        """[P] float32, bigger is closer: what the model gives each pair after its own activation.

        Pairs are batched by length, the longest first, so that batches hold little padding and too little memory shows at once.
        """
        assert len(queries) == len(documents)
        lengths = [len(query) + len(document) for query, document in zip(queries, documents, strict=True)]
        order = np.argsort(-np.array(lengths, dtype=np.int64), kind="stable")
        pairs = [(queries[at], documents[at]) for at in order]
        if self._bfloat16 is None and pairs:
            self._bfloat16 = self._agrees(pairs[: self.batch_size])
        scores = np.empty(len(pairs), np.float32)
        step = self.batch_size * BATCHES_AT_ONCE
        for start in range(0, len(pairs), step):
            scores[order[start : start + step]] = self._predict(pairs[start : start + step], bfloat16=bool(self._bfloat16))
        return scores

    def _predict(self, pairs: list[tuple[str, str]], *, bfloat16: bool) -> Float32:
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=bfloat16):
            scores = self.model.predict(pairs, batch_size=self.batch_size, show_progress_bar=False)
        return np.asarray(scores, np.float32)

    def _agrees(self, pairs: list[tuple[str, str]]) -> bool:
        """Whether bfloat16 gives the first batch nearly the scores of float32."""
        exact, rounded = (self._predict(pairs, bfloat16=kind) for kind in (False, True))
        error, spread = float(np.sqrt(np.mean((exact - rounded) ** 2))), float(exact.std())
        if error <= LARGEST_ERROR * spread:
            return True
        if self._say is not None:
            self._say(
                f"The cross-encoder runs in float32: bfloat16 moves its scores by {error:.2g}, and they spread by {spread:.2g}."
            )
        return False


def open_cross_encoder(model: str, device: str = "cpu") -> sentence_transformers.CrossEncoder:
    """The model of a folder or a name on the hub, in float32; DataError where it cannot be opened or has several outputs."""
    folder = Path(model).expanduser()
    try:
        opened = sentence_transformers.CrossEncoder(
            str(folder) if folder.exists() else model, device=device, model_kwargs={"dtype": torch.float32}
        )
    except Exception as error:  # the hub, the file system, JSON, safetensors and transformers each raise their own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        remedy = "give a folder, or the name of a model on the Hugging Face hub"
        raise DataError(f'The cross-encoder "{model}" cannot be opened ({reason}); {remedy}.') from error
    if opened.num_labels != 1:
        remedy = "use a model with one output"
        raise DataError(f'The cross-encoder "{model}" gives {opened.num_labels} numbers for a pair instead of a score; {remedy}.')
    return opened
