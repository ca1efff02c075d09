"""Freezing the lower layers of a transformer, whatever its architecture, so that their backward pass is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.errors import RecipeError


def freeze_layers(model: nn.Module, count: int, name: str, prepared: Mapping[str, Any]) -> None:
    """Keep the `count` lowest layers as they are, with everything that feeds them: embeddings, positions, shared biases.

    Autograd then records nothing below, so neither time nor memory goes there. `prepared` is a small input of the model,
    `name` what errors call it. RecipeError where the model has fewer layers, or nothing would be left to train.
    """
    layers = transformer_layers(model)
    if count > len(layers):
        raise RecipeError(f'[encoder] frozen_layers = {count}, but "{name}" has {len(layers)} layers; use at most {len(layers)}.')
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    below = _output_of(model, layers[count - 1], prepared)
    gradients = torch.autograd.grad(below.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.requires_grad_(False)
    if not _output_of(model, model, prepared).requires_grad:
        raise RecipeError(f'[encoder] frozen_layers = {count} leaves nothing of "{name}" to train; use at most {count - 1}.')


def transformer_layers(model: nn.Module) -> nn.ModuleList:
    """The list of layers: of all module lists, the one with the most parameters. Empty where there is none."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda layers: sum(p.numel() for p in layers.parameters()), default=nn.ModuleList())


def _output_of(model: nn.Module, module: nn.Module, prepared: Mapping[str, Any]) -> Tensor:
    """What one module gives when the whole model runs once, as in inference but with gradients."""
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) else output
        outputs.append(output["sentence_embedding"] if isinstance(output, Mapping) else output)

    hook = module.register_forward_hook(keep)
    was_training = model.training
    try:
        with torch.enable_grad():
            model.eval()(dict(prepared))
    finally:
        hook.remove()
        model.train(was_training)
    return outputs[-1]
