"""From flags to a `Subject`: a model, with a delta on it or not, and the images of a split."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from composition.export.load import open_delta
from composition.library import find_folders
from datamodules.agreement import build_missing, dictionary_of
from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from datamodules.sources import load_source
from interpret.flags import known_device, whole
from interpret.subject import Subject
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.delta import Delta, delta_folder
from lightning_modules.delta.store import check_delta


def add_subject(command: argparse.ArgumentParser, *, with_delta: bool = True) -> None:
    """The flags that say what is looked at."""
    command.add_argument("--backbone", default="glyph-clip", help="default: glyph-clip")
    command.add_argument("--pretrained", default="", help="tag or weight file of the backbone")
    if with_delta:
        command.add_argument(
            "--delta", default="", help="put a delta or composition on it: a folder or its name"
        )
    command.add_argument("--source", default="glyphs", help="data set (default: glyphs)")
    command.add_argument("--root", type=Path, help="folder of the data set")
    command.add_argument("--dictionary", type=Path, help="file of the dictionary")
    command.add_argument("--split_file", type=Path, help="a split to use for the source's own")
    command.add_argument(
        "--attribute", default="", help="images that speak of it (default: the dictionary's first)"
    )
    command.add_argument(
        "--split", default="validation", help="images to look at (default: validation)"
    )
    command.add_argument("--max_images", type=whole(1), help="most images of each split")
    command.add_argument("--batch_size", type=whole(1), default=128, help="images of a pass")
    command.add_argument(
        "--device", type=known_device, default="", help="default: a GPU if there is one"
    )


def open_subject(args: argparse.Namespace) -> Subject:
    """Open model and data.

    Args:
        args: parsed flags of `add_subject`.

    Raises:
        InputError: if a file is missing or does not fit.
    """
    backbone = load_backbone(args.backbone, args.pretrained)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name, model = "", backbone.model
    if getattr(args, "delta", ""):
        delta = find_delta(args.delta, args, backbone)
        name, model = delta.card.attribute, put_on(delta, backbone.model)
    data = open_data(args, backbone.image_size)
    subject = Subject(
        backbone=backbone,
        model=model.to(device).eval(),
        data=data,
        split=args.split,
        device=device,
        delta=name,
        batch=args.batch_size,
    )
    data.pixels()
    return subject


def find_delta(
    name: str, args: argparse.Namespace, backbone: Backbone, flag: str = "--delta"
) -> Delta:
    """A saved delta or composition, by folder or by name.

    Args:
        name: what was asked for.
        args: parsed flags of `add_subject`.
        backbone: the base.
        flag: that asked, for messages.

    Raises:
        InputError: if there is none, or it is of another base.
    """
    shelf = delta_folder(backbone.name, args.source, "any").parent
    try:
        (folder,) = find_folders([name], shelf)
    except InputError as error:
        raise InputError(str(error).replace("--model.deltas", flag)) from None
    delta = open_delta(folder, backbone)
    check_delta(delta, backbone)
    return delta


def put_on(delta: Delta, model: nn.Module) -> nn.Module:
    """The model with the delta on it: an adapter beside the weights, or added to them if dense."""
    if delta.card.kind == "dense":
        delta.apply(model)
        return model
    return delta.attach(model)


def open_data(args: argparse.Namespace, image_size: int) -> AttributeDataModule:
    """The data module of the flags, after `setup`.

    Raises:
        InputError: if data, dictionary, attribute or split are missing.
    """
    attribute = args.attribute or _first_attribute(args)
    data = AttributeDataModule(
        attribute=attribute,
        source=args.source,
        root=args.root,
        dictionary=args.dictionary,
        split=args.split_file,
        max_images=args.max_images,
        image_size=image_size,
    )
    data.prepare_data()
    data.setup()
    return data


def _first_attribute(args: argparse.Namespace) -> str:
    source = load_source(args.source, args.root)
    if args.dictionary is None:
        build_missing(source, args.root)
    names = dictionary_of(source, args.root, args.dictionary).names
    return next(name for name in source.annotations.attributes if name in names)
