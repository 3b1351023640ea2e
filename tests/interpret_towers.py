"""Tiny towers of every kind that open_clip 3.3 has, with random LayerNorms and biases."""

import functools
from unittest import mock

import open_clip
import timm
import torch
from open_clip.timm_model import TimmModel
from torch import nn

TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
_NATIVE = {
    "class token": {},
    "average": {"pool_type": "avg"},
    "average, norm last": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "LayerScale": {"ls_init_value": 0.5},
    "tokens too": {"output_tokens": True},
    "CoCa": {"attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 4},
}
_SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}
_PE = _SMALL | {"attn_pool_num_heads": 2, "ref_feat_shape": (4, 4)}
_CONV = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 32)}
# timm's name, pool, projection (as in open_clip's configs), what makes it small
_TIMM = {
    "SigLIP": ("vit_base_patch16_siglip_224", "map", "none", _SMALL),
    "PE": ("vit_pe_core_base_patch16_224", "map", None, _PE),
    "EVA01": ("eva_giant_patch14_clip_224", "token", None, _SMALL),
    "EVA02, inner norm": ("eva02_large_patch14_clip_224", "token", None, _SMALL),
    "EVA02, norm last": ("eva02_enormous_patch14_clip_224", "token", None, _SMALL),
    "MobileCLIP2-L": ("vit_large_patch14_clip_224", "token", None, _SMALL),
    "average, timm": ("vit_medium_patch16_gap_256", "", "linear", _SMALL),
    "ViTamin": ("vitamin_small_224", "", "linear", {"depth": 2, "img_size": 64}),
    "ConvNeXt": ("convnext_tiny", "", "linear", _CONV),
    "ConvNeXt, xxlarge": ("convnext_xxlarge", "", "linear", _CONV),
}
_OTHER = {
    "FastVit": (
        "fastvit_mci0", "avg", None,
        {"layers": (1,) * 4, "embed_dims": (48, 96, 192, 384)},
    ),
    "Swin": (
        "swin_base_patch4_window7_224", "", "linear",
        {"embed_dim": 8, "depths": (1,) * 4, "num_heads": (1,) * 4},
    ),
    "relative positions": (
        "vit_relpos_medium_patch16_cls_224", "", "linear",
        {"embed_dim": 32, "depth": 1, "num_heads": 2},
    ),
    "ConvNeXt, MLP": ("convnext_tiny", "", "mlp", _CONV),
}  # fmt: skip
KINDS = (*_NATIVE, "RN", *_TIMM)
SIZES = {"RN": 64, "ViTamin": 64, "ConvNeXt": 64, "ConvNeXt, xxlarge": 64}


class _Clip(nn.Module):
    def __init__(self, visual):
        super().__init__()
        self.visual = visual


def size(kind):
    return SIZES.get(kind, 32)


def images(kind, dtype=torch.float32, count=3):
    draw = torch.Generator().manual_seed(1)
    shape = (count, 3, size(kind), size(kind))
    return torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)


def clip(kind="class token", dtype=torch.float32):
    """A model with a tower of this kind; its own copy."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _build(kind).eval().requires_grad_(False)
        for value in model.parameters():  # LayerNorms start at 1 and 0, which would hide a lost one
            value.add_(0.1 * torch.randn_like(value))
    return model.to(dtype)


def _build(kind):
    if kind in _NATIVE:
        return open_clip.model.CLIP(24, VISION | _NATIVE[kind], TEXT)
    if kind == "RN":
        vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
        return open_clip.model.CLIP(24, vision | {"patch_size": None}, TEXT)
    name, pool, proj, small = (_TIMM | _OTHER)[kind]
    make = functools.partial(_create, timm.create_model, small)
    with mock.patch("timm.create_model", make):
        return _Clip(TimmModel(name, embed_dim=24, image_size=size(kind), pool=pool, proj=proj))


def _create(create, small, name, **options):
    return create(name, **(options | small))
