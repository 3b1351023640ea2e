"""Random models, deltas and batches of the composition benchmarks: real shapes, seeded numbers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.attention import fused_state_dict, split_attention
from lightning_modules.delta import Delta, DeltaCard, Factor
from lightning_modules.lora import linear_modules
from lightning_modules.tensors import fingerprint

CLASSES = 10
_TINY_TEXT = {"layers": 1, "width": 64, "heads": 1, "vocab_size": 100}


class Batch(NamedTuple):
    """Random images with labels, and the embeddings of their classes."""

    images: Tensor
    labels: Tensor
    classes: Tensor

    def loss(self, embedding: Tensor) -> Tensor:
        """Cross-entropy of 100 times the cosines."""
        return F.cross_entropy(
            100 * F.normalize(embedding.float(), dim=-1) @ self.classes.T, self.labels
        )


def random_clip(name: str, layers: int = 0, width: int = 0) -> nn.Module:
    """A split CLIP with seeded random weights, frozen, and a text tower of hardly any size.

    Args:
        name: open_clip's architecture.
        layers: of the image tower; 0: all.
        width: of the image tower; 0: its own.
    """
    import open_clip

    config: dict[str, Any] = copy.deepcopy(open_clip.get_model_config(name))
    config["vision_cfg"].update(layers=layers or config["vision_cfg"]["layers"])
    config["vision_cfg"].update(width=width or config["vision_cfg"]["width"])
    config["text_cfg"].update(_TINY_TEXT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.model.CLIP(**config)
    return split_attention(model.eval().requires_grad_(False))


def weight_shapes(clip: nn.Module) -> dict[str, torch.Size]:
    """The shapes of all Linear weights of the image tower."""
    linears = linear_modules(clip).items()
    return {f"{n}.weight": x.weight.shape for n, x in linears if n.startswith("visual.")}


def random_lora(number: int, shapes: Mapping[str, torch.Size], rank: int, digest: str) -> Delta:
    """A LoRA delta on weights of these shapes, about a tenth of them, the same for the same number.

    Args:
        number: its name and seed.
        shapes: weight name -> (outputs, inputs).
        rank: of every module.
        digest: fingerprint of the base.
    """
    draw = torch.Generator().manual_seed(number)
    factors = {
        name.removesuffix(".weight"): Factor(
            torch.randn(rank, inputs, generator=draw) / inputs**0.5,
            0.1 * torch.randn(outputs, rank, generator=draw) / rank**0.5,
        )
        for name, (outputs, inputs) in shapes.items()
    }
    return Delta(_card(number, digest), factors=factors)


def random_dense(number: int, shapes: Mapping[str, torch.Size], digest: str) -> Delta:
    """A dense delta; arguments as above."""
    draw = torch.Generator().manual_seed(number)
    updates = {name: 1e-3 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    return Delta(_card(number, digest, kind="dense"), differences=updates)


def digest_of(clip: nn.Module) -> str:
    """What the cards of deltas call their base."""
    return fingerprint(fused_state_dict(clip))


def _card(number: int, digest: str, **kind: Any) -> DeltaCard:
    return DeltaCard(
        attribute=f"delta-{number:03}", values=("one", "two"), templates=("a {}",), seed=number,
        backbone="random", pretrained="random", fingerprint=digest, quick_gelu=False, **kind,
    )  # fmt: skip


def tower_of(clip: nn.Module) -> nn.Module:
    """The image tower."""
    return clip.get_submodule("visual")


def draw_batch(clip: nn.Module, tokens: int) -> Batch:
    """As few images as have this many tokens."""
    tower: Any = clip.get_submodule("visual")
    device = tower.proj.device
    draw = torch.Generator().manual_seed(0)
    count = -(-tokens // len(tower.positional_embedding))
    size = tower.image_size[0]
    classes = torch.randn(CLASSES, tower.proj.shape[1], generator=draw)
    return Batch(
        torch.randn(count, 3, size, size, generator=draw).to(device),
        torch.randint(CLASSES, (count,), generator=draw).to(device),
        F.normalize(classes, dim=-1).to(device),
    )


def count_tokens(clip: nn.Module, batch: Batch) -> int:
    """Tokens of all images of a batch, class tokens included."""
    return len(batch.images) * len(clip.get_parameter("visual.positional_embedding"))


def depth(clip: nn.Module) -> int:
    """Blocks of the image tower."""
    return len(list(clip.get_submodule("visual.transformer.resblocks").children()))
