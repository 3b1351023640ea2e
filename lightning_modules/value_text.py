"""Prompts -> one unit-norm text embedding a value: the classifier that CLIP gets for free.

Shape letters: V values, T templates, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHUNK = 256  # prompts encoded together


def value_embeddings(
    model: nn.Module, tokenizer: Callable[[list[str]], Tensor], prompts: Sequence[Sequence[str]]
) -> Tensor:
    """Mean of each value's normalised prompt embeddings, normalised again: (V, D), float32.

    Args:
        model: a CLIP with `encode_text`.
        tokenizer: texts -> token numbers.
        prompts: V lists of T texts.
    """
    texts = [text for row in prompts for text in row]
    device = next(model.parameters()).device
    tokens = tokenizer(texts).to(device)
    parts = [model.encode_text(part).float() for part in torch.split(tokens, _CHUNK)]  # type: ignore[operator]
    embedding = F.normalize(torch.cat(parts), dim=-1)
    sizes = [len(row) for row in prompts]
    means = [part.mean(0) for part in torch.split(embedding, sizes)]
    return F.normalize(torch.stack(means), dim=-1)
