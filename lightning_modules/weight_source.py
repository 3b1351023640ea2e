"""Which weights a name stands for, and which activation they were trained with."""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.errors import InputError
from datamodules.files import read_json
from lightning_modules.hub import WEIGHTS_NAME, download

BASE_FOLDER = Path("artifacts/base")
CONFIG_NAME = "open_clip_config.json"
_WEIGHT_NAMES = (
    WEIGHTS_NAME,
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
)
_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightSource:
    """Where a backbone comes from, settled before anything large is built.

    Args:
        name: architecture, or name of the folder.
        pretrained: as given: a tag, a file, "random", or "" for a folder.
        identifier: what open_clip calls it: an architecture, or "local-dir:<folder>".
        model_cfg: open_clip's architecture entry.
        quick_gelu: whether the activation is QuickGELU.
        preprocess: what the tag says of preprocessing (mean, std, ...).
        weights: the file; None for random weights.
    """

    name: str
    pretrained: str
    identifier: str
    model_cfg: dict[str, Any]
    quick_gelu: bool
    preprocess: dict[str, Any]
    weights: Path | None


def find_weights(
    name: str, pretrained: str, quick_gelu: bool | None = None, folder: Path = BASE_FOLDER
) -> WeightSource:
    """Settle what `load_backbone` is asked for; downloads the file of a tag.

    Raises:
        InputError: if the architecture, tag or file is unknown, or the download fails.
    """
    for candidate in (Path(name), folder / name):
        if (candidate / CONFIG_NAME).is_file():
            return _from_folder(candidate, pretrained, quick_gelu)
    import open_clip

    architecture = name.replace("/", "-")
    if architecture not in open_clip.list_models():
        raise _unknown_architecture(name, open_clip.list_models(), folder)
    return _from_architecture(architecture, pretrained, quick_gelu)


def _from_folder(path: Path, pretrained: str, quick_gelu: bool | None) -> WeightSource:
    config = read_json(path / CONFIG_NAME)
    model_cfg = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model_cfg, dict):
        raise InputError(f'{path / CONFIG_NAME} has no "model_cfg"; expected open_clip\'s layout.')
    return WeightSource(
        name=path.resolve().name,
        pretrained=pretrained,
        identifier=f"local-dir:{path}",
        model_cfg=model_cfg,
        quick_gelu=_agreed(bool(model_cfg.get("quick_gelu", False)), quick_gelu, str(path)),
        preprocess={},
        weights=_weights_of_folder(path, pretrained),
    )


def _weights_of_folder(path: Path, pretrained: str) -> Path | None:
    if pretrained == "random":
        return None
    if pretrained:
        if Path(pretrained).is_file():
            return Path(pretrained)
        raise InputError(
            f"PRETRAINED is {pretrained!r}, but {path} is a folder with its own weights. "
            "Leave PRETRAINED empty, or give a weight file."
        )
    for name in _WEIGHT_NAMES:
        if (path / name).is_file():
            return path / name
    raise InputError(f"expected {path / WEIGHTS_NAME}, found no weight file in that folder.")


def _from_architecture(name: str, pretrained: str, quick_gelu: bool | None) -> WeightSource:
    import open_clip

    model_cfg = open_clip.get_model_config(name)
    in_config = bool(model_cfg.get("quick_gelu", False))
    tag: dict[str, Any] = open_clip.get_pretrained_cfg(name, pretrained)
    file = Path(pretrained)
    if tag:
        # roberta-ViT-B-32 was trained with QuickGELU: its config says so, its tag does not.
        trained_with = in_config or bool(tag.get("quick_gelu", False))
        activation = _agreed(trained_with, quick_gelu, f"{name} {pretrained}")
    elif pretrained != "random" and not file.is_file():
        raise _unknown_tag(name, pretrained)
    else:
        activation = _activation(in_config, file.name, quick_gelu, name)
    weights = None if pretrained == "random" else file
    if tag:
        weights = download(name, pretrained, tag, quick_gelu=activation)
    return WeightSource(
        name=name,
        pretrained=pretrained,
        identifier=name,
        model_cfg=model_cfg,
        quick_gelu=activation,
        preprocess={key: tag[key] for key in _PREPROCESS_KEYS if key in tag},
        weights=weights,
    )


def _agreed(known: bool, asked: bool | None, what: str) -> bool:
    """The activation that is known; a contrary wish is an error, not an option."""
    if asked is not None and asked != known:
        raise InputError(
            f"quick_gelu={asked}, but {what} was trained with quick_gelu={known}. "
            "Leave quick_gelu unset: with the other activation its features are wrong."
        )
    return known


def _activation(in_config: bool, file_name: str, asked: bool | None, name: str) -> bool:
    """The activation for a file of unknown origin."""
    if in_config:
        return _agreed(True, asked, name)
    if asked is not None:
        return asked
    named = any(word in file_name.lower() for word in ("openai", "quickgelu", "quick_gelu"))
    if file_name != "random":
        _log.info(
            "%s: taken to be trained with %s. If not, set quick_gelu or use BACKBONE=%s%s.",
            file_name,
            "QuickGELU" if named else "GELU",
            name,
            "" if named else "-quickgelu",
        )
    return named


def _unknown_architecture(name: str, known: list[str], folder: Path) -> InputError:
    trained = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG_NAME}"))
    close = difflib.get_close_matches(name, [*trained, *known], n=5, cutoff=0.5)
    return InputError(
        f"BACKBONE is {name!r}: no folder with {CONFIG_NAME} (looked in {Path(name)} and "
        f"{folder / name}) and no architecture of open_clip. "
        + (f"Close names: {', '.join(close)}. " if close else "")
        + f"Folders in {folder}: {', '.join(trained) or 'none'}. "
        "open_clip.list_models() lists all architectures."
    )


def _unknown_tag(name: str, pretrained: str) -> InputError:
    import open_clip

    tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
    if pretrained.endswith(_WEIGHT_SUFFIXES) or os.sep in pretrained:
        return InputError(
            f"PRETRAINED is {pretrained!r}, expected a weight file there, found none. "
            f"Give a path that exists, or a tag of {name}: {tags}."
        )
    plain = name.removesuffix("-quickgelu")
    other = plain != name and open_clip.get_pretrained_cfg(plain, pretrained)
    return InputError(
        f"PRETRAINED is {pretrained!r}, which is no tag of {name}"
        + (f" but one of {plain}: use BACKBONE={plain}. " if other else ". ")
        + f'Tags of {name}: {tags}. Or give a weight file, or "random".'
    )
