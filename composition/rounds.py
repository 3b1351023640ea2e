"""Rounds of scaling one's own difference vector again (as DV-BASI, AAAI 2026).

    theta_(j+1) = theta_j + Lambda_j delta_j,    delta_j = theta_j - theta_0

So a round is a fit whose only delta is the composition of the round before, from coefficients 1 on:
1 + Lambda. As it scales each block of the sum alike, it scales each delta's share of the block:

    c[k, block]  <-  c[k, block] (1 + Lambda[block])

and the last composition is one of the first deltas, at the same cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from composition.coefficients import Named
from composition.granularity import Granularity
from datamodules.errors import InputError
from datamodules.text_table import text_table
from lightning_modules.delta.schema import finite

_SUMMED = {"rank", "spectral"}  # kinds without blocks that all deltas share


@dataclass(frozen=True)
class Round:
    """A finished fit.

    Args:
        number: from 1.
        score: its best `score/val`.
        coefficients: in the deltas of the first round.
        run: its folder.
    """

    number: int
    score: float
    coefficients: Named
    run: str


@dataclass(frozen=True)
class Rounds:
    """All rounds of one command.

    Args:
        done: in order, one at least.
        uses_labels: whether the score may choose; else the last round is used.
    """

    done: tuple[Round, ...]
    uses_labels: bool

    @property
    def used(self) -> Round:
        """The round of the highest validation score, the first of equal ones."""
        return max(self.done, key=lambda each: each.score) if self.uses_labels else self.done[-1]

    @property
    def title(self) -> str:
        """Such as "2 of 3"."""
        return f"{self.used.number} of {len(self.done)}"

    def to_text(self) -> str:
        """Rounds, scores and runs, line by line."""
        rows = [
            (
                f"{each.number}{' (used)' if each is self.used else ''}",
                f"{each.score:.4f}",
                each.run,
            )
            for each in self.done
        ]
        return "\n".join(text_table(("round", "score/val", "run"), rows))

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        done = [{"score/val": finite(each.score), "run": each.run} for each in self.done]
        return {"used": self.used.number, "done": done}


def check_rounds(
    rounds: int, *, granularity: str, objective: str, resumes: bool, world: int
) -> None:
    """Check the number of rounds and what goes with several.

    Args:
        rounds: asked for.
        granularity: of the coefficients.
        objective: its name.
        resumes: whether a checkpoint was given.
        world: number of processes.

    Raises:
        InputError: if it cannot be done.
    """
    if rounds < 1:
        raise InputError(f"--rounds is {rounds}, expected at least 1.")
    if rounds == 1:
        return
    if Granularity.parse(granularity).kind in _SUMMED:
        raise InputError(
            f"--rounds {rounds} scales the sum of all deltas block by block, but granularity "
            f"{granularity} scales single directions, which one fit can scale freely already. "
            "Choose another granularity, or leave out --rounds."
        )
    if objective == "self-labels":
        raise InputError(
            f"--rounds {rounds} goes on with one composition, but --model.objective self-labels "
            "asks each task's own adapters in every round. Choose another objective."
        )
    if resumes:
        raise InputError(f"--rounds {rounds} starts anew: leave --ckpt_path out.")
    if world > 1:
        raise InputError(
            f"--rounds {rounds} runs in one process, got {world}. Set --trainer.devices=1 and "
            "--trainer.num_nodes=1."
        )


def folded(coefficients: Named, scales: Named) -> Named:
    """Coefficients of the first deltas after one more round.

    Args:
        coefficients: those whose composition was the round's only delta.
        scales: that round's own; a block that it lacks was zero.
    """
    (scale,) = scales.values()
    return {
        delta: {block: value * scale.get(block, 1.0) for block, value in row.items()}
        for delta, row in coefficients.items()
    }
