"""One training step of an adapter on CLIP's image tower, against its peers and its floor.

    python -m benchmarks.train_step [--json [PATH]] [--images 8] [--repeats 9]

Forward, backward and optimiser step on the same random images with random weights of ViT-B-32:

    ours            split attention, PEFT's `Linear` LoRA on q, k, v; last block for the class
                    token only
    ours_all_tokens the same with a whole last block
    peft            PEFT on `nn.MultiheadAttention` (`target_modules=["attn"]`; it adds out_proj)
    full            full fine-tuning
    floor           frozen forward, gradient to the tokens that enter the first block: no adapter
                    can be trained with less; last block for the class token only
    floor_all_tokens the same with a whole last block

The forms take turns; a ratio is the median of the ratios within each turn, so that a busy machine
slows both sides. CPU: processor seconds on one thread. GPU: seconds, with bfloat16 autocast.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.files import write_json
from lightning_modules.attention import split_attention
from lightning_modules.class_token import read_class_token_only
from lightning_modules.lora import LoraSettings, attach_lora

RANK = 8
Form = tuple[nn.Module, list[nn.Parameter]]
# (what is compared, with what, bound of the ratio, whether the ratio must stay below it)
CLAIMS = (
    ("ours", "floor", 1.15, True),
    ("ours", "floor_all_tokens", 1.15, True),
    ("peft", "ours", 1.25, False),
)


@dataclass
class Step:
    """One form: a tower and its trainable tensors, stepped and timed."""

    tower: nn.Module
    trainable: list[nn.Parameter]

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.trainable) if self.trainable else None
        self.seconds: list[float] = []

    def run(self, images: Tensor, autocast: AbstractContextManager[object]) -> None:
        """Forward, backward, optimiser step."""
        start = _clock(images.device)
        with autocast:
            embedding = self.tower(images)
        embedding.float().square().mean().backward()
        if self.optimizer:
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.seconds.append(_clock(images.device) - start)


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, and say which claims hold on this machine."""
    args = _parser().parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() and args.device != "cpu" else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    steps = {name: Step(*build(args.width, device)) for name, build in forms().items()}
    images = torch.randn(args.images, 3, 224, 224, device=device)
    for turn in range(args.repeats + 2):
        for step in steps.values():
            step.run(images, _autocast(device))
            if turn < 2:  # warm-up: memory, kernels, and B leaves zero
                step.seconds.clear()
    result = _result(steps, device, args.images)
    _print_table(result)
    if args.json:
        if args.json != "-":
            write_json(Path(args.json), result)
        print(json.dumps(result))
    return 0


def forms() -> dict[str, Callable[[int, torch.device], Form]]:
    """What is compared, by name."""
    return {
        "floor": lambda width, device: _floor(_short(_clip(width, device))),
        "floor_all_tokens": lambda width, device: _floor(split_attention(_clip(width, device))),
        "ours": lambda width, device: _ours(_short(_clip(width, device))),
        "ours_all_tokens": lambda width, device: _ours(split_attention(_clip(width, device))),
        "peft": lambda width, device: _peft(_clip(width, device)),
        "full": lambda width, device: _full(_clip(width, device)),
    }


def _clip(width: int, device: torch.device) -> nn.Module:
    """ViT-B-32's image tower with a token text tower, random weights."""
    import open_clip

    config = copy.deepcopy(open_clip.get_model_config("ViT-B-32"))
    config["vision_cfg"]["width"] = width
    config["text_cfg"].update(layers=1, width=64, heads=1, vocab_size=100)
    model: nn.Module = open_clip.model.CLIP(**config).to(device).eval().requires_grad_(False)
    return model


def _short(clip: nn.Module) -> nn.Module:
    read_class_token_only(split_attention(clip))
    return clip


def _floor(clip: nn.Module) -> Form:
    tower = _tower(clip)
    into_blocks = dict(tower.named_children())["ln_pre"]
    into_blocks.register_forward_hook(lambda _, __, tokens: tokens.detach().requires_grad_())
    return tower, []


def _ours(clip: nn.Module) -> Form:
    settings = LoraSettings(r=RANK, target_modules=("q_proj", "k_proj", "v_proj"))
    return _adapted(attach_lora(clip, settings, "color"), clip)


def _peft(clip: nn.Module) -> Form:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=r"visual\..*\.attn")
    return _adapted(get_peft_model(clip, config).train(), clip)


def _full(clip: nn.Module) -> Form:
    tower = _tower(clip).requires_grad_(True)
    return tower, list(tower.parameters())


def _adapted(model: nn.Module, clip: nn.Module) -> Form:
    return _tower(clip), [value for value in model.parameters() if value.requires_grad]


def _tower(clip: nn.Module) -> nn.Module:
    return dict(clip.named_children())["visual"]


def _clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    return nullcontext() if device.type == "cpu" else torch.autocast("cuda", dtype=torch.bfloat16)


def _ratio(steps: dict[str, Step], name: str, other: str) -> float:
    pairs = zip(steps[name].seconds, steps[other].seconds, strict=True)
    return statistics.median(one / two for one, two in pairs)


def _result(steps: dict[str, Step], device: torch.device, images: int) -> dict[str, Any]:
    rows = [
        {
            "form": name,
            "seconds": statistics.median(step.seconds),
            "over_floor": _ratio(steps, name, "floor"),
            "over_ours": _ratio(steps, name, "ours"),
            "trainable": sum(value.numel() for value in step.trainable),
        }
        for name, step in steps.items()
    ]
    claims = [
        {
            "claim": f"{name} / {other} {'<=' if below else '>='} {bound}",
            "measured": (ratio := _ratio(steps, name, other)),
            "holds": ratio <= bound if below else ratio >= bound,
        }
        for name, other, bound, below in CLAIMS
    ]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    turns = len(steps["ours"].seconds)
    facts = {"device": where, "images": images, "rank": RANK, "repeats": turns}
    return {**facts, "forms": rows, "claims": claims}


def _print_table(result: dict[str, Any]) -> None:
    print(f"{result['device']}, {result['images']} images, rank {result['rank']}")
    print(f"{'form':18}{'ms':>9}{'/ floor':>9}{'/ ours':>9}{'trainable':>12}")
    for row in result["forms"]:
        numbers = f"{1000 * row['seconds']:9.1f}{row['over_floor']:9.3f}{row['over_ours']:9.3f}"
        print(f"{row['form']:18}{numbers}{row['trainable']:12,}")
    for claim in result["claims"]:
        verdict = "holds" if claim["holds"] else "DOES NOT HOLD"
        print(f"{claim['claim']}: {claim['measured']:.3f}, {verdict}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_step", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--json", nargs="?", const="-", help="print one JSON object; write it to PATH"
    )
    parser.add_argument("--images", type=int, default=8, help="images in a batch")
    parser.add_argument("--repeats", type=int, default=9, help="turns that are measured")
    parser.add_argument("--width", type=int, default=768, help="of the image tower (test: 64)")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
