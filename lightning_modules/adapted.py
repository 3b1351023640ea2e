"""A CLIP and its adapted self, side by side on the same weights.

Shape letters: B images, V values, D embedding width.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.backbone import Backbone
from lightning_modules.class_token import read_class_token_only
from lightning_modules.lora import base_only
from lightning_modules.pixels import Pixels
from lightning_modules.value_text import value_embeddings


def unwrapped(model: nn.Module) -> nn.Module:
    """The CLIP inside a PEFT model, or the model itself."""
    wrapped = getattr(model, "base_model", None)
    inner: nn.Module = model if wrapped is None else wrapped.model
    return inner


class AdaptedClip(nn.Module):
    """Image embeddings of the adapted and of the base model, from uint8 images.

    Args:
        backbone: the base, with what is needed to feed it.
        model: the adapted CLIP: a PEFT model around the base's own modules, or a model with changed
            weights.
        base: the base CLIP where `model` is not a PEFT model.
    """

    def __init__(self, backbone: Backbone, model: nn.Module, base: nn.Module | None = None) -> None:
        super().__init__()
        for clip in (model, base):
            if clip is not None:  # nothing here reads the other tokens of the last block
                read_class_token_only(unwrapped(clip))
        self.model = model
        self.base = base
        self.backbone = backbone
        self.pixels = Pixels(backbone.image_size, backbone.mean, backbone.std)

    @property
    def adapted(self) -> nn.Module:
        """The adapted CLIP itself, out of PEFT's wrapping."""
        return unwrapped(self.model)

    @property
    def scale(self) -> Tensor:
        """CLIP's learned factor on cosines, frozen."""
        return torch.exp(self.backbone.model.logit_scale.detach())

    def encode_image(self, image: Tensor) -> Tensor:
        """Unit-norm embeddings (B, D), float32, of uint8 images (B, 3, H, W)."""
        return F.normalize(self.adapted.encode_image(self.pixels(image)).float(), dim=-1)  # type: ignore[operator]

    def encode_base(self, image: Tensor) -> Tensor:
        """The same by the base model, without gradients."""
        with torch.no_grad(), nullcontext() if self.base else base_only(self.model):
            clip = self.base or self.adapted
            return F.normalize(clip.encode_image(self.pixels(image)).float(), dim=-1)  # type: ignore[operator]

    def encode_values(self, prompts: list[list[str]]) -> Tensor:
        """Unit-norm value embeddings (V, D) by the base's text tower; see `value_embeddings`."""
        with torch.no_grad(), nullcontext() if self.base else base_only(self.model):
            return self._values(self.base or self.adapted, prompts)

    def encode_adapted_values(self, prompts: list[list[str]]) -> Tensor:
        """The same by the adapted text tower, with gradients if it trains."""
        return self._values(self.adapted, prompts)

    def _values(self, clip: nn.Module, prompts: list[list[str]]) -> Tensor:
        return value_embeddings(clip, self.backbone.tokenizer, prompts)
