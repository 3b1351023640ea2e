"""Time of the seen-unseen curve of compositional zero-shot learning at the size of C-GQA's test.

    python -m benchmarks.czsl_curve [--json] [--images 5098] [--pairs 7767] [--repeats 3]

Forms: our exact curve, our 20-point sweep, both at once as `CompositionalAccuracy`, and the sweep
as published evaluators run it, over a copy of the whole matrix for every bias. The floor is reading
every score once. Ours see one batch at a time; the scores themselves are simulated.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks._output import add_output, put_out
from lightning_modules.metrics.compositional import CompositionalAccuracy, literature_sweep
from lightning_modules.metrics.curve import Curve, Flips, exact_curve
from lightning_modules.metrics.seen_unseen import SeenUnseenStates, flips

PROMISE = 5.0  # seconds for the exact curve on two cores
FLOOR = "floor: read every score once"


class States(SeenUnseenStates):
    """What an update keeps, without a summary."""

    def compute(self) -> Flips:
        """Where each image flips."""
        return self.flips()


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.czsl_curve", allow_abbrev=False)
    parser.add_argument("--images", type=int, default=5098, help="images of the test split")
    parser.add_argument("--pairs", type=int, default=7767, help="candidate pairs")
    parser.add_argument("--batch", type=int, default=128, help="images of a batch")
    parser.add_argument("--repeats", type=int, default=3, help="times each form runs")
    add_output(parser)
    args = parser.parse_args(argv)
    result = measure(args.images, args.pairs, args.batch, args.repeats)
    for row in result["forms"]:
        auc = "" if row["auc"] is None else f"{row['auc']:.5f}"
        print(f"{row['form']:<52} {row['seconds']:>9.3f} s {row['ratio']:>8.1f} {auc:>9}")
    print(
        f"ratio: to the floor; promise: {PROMISE:g} s; {result['threads']} threads here; AUC last"
    )
    put_out(result, args)
    return 0


def measure(images: int, pairs: int, batch: int, repeats: int) -> dict[str, Any]:
    """Median seconds of every form, and the AUC it finds (none at the floor)."""
    scores_BP, target_B, seen_P = simulated(images, pairs)
    batches = list(zip(scores_BP.split(batch), target_B.split(batch), strict=True))

    def kept(metric: SeenUnseenStates) -> Any:
        for scores, target in batches:
            metric.update(scores, target)
        return metric.compute()

    forms: dict[str, Callable[[], float | None]] = {
        FLOOR: lambda: [scores.amax() for scores, _ in batches].clear(),
        "ours: exact curve": lambda: float(exact_curve(kept(States(seen_P))).area()),
        "ours: 20-point sweep": lambda: float(literature_sweep(kept(States(seen_P))).area()),
        "ours: both, with all scores": lambda: float(kept(CompositionalAccuracy(seen_P))["auc"]),
        "published: 20-point sweep, a copy for every bias": lambda: float(
            published_sweep(scores_BP, target_B, seen_P).area()
        ),
    }
    timed = {name: _timed(run, repeats) for name, run in forms.items()}
    rows = [
        {"form": name, "seconds": took, "ratio": took / timed[FLOOR][0], "auc": auc}
        for name, (took, auc) in timed.items()
    ]
    return {
        "images": images,
        "pairs": pairs,
        "repeats": repeats,
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "forms": rows,
    }


def simulated(images: int, pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (B, P), targets (B,) and seen pairs (P,) with accuracies like those of papers."""
    random = torch.Generator().manual_seed(0)
    seen_P = torch.rand(pairs, generator=random) < 0.72
    target_B = torch.randint(pairs, (images,), generator=random)
    scores_BP = torch.randn(images, pairs, generator=random)
    scores_BP += 0.5 * seen_P
    scores_BP[torch.arange(images), target_B] += 3.0
    return scores_BP, target_B, seen_P


def published_sweep(scores_BP: Tensor, target_B: Tensor, seen_P: Tensor) -> Curve:
    """The sweep by predicting every image anew from a biased copy of the matrix."""
    seen_B = seen_P[target_B]
    mask_BP = seen_P.repeat(len(scores_BP), 1)
    seen, unseen = [], []
    bias_K = literature_sweep(flips(scores_BP, target_B, seen_P)).bias_K
    for bias in bias_K.tolist():
        biased_BP = scores_BP.clone()
        biased_BP[~mask_BP] += bias
        right_B = biased_BP.topk(1, dim=1).indices[:, 0] == target_B
        seen.append(right_B[seen_B].double().mean())
        unseen.append(right_B[~seen_B].double().mean())
    return Curve(bias_K, torch.stack(seen), torch.stack(unseen))


def _timed(run: Callable[[], float | None], repeats: int) -> tuple[float, float | None]:
    times: list[float] = []
    found = None
    for _ in range(repeats):
        start = time.perf_counter()
        found = run()
        times.append(time.perf_counter() - start)
    return statistics.median(times), found


def _cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
