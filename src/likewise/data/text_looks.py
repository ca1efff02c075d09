"""Near-duplicate texts.

Texts are compared by their normalised words: NFKC, without case, a word being a run of letters and digits or a single symbol
that means something (+ < = % # and so on, but no punctuation). Texts of equal words are one class; so are texts whose sets of
word triples have a Jaccard similarity of at least the threshold, and what hangs together through a chain of such texts.

Shapes: N items, n items of a slice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from likewise.data.looks import Looks
from likewise.data.near_duplicates import Sets, UInt64, jaccard, join_similar
from likewise.data.options import FingerprintOptions
from likewise.types import Int64

TRIPLE = 3
WORDS_KEPT = 1_000_000  # hashes of words at hand, about 100 MB
# A word, or one symbol. Not symbols: blanks, and punctuation, which editors and typesetters change without changing a text; the
# last row is that of Armenian, Hebrew, Arabic, Indian, Chinese and Japanese texts.
WORD = re.compile(
    r"""[^\W_]+|[^\w\s.,;:!?'"()\[\]{}‐-―…·•“”„‘’‚«»‹›`´¡¿\-"""
    r"""\u055A-\u055F\u0589\u058A\u05BE\u05C0\u05C3\u05F3\u05F4\u060C\u061B\u061F\u06D4\u0964\u0965\u3001-\u3003\u3008-\u3011\u3014-\u301F\u30FB]"""
)
# Not seen, and anywhere in a word: soft hyphens, joiners, marks of direction and of bytes' order, selectors of variants.
UNSEEN = re.compile(r"[\u00AD\u061C\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFE00-\uFE0F\uFEFF]")
FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)  # odd: xxHash's primes


def text_looks(slices: Iterable[Sequence[str]], options: FingerprintOptions, spool: Path) -> Looks:
    """Classes of near-duplicate texts; the sets of triples are kept at `spool` while they are compared, not in memory."""
    words: list[UInt64] = [np.empty(0, dtype=np.uint64)]
    sizes: list[Int64] = [np.empty(0, dtype=np.int64)]
    exact_only = options.exact_only or options.threshold == 1
    hashes = _WordHashes()
    with spool.open("wb") as file:
        for texts in slices:
            tokens = [normalized_words(text) for text in texts]
            # Without words, a text is compared as it is; after a blank, with which no words begin.
            words.append(np.fromiter((_hash(" ".join(w) or f" {t}") for w, t in zip(tokens, texts, strict=True)), np.uint64))
            if not exact_only:
                elements, size = triples(tokens, hashes)
                elements.tofile(file)
                sizes.append(size)
    classes = _equal(np.concatenate(words))
    equal = int((classes != np.arange(len(classes))).sum())
    similarity = np.ones(len(classes))
    if exact_only:
        return Looks(classes, similarity, equal, 0, "of equal words")
    start = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    # An empty file cannot be mapped.
    sets = Sets(np.memmap(spool, np.uint64, "r") if start[-1] else np.empty(0, np.uint64), start)
    found = join_similar(sets, classes, options.threshold)
    edited = np.flatnonzero(found.classes[classes] != classes)
    similarity[edited] = jaccard(sets, edited, found.classes[edited])
    return Looks(found.classes, similarity, equal, found.not_compared, "of equal words")


def normalized_words(text: str) -> list[str]:
    """The words of a text as they are compared."""
    if not text.isascii():
        text = UNSEEN.sub("", text)
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return WORD.findall(text.casefold())


def triples(tokens: Sequence[Sequence[str]], hashes: _WordHashes) -> tuple[UInt64, Int64]:
    """The set of hashed word triples of each text, ascending and one after the other; and their sizes [n]."""
    lengths = np.fromiter((len(words) for words in tokens), np.int64, len(tokens))
    word = np.fromiter((hashes[w] for words in tokens for w in words), np.uint64, int(lengths.sum()))
    text = np.repeat(np.arange(len(tokens)), lengths)
    whole = text[TRIPLE - 1 :] == text[: len(text) - TRIPLE + 1] if len(text) >= TRIPLE else np.empty(0, np.bool_)
    triple = sum((word[n : n + len(whole)] * FACTORS[n] for n in range(TRIPLE)), np.zeros(len(whole), np.uint64))
    triple ^= triple >> np.uint64(32)  # a product's low bits know little of its high ones
    triple *= FACTORS[0]
    text, triple = text[: len(whole)][whole], triple[whole]
    order = np.lexsort((triple, text))
    text, triple = text[order], triple[order]
    first = np.ones(len(triple), dtype=np.bool_)
    first[1:] = (triple[1:] != triple[:-1]) | (text[1:] != text[:-1])
    return triple[first], np.bincount(text[first], minlength=len(tokens))


class _WordHashes(dict[str, int]):
    """64-bit hashes of words: the same on every machine, computed once per word."""

    def __missing__(self, word: str) -> int:
        if len(self) >= WORDS_KEPT:
            self.clear()
        self[word] = value = _hash(word)
        return value


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _equal(words: UInt64) -> Int64:
    """The first row of each class of equal hashes."""
    _, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)
