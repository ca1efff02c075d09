import pytest
import torch
from torch import nn
from transformers import AutoModel, BertConfig, DistilBertConfig, ModernBertConfig, MPNetConfig, RobertaConfig

from likewise.encoders.freezing import freeze_layers, transformer_layers
from likewise.errors import RecipeError

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 3}
CONFIGS = {
    "bert": BertConfig(**SIZES),
    "roberta": RobertaConfig(**SIZES),
    "mpnet": MPNetConfig(**SIZES),  # all its layers share one table of relative positions
    "modernbert": ModernBertConfig(**SIZES, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2),
    "distilbert": DistilBertConfig(vocab_size=50, dim=16, hidden_dim=24, n_layers=3, n_heads=2),
}
PREPARED = {"input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]]), "attention_mask": torch.ones(2, 4, dtype=torch.long)}


class Averaged(nn.Module):
    """A transformer with mean pooling."""

    def __init__(self, config):
        super().__init__()
        self.transformer = AutoModel.from_config(config)

    def forward(self, features):
        return {"sentence_embedding": self.transformer(**features).last_hidden_state.mean(dim=1)}


@pytest.mark.parametrize("kind", CONFIGS)
def test_nothing_is_recorded_below_the_frozen_layers(kind):
    model = Averaged(CONFIGS[kind]).train()
    freeze_layers(model, 2, kind, PREPARED)
    assert model.training
    layers = transformer_layers(model)
    assert len(layers) == 3
    recorded = []
    for layer in layers:
        layer.register_forward_hook(lambda _m, _i, output: recorded.append(output[0] if isinstance(output, tuple) else output))
    vectors = model(PREPARED)["sentence_embedding"]
    assert [output.requires_grad for output in recorded] == [False, False, True]
    (vectors * torch.arange(16)).sum().backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert trained
    assert all(parameter.grad is not None for name, parameter in layers[2].named_parameters())
    assert not any("embeddings" in name or "relative_attention_bias" in name for name in trained)


@pytest.mark.parametrize("kind", CONFIGS)
def test_model_has_no_more_layers_than_it_has(kind):
    with pytest.raises(RecipeError, match=rf'frozen_layers = 4, but "{kind}" has 3 layers'):
        freeze_layers(Averaged(CONFIGS[kind]), 4, kind, PREPARED)


def test_model_without_layers_says_so():
    with pytest.raises(RecipeError, match="has 0 layers"):
        freeze_layers(nn.Linear(2, 2), 1, "linear", {})
