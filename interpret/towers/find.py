"""The description of a model's tower, by what the tower is."""

from __future__ import annotations

from typing import Any

from torch import nn

from interpret.towers.convnext import convnext
from interpret.towers.resnet import modified_resnet
from interpret.towers.text import text_transformer
from interpret.towers.timm import timm_transformer
from interpret.towers.tower import Tower, UnsupportedTowerError
from interpret.towers.vit import vision_transformer
from lightning_modules.adapted import unwrapped

_TRUNKS = {
    "VisionTransformer": timm_transformer,
    "Eva": timm_transformer,
    "ConvNeXt": convnext,
}


def image_tower(model: nn.Module) -> Tower:
    """Describe the image tower of a CLIP, also of one with adapters, merged or not.

    Args:
        model: a model of open_clip, split or not, PEFT's wrapping of one, or a `Composition`.

    Raises:
        UnsupportedTowerError: if its image tower has no exact decomposition here; the message says
            which have one.
    """
    visual: Any = getattr(_clip(model), "visual", None)
    kind = type(visual).__name__
    if kind == "VisionTransformer":
        return vision_transformer(visual)
    if kind == "ModifiedResNet":
        return modified_resnet(visual)
    trunk = type(getattr(visual, "trunk", None)).__name__
    if kind == "TimmModel" and trunk in _TRUNKS:
        return _TRUNKS[trunk](visual)
    raise UnsupportedTowerError(
        f"expected an image tower that is a vision transformer (class token, average or attention "
        f"pooling), CoCa, EVA, SigLIP, PE, CLIP's ResNet or ConvNeXt, got "
        f"{trunk if kind == 'TimmModel' else kind}. Choose a BACKBONE of one of these kinds."
    )


def text_tower(model: nn.Module) -> Tower:
    """Describe the text tower of a CLIP.

    Raises:
        UnsupportedTowerError: if it is not one of open_clip's own.
    """
    return text_transformer(_clip(model))


def _clip(model: nn.Module) -> Any:
    """The CLIP inside PEFT's wrapping or a composition."""
    inner = unwrapped(model)
    held = getattr(inner, "model", None)
    return held if isinstance(held, nn.Module) and not hasattr(inner, "visual") else inner
