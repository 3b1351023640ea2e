"""One call for all heat maps.

Shape letters: B images, E embedding width, T texts, Y x X patches.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from datamodules.errors import InputError
from interpret.heatmap.chefer import chefer
from interpret.heatmap.decomposition import decomposition
from interpret.heatmap.gradcam import gradcam
from interpret.heatmap.legrad import legrad
from interpret.heatmap.maskclip import maskclip
from interpret.heatmap.raw_attention import raw_attention
from interpret.heatmap.rollout import rollout
from interpret.towers import Tower

METHODS: dict[str, Callable[..., Tensor]] = {
    "decomposition": decomposition,
    "raw_attention": raw_attention,
    "rollout": rollout,
    "gradcam": gradcam,
    "chefer": chefer,
    "legrad": legrad,
    "maskclip": maskclip,
}
WITHOUT_TEXT = ("raw_attention", "rollout")


def heat_map(
    tower: Tower,
    images: Tensor,
    texts: Tensor | None = None,
    *,
    method: str = "decomposition",
    **options: Any,
) -> Tensor:
    """Which patches speak for a text, (B, T, Y, X); (B, 1, Y, X) from methods that know no text.

    Args:
        tower: from `image_tower`, in evaluation mode.
        images: preprocessed.
        texts: text embeddings (T, E), or (B, T, E) where each image has its own, of any length
            above 0: they are taken at length 1. Raw attention and rollout do without.
        method: one of `METHODS`.
        options: of the method, such as `start=` of chefer or `heads=` of the decomposition.

    Raises:
        InputError: if method or option is unknown, or as the method's own function.
    """
    if method not in METHODS:
        raise InputError(f"expected a method among {', '.join(METHODS)}, got {method!r}.")
    function = METHODS[method]
    known = [name for name, each in inspect.signature(function).parameters.items()
             if each.kind is inspect.Parameter.KEYWORD_ONLY]  # fmt: skip
    if unknown := [name for name in options if name not in known]:
        raise InputError(
            f"expected options of {method} among {', '.join(known) or 'none'}, got {unknown[0]!r}."
        )
    if method in WITHOUT_TEXT:
        return function(tower, images, **options)
    return function(tower, images, texts, **options)
