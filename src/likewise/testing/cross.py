"""A tiny real cross-encoder for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def tiny_cross_encoder(folder: Path, texts: Sequence[str], *, outputs: int = 1, seed: int = 0) -> Path:
    """Save a small, randomly initialised BERT that reads pairs, knowing the words of `texts`; no network. Returns the folder."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir(parents=True)
    words = sorted({word for text in texts for word in text.lower().split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=outputs,
        initializer_range=0.3,  # BERT's 0.02 makes the scores of so small a model nearly equal
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return folder
