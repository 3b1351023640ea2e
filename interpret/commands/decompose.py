"""`python -m interpret decompose`: the parts of embeddings, and that they sum to them.

Shape letters: B images or prompts, L layers, H heads, M MLPs, S tokens, P parts, E embedding width.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.decompose import (
    CONVENTIONS,
    Decomposition,
    Readout,
    decompose,
    readout,
    token_codes,
    trace,
)
from interpret.flags import Once, nonempty
from interpret.head_figure import head_figure
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.subject import Subject
from interpret.towers import text_tower

_MOST_ARRAYS = 2**32  # bytes of contributions that are kept in memory and written


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "what every head and MLP adds to the embeddings of images, or of prompts"
    command = commands.add_parser("decompose", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    command.add_argument(
        "--convention", choices=CONVENTIONS, default="shared",
        help="constants divided among the parts, as in the paper, or a part of their own",
    )  # fmt: skip
    command.add_argument(
        "--arrays", action="store_true", help="also write the contributions (parts.npz)"
    )
    command.add_argument(
        "--texts",
        nargs="+",
        type=nonempty,
        action=Once,
        default=[],
        help="prompts whose tokens are taken apart too",
    )
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = open_subject(args)
    tower = subject.tower
    maps = readout(tower, args.convention)
    output = Output(default_folder(args), "decompose", subject.protocol, as_json=args.json)
    _check_size(args, subject, maps)
    kept: list[Decomposition] = []
    shares: list[Tensor] = []
    error = 0.0
    for images in subject.batches():
        found = decompose(tower, images, maps=maps)
        shares.append(_shares(found))
        error = max(error, found.residual_error())
        if args.arrays:
            kept.append(found)
    share_NP = torch.cat(shares)
    share_P, spread_P = share_NP.mean(0), share_NP.std(0, unbiased=False)
    metrics = {
        "convention": args.convention,
        "largest_relative_error": error,
        "shares": _named(share_P, maps, kept_mlps=tower.num_mlps),
        "deviations": _named(spread_P, maps, kept_mlps=tower.num_mlps),
    }
    _tell(output, metrics)
    layers, heads = maps.maps_LHCE.shape[:2]
    if layers:
        share_LH = share_P[: layers * heads].view(layers, heads).numpy()
        title = f"share of the embedding, {subject.backbone.name}, {subject.data.source_name}"
        output.figure("heads.png", head_figure({"": share_LH}, title=title))
    if kept:
        output.arrays("parts.npz", **_arrays(kept, subject))
    if args.texts:
        metrics["texts"] = _prompts(args, subject, output)
    output.close(metrics)
    return 0


def _shares(found: Decomposition) -> Tensor:
    """Product of every part with the unit output, (B, P): they sum to 1."""
    unit_BE = found.output_BE
    pulled_BLHC = torch.einsum("be,lhce->blhc", unit_BE, found.readout.maps_LHCE)
    heads_BLH = (found.codes_BLHC * pulled_BLHC).sum(-1)
    others = [found.mlps_BME, found.embedding_BE[:, None], found.constant_BE[:, None]]
    others_BP = (torch.cat(others, dim=1) * unit_BE[:, None]).sum(-1)
    return torch.cat([heads_BLH.flatten(1), others_BP], dim=1).double().cpu()


def _named(values_P: Tensor, maps: Readout, *, kept_mlps: int) -> dict[str, Any]:
    layers, heads = maps.maps_LHCE.shape[:2]
    numbers = values_P.tolist()
    split = layers * heads
    return {
        "heads": [numbers[row * heads : (row + 1) * heads] for row in range(layers)],
        "mlps": numbers[split : split + kept_mlps],
        "embedding": numbers[-2],
        "constant": numbers[-1],
    }


def _tell(output: Output, metrics: dict[str, Any]) -> None:
    shares = metrics["shares"]
    rows = [(f"heads of layer {n}", f"{sum(row):+.3f}") for n, row in enumerate(shares["heads"])]
    rows += [(f"mlp {number}", f"{value:+.3f}") for number, value in enumerate(shares["mlps"])]
    rows += [(name, f"{shares[name]:+.3f}") for name in ("embedding", "constant")]
    output.table("mean share of the embedding", ("part", "share"), rows)
    error = metrics["largest_relative_error"]
    output.say(f"\nthe parts sum to encode_image: largest relative error {error:.1e}")


def _check_size(args: argparse.Namespace, subject: Subject, maps: Readout) -> None:
    layers, heads, _, width = maps.maps_LHCE.shape
    size = len(subject.items) * (layers * heads + subject.tower.num_mlps + 1) * width * 4
    if args.arrays and size > _MOST_ARRAYS:
        raise InputError(
            f"--arrays: expected at most {_MOST_ARRAYS / 1e9:.1f} GB of contributions, got "
            f"{size / 1e9:.1f} GB. Give --max_images; moments and scores need no arrays."
        )


def _arrays(kept: list[Decomposition], subject: Subject) -> dict[str, Any]:
    """Contributions in the layout of the paper's code: the entrance is the first MLP."""

    def joined(parts: list[Tensor]) -> Any:
        return torch.cat(parts).float().cpu().numpy()

    return {
        "heads": joined([found.heads_BLHE for found in kept]),
        "mlps": joined([torch.cat([f.embedding_BE[:, None], f.mlps_BME], dim=1) for f in kept]),
        "constant": joined([found.constant_BE for found in kept]),
        "items": subject.items,
        "labels": subject.labels(subject.data.attribute),
    }


def _prompts(args: argparse.Namespace, subject: Subject, output: Output) -> dict[str, Any]:
    """What every token of a prompt adds to its embedding, through all heads."""
    tower = text_tower(subject.model)
    numbers = subject.backbone.tokenizer(args.texts).to(subject.device)
    maps = readout(tower, "separate")
    found = trace(tower, numbers, with_tokens=True)
    unit_BE = torch.nn.functional.normalize(found.output_BE, dim=-1)
    share_BS: Any = 0.0
    for layer in range(len(tower.layers)):
        codes_BSHC = token_codes(found, maps, layer)
        pulled_BHC = torch.einsum("be,hce->bhc", unit_BE, maps.maps_LHCE[layer])
        share_BS = share_BS + torch.einsum("bshc,bhc->bs", codes_BSHC, pulled_BHC)
    told = {}
    for text, row, shares in zip(args.texts, numbers, share_BS, strict=True):
        end = int(np.flatnonzero(row.cpu().numpy())[-1]) + 1
        words = _words(subject, row[:end])
        told[text] = [
            {"token": word, "share": float(share)}
            for word, share in zip(words, shares[:end], strict=True)
        ]
        rows = [(each["token"], f"{each['share']:+.3f}") for each in told[text]]
        output.table(f"{text!r}: through the heads", ("token", "share"), rows)
    return told


def _words(subject: Subject, numbers: Tensor) -> list[str]:
    decode = getattr(subject.backbone.tokenizer, "decode", None)
    if decode is None:
        return [str(int(number)) for number in numbers]
    return [decode([int(number)]).strip() for number in numbers]
