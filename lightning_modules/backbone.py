"""CLIP models by name: from open_clip's hub, from a file, or from a folder trained here.

    load_backbone("ViT-B-32", "laion2b_s34b_b79k")      a tag of open_clip
    load_backbone("ViT-B-32", "weights.safetensors")    a local file
    load_backbone("glyph-clip")                         the folder artifacts/base/glyph-clip
    load_backbone("ViT-B-32", "random")                 seeded random weights, for tests

The activation (QuickGELU or GELU) follows the weights, never the name alone: the wrong one loads
without an error and costs many points of accuracy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from datamodules.errors import InputError
from datamodules.files import new_folder, write_json
from lightning_modules.attention import fused_state_dict, split_attention
from lightning_modules.hub import WEIGHTS_NAME
from lightning_modules.tensors import fingerprint, mismatch, read_weights, write_tensors
from lightning_modules.weight_source import (
    BASE_FOLDER,
    CONFIG_NAME,
    WeightSource,
    find_weights,
)

if TYPE_CHECKING:
    from open_clip import CLIP

# Entries of OpenAI's files and of old transformers versions that are no weights.
_NOT_WEIGHTS = {
    "input_resolution",
    "context_length",
    "vocab_size",
    "text.transformer.embeddings.position_ids",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backbone:
    """A frozen CLIP in evaluation mode, and all that is needed to feed it.

    Args:
        model: the CLIP, its attention split into `nn.Linear`s unless loaded with split=False.
        name: architecture, or name of the folder.
        pretrained: as given: a tag, a file, "random", or "" for a folder.
        quick_gelu: whether the activation is QuickGELU.
        fingerprint: SHA-256 of the weights in open_clip's layout, equal for split and plain models.
        tokenizer: texts -> token numbers of shape (texts, context length).
        image_size: side of the square input in pixels.
        mean: of each channel, for pixel values in [0, 1].
        std: of each channel.
        model_cfg: open_clip's architecture entry, with `quick_gelu`.
        preprocess_cfg: open_clip's preprocessing entry.
    """

    model: CLIP = field(repr=False)
    name: str
    pretrained: str
    quick_gelu: bool
    fingerprint: str
    tokenizer: Callable[[list[str]], Tensor] = field(repr=False)
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    model_cfg: dict[str, Any] = field(repr=False)
    preprocess_cfg: dict[str, Any] = field(repr=False)


def load_backbone(
    name: str,
    pretrained: str = "",
    *,
    split: bool = True,
    quick_gelu: bool | None = None,
    folder: Path = BASE_FOLDER,
    seed: int = 0,
) -> Backbone:
    """Load a CLIP, frozen and in evaluation mode.

    Args:
        name: an open_clip architecture, the name of a folder in `folder`, or the path of a folder
            in open_clip's local-dir layout.
        pretrained: for an architecture a tag, a weight file or "random"; for a folder "" (its own
            weights), a weight file or "random".
        split: whether attention is split into `nn.Linear` modules, as adapters need.
        quick_gelu: activation of a weight file whose name does not tell; None follows the tag, the
            folder's config, or the name of architecture or file ("quickgelu", "openai").
        folder: where backbones trained here lie.
        seed: of random weights.

    Raises:
        InputError: if the architecture, tag or file is unknown, cannot be downloaded, or does not
            fit; the message says what was expected, what came and what to do.
    """
    source = find_weights(name, pretrained, quick_gelu, folder)
    model = _build(source, seed)
    if source.weights is None:
        _log.warning("%s has RANDOM weights (seed %d): its scores mean nothing.", name, seed)
    else:
        _fill(model, source.weights, source.name)
    model.requires_grad_(False).eval()
    digest = fingerprint(model.state_dict())
    model.name_or_path = "/".join(filter(None, [source.name, source.pretrained]))  # for PEFT
    preprocess: dict[str, Any] = dict(model.visual.preprocess_cfg)
    return Backbone(
        model=split_attention(model) if split else model,
        name=source.name,
        pretrained=source.pretrained,
        quick_gelu=source.quick_gelu,
        fingerprint=digest,
        tokenizer=_tokenizer(source),
        image_size=_square(preprocess["size"], name),
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        model_cfg=source.model_cfg | {"quick_gelu": source.quick_gelu},
        preprocess_cfg=preprocess,
    )


def save_local_dir(
    model: nn.Module | Mapping[str, Tensor],
    model_cfg: dict[str, Any],
    preprocess_cfg: dict[str, Any],
    folder: Path,
    *,
    half: bool = False,
) -> None:
    """Write open_clip's local-dir layout: a config and safetensors that plain open_clip loads.

    Args:
        model: a CLIP, split or not, or its state dict; adapters that are not merged are left out.
        model_cfg: open_clip's architecture entry, `quick_gelu` included.
        preprocess_cfg: open_clip's preprocessing entry (mean, std, interpolation, ...).
        folder: replaced as a whole, or left as it was.
        half: store float16: half the size, and the fingerprint of the rounded weights.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    state = fused_state_dict(model)
    if half:
        state = {name: _half(value) for name, value in state.items()}
    with new_folder(folder) as partial:
        config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
        write_json(partial / CONFIG_NAME, config)
        write_tensors(partial / WEIGHTS_NAME, state)


def _build(source: WeightSource, seed: int) -> CLIP:
    """The architecture with seeded random weights; the caller's random numbers stay as they are."""
    import open_clip

    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        try:
            return open_clip.create_model(
                source.identifier,
                load_weights=False,
                pretrained_text=False,
                force_quick_gelu=source.quick_gelu,
                force_preprocess_cfg=source.preprocess,
            )
        except (ValueError, RuntimeError, OSError, TypeError, KeyError, ImportError) as error:
            raise InputError(
                f"open_clip could not build {source.name} ({_one_line(error)}). Expected an "
                "architecture of open_clip whose text tower needs no download, or a folder in its "
                "local-dir layout."
            ) from error


def _fill(model: CLIP, path: Path, name: str) -> None:
    """Load a weight file into the model, all names and shapes equal.

    Raises:
        InputError: naming the first five tensors of each kind that do not fit, and a count.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    expected = model.state_dict()
    state = convert_state_dict(model, read_weights(path))
    if "positional_embedding" in state and "positional_embedding" not in expected:
        state = convert_to_custom_text_state_dict(state)
    for scalar in ("logit_scale", "logit_bias"):  # stored with one dimension or none
        if scalar in state and scalar in expected and state[scalar].numel() == 1:
            state[scalar] = state[scalar].reshape(expected[scalar].shape)
    state = {key: value for key, value in state.items() if key not in _NOT_WEIGHTS}
    if problems := mismatch(expected, state):
        raise InputError(
            f"the tensors of {path} do not fit {name}: {problems}. Expected {len(expected)} in "
            "all. Check that BACKBONE names the architecture of these weights."
        )
    model.load_state_dict(state, strict=True)


def _tokenizer(source: WeightSource) -> Callable[[list[str]], Tensor]:
    import open_clip

    try:
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(source.identifier)
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        raise InputError(
            f"open_clip found no tokenizer for {source.name} ({_one_line(error)}). Expected one it "
            "ships with, or tokenizer.json and tokenizer_config.json in the folder of the weights."
        ) from error
    return tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's notes on random weights and activations, which are settled here."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _square(size: int | tuple[int, int] | list[int], name: str) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise InputError(
            f"{name} takes images of {size} pixels, expected a square. Choose another."
        )
    return sides.pop()


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
