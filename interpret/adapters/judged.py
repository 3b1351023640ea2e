"""What single parts of a delta bring an attribute: in right answers, and in nats.

Shape letters: N images, P parts, D parts that the delta acts in, V values, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.adapters.effects import Effects
from interpret.adapters.question import Question
from interpret.parts.scores import Ints

Floats = NDArray[np.float64]
BRINGS = ("revert", "keep", "revert_nats", "keep_nats")


@dataclass(frozen=True)
class Judged:
    """The answers of a model's variants to one question.

    Args:
        guess_N: by name of the variant "base" or "adapted": the value that scores highest.
        log_NV: likewise: log probabilities of the values at CLIP's scale.
        guess_DN: by name "revert" or "keep": the same without, and with, each part alone.
        log_DNV: likewise.
        columns_D: places of the parts among the P parts of the table.
        num_parts: P.
    """

    guess_N: dict[str, Ints]
    log_NV: dict[str, Floats]
    guess_DN: dict[str, Ints]
    log_DNV: dict[str, Floats]
    columns_D: Ints
    num_parts: int

    @classmethod
    def of(cls, found: Effects, question: Question) -> Judged:
        """Ask all variants.

        Raises:
            InputError: if the variants were not run.
        """
        runs = found.runs
        if runs is None:
            raise InputError("expected effects with runs, got none. Measure them with_runs=True.")
        text_EV = question.text_VE.double().T

        def ask(image: torch.Tensor) -> tuple[Ints, Floats]:
            log = (found.scale * image.double() @ text_EV.to(image.device)).log_softmax(dim=-1)
            return log.argmax(dim=-1).cpu().numpy(), log.cpu().numpy()

        whole = {"base": ask(runs.base_NE), "adapted": ask(runs.adapted_NE)}
        single = {"revert": ask(runs.revert_PNE), "keep": ask(runs.keep_PNE)}
        return cls(
            {name: guess for name, (guess, _) in whole.items()},
            {name: log for name, (_, log) in whole.items()},
            {name: guess for name, (guess, _) in single.items()},
            {name: log for name, (_, log) in single.items()},
            np.array([found.parts.index(part) for part in runs.parts]),
            len(found.parts),
        )

    def accuracy(self, variant: str, label_N: Ints) -> float:
        """Share of right answers of "base" or "adapted" among images whose value is known."""
        known = label_N >= 0
        return float((self.guess_N[variant] == label_N)[known].mean())

    def brings(self, label_N: Ints) -> dict[str, Floats]:
        """What each part brings for each image, {name in `BRINGS`: (N, P)}.

        "revert" is 1 where an answer is right only with the part, -1 where only without it; "keep"
        where it is right only with the part alone, or only by the base. "_nats" is the same of the
        true value's log probability. NaN for parts that the delta does not act in, and for images
        whose value is unknown.

        Args:
            label_N: the true values; -1 is unknown.
        """
        known, place = label_N >= 0, np.arange(len(label_N))
        found = {name: np.full((len(label_N), self.num_parts), np.nan) for name in BRINGS}
        for name, whole, sign in (("revert", "adapted", 1), ("keep", "base", -1)):
            right_N, right_DN = self.guess_N[whole] == label_N, self.guess_DN[name] == label_N
            log_N = self.log_NV[whole][place, label_N]
            log_DN = self.log_DNV[name][:, place, label_N]
            for key, one_N, each_DN in ((name, right_N, right_DN), (f"{name}_nats", log_N, log_DN)):
                gain_ND = sign * (one_N.astype(float) - each_DN).T
                found[key][:, self.columns_D] = np.where(known[:, None], gain_ND, np.nan)
        return found
