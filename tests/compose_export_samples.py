"""A tiny CLIP and deltas of it, drawn from seeds, to compose and to save."""

import copy
import functools
from dataclasses import replace

import open_clip
import pytest
import torch

from composition import Basis, Composition
from composition.export import CompositionFacts, save_composition
from datamodules.errors import InputError
from lightning_modules.backbone import load_backbone
from lightning_modules.delta import Delta, DeltaCard, Factor, save_delta
from lightning_modules.lora import LoraSettings, linear_modules, target_names

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2},
}
COLOR = LoraSettings(r=2, lora_alpha=4, towers="both")
SHAPE = LoraSettings(r=3, lora_alpha=3, blocks="last:1", target_modules=("q_proj", "c_fc"))
PROTOCOL = {
    "selected_on": "validation",
    "reported_on": ["test"],
    "information": "labelled validation",
}
METRICS = {
    "test": {
        "base": {"accuracy": 0.5},
        "composed": {"accuracy": 0.75, "auc": float("nan")},
        "sum": {"accuracy": 0.625},
    }
}


def register(monkeypatch):
    """Make the tiny CLIP known to open_clip."""
    for name, quick in (("tiny-clip", False), ("tiny-clip-quickgelu", True)):
        config = CONFIG | {"quick_gelu": quick}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


def tiny_backbone(name="tiny-clip", seed=0):
    """A backbone of its own, with the weights of the seed."""
    loaded = _loaded(name, seed)
    return replace(loaded, model=copy.deepcopy(loaded.model))


@functools.cache
def _loaded(name, seed):
    return load_backbone(name, "random", seed=seed)


def card(backbone, attribute, **changes):
    known = {
        "attribute": attribute,
        "values": ("red", "blue"),
        "templates": ("a {} thing",),
        "backbone": backbone.name,
        "pretrained": backbone.pretrained,
        "fingerprint": backbone.fingerprint,
        "quick_gelu": backbone.quick_gelu,
    }
    return DeltaCard(**(known | changes))


def lora(backbone, attribute, settings, seed):
    """A LoRA delta large enough to change what the model says."""
    draw = torch.Generator().manual_seed(seed)
    linears = linear_modules(backbone.model)
    factors = {}
    for name in target_names(backbone.model, settings):
        outputs, inputs = linears[name].weight.shape
        factors[name] = Factor(
            torch.randn(settings.r, inputs, generator=draw) / inputs**0.5,
            torch.randn(outputs, settings.r, generator=draw) * 0.05,
        )
    scale = settings.lora_alpha / settings.r
    return Delta(card(backbone, attribute, scale=scale), factors=factors)


def dense(backbone, attribute, seed):
    """A dense delta of some weights, a bias and a norm."""
    draw = torch.Generator().manual_seed(seed)
    state = backbone.model.state_dict()
    names = ["visual.proj", "visual.ln_pre.weight"]
    names += [f"visual.transformer.resblocks.1.attn.q_proj.{kind}" for kind in ("weight", "bias")]
    differences = {name: torch.randn(state[name].shape, generator=draw) * 0.02 for name in names}
    return Delta(card(backbone, attribute, kind="dense"), differences=differences)


def two_deltas(backbone):
    return [lora(backbone, "color", COLOR, 1), lora(backbone, "shape", SHAPE, 2)]


def compose(backbone, deltas, granularity, seed=3):
    """A composition with coefficients drawn around one half."""
    composition = Composition(Basis.from_deltas(deltas, backbone), granularity)
    draw = torch.Generator().manual_seed(seed)
    drawn = 0.5 + torch.randn(composition.coefficients.shape, generator=draw)
    with torch.no_grad():
        composition.coefficients.copy_(drawn)
    return composition


def facts(**changes):
    known = {
        "name": "color+shape",
        "purpose": "attributes",
        "targets": ("color", "shape"),
        "protocol": PROTOCOL,
        "objective": "cross-entropy",
        "source": "glyphs",
        "seed": 3,
        "metrics": METRICS,
        "command": 'make compose ATTRS="color shape"',
    }
    return CompositionFacts(**(known | changes))


def save(root, backbone, deltas, composition, **options):
    """Save the deltas and their composition; returns its folder and card."""
    folders = {root / "deltas" / delta.card.attribute: delta for delta in deltas}
    for folder, delta in folders.items():
        save_delta(folder, delta)
    folder = root / "compositions/both"
    options = {"facts": facts(), "backbone": backbone, "deltas": folders} | options
    return folder, save_composition(folder, composition, **options)


@torch.no_grad()
def embed(model):
    """Embeddings of two images and two texts, one after the other."""
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    texts = torch.tensor([[1, 7, 9, 63] + [0] * 8, [1, 7, 12, 20, 63] + [0] * 7])
    return torch.cat([model.encode_image(images), model.encode_text(texts)])


def saved_by_head(root):
    """The folder of a composition of two deltas by head."""
    backbone = tiny_backbone()
    deltas = two_deltas(backbone)
    return save(root, backbone, deltas, compose(backbone, deltas, "head"))[0]


def message(function, *args, **kwargs):
    with pytest.raises(InputError) as error:
        function(*args, **kwargs)
    return str(error.value)
