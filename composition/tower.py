"""One tower of a CLIP: whose call hands its composed modules their coefficients."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from composition.attachment import Part


class Tower(nn.Module):
    """The composed weights that are used by one tower, and what they were last given.

    Args:
        entrance: the first module that the tower calls; calling it starts a step.
        parts: composed weights.
    """

    def __init__(self, entrance: nn.Module, parts: Sequence[Part]) -> None:
        super().__init__()
        self.entrance = (entrance,)  # a tuple, so that it is not registered twice
        self.weights = [part.weight for part in parts]
        self.users = [part.user for part in parts]
        self.sizes = [len(part.places) for part in parts]
        places = torch.cat([part.places for part in parts])
        self.places = nn.Parameter(places, requires_grad=False)
        self.kept: nn.Parameter | None = None
        self.learns = [True] * len(parts)
        self.version: int | None = None

    def keep(self, weights: Collection[str], kept: Tensor) -> None:
        """From now on hand some coefficients out without gradient.

        Args:
            weights: whose coefficients are all kept, so that no gradient runs there.
            kept: which coefficients are kept, bool, flat.
        """
        self.kept = nn.Parameter(kept, requires_grad=False)
        self.learns = [name not in weights for name in self.weights]
        self.release()

    def enter(self, coefficients: Tensor, *, behind: bool = False) -> None:
        """Gather the coefficients of all modules at once and hand them out.

        Nothing is done if they do not learn and are those of the last time. A compiled graph merges
        in every call instead: what it may skip is fixed when it is compiled.

        Args:
            coefficients: of the composition.
            behind: whether a step that learns calls only modules whose coefficients do.
        """
        if torch.is_grad_enabled() and coefficients.requires_grad:
            self.version = None
            self._hand_out(coefficients, behind=behind)
        elif torch.compiler.is_compiling():
            self.version = None
            with torch.no_grad():
                self._hand_out(coefficients)
        elif self.version is None or self.version != coefficients._version:
            self.version = coefficients._version
            with _plain_tensors():
                self._hand_out(coefficients)

    def release(self) -> None:
        """Forget all merged weights and graphs."""
        self.version = None
        for user in self.users:
            user.release()

    def _hand_out(self, coefficients: Tensor, *, behind: bool = False) -> None:
        flat = coefficients.flatten()
        if self.kept is not None:
            flat = torch.where(self.kept, flat.detach(), flat)
        scales = torch.split(flat[self.places], self.sizes)
        # Weights are merged in full precision: what is kept must serve with and without autocast.
        with torch.autocast(coefficients.device.type, enabled=False):
            for user, own, learns in zip(self.users, scales, self.learns, strict=True):
                if learns or not behind:
                    user.receive(own if learns else own.detach())


def towers(model: nn.Module, parts: Sequence[Part]) -> list[Tower]:
    """The image tower and the text tower of a CLIP, as far as they are composed."""
    image = [part for part in parts if part.weight.startswith(("visual.", "logit_"))]
    text = [part for part in parts if not part.weight.startswith(("visual.", "logit_"))]
    pairs = ((("visual.conv1", "visual"), image), (("text", "token_embedding"), text))
    device = next(model.parameters()).device  # the model may have been moved before this
    return [Tower(_first(model, *names), own).to(device) for names, own in pairs if own]


def _first(model: nn.Module, *names: str) -> nn.Module:
    """The first of some modules that the model has."""
    known: dict[str, nn.Module] = dict(model.named_modules())
    return next(known[name] for name in names if name in known)


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """Without gradients, and with tensors that a later step with gradients may use."""
    with torch.inference_mode(False), torch.no_grad():
        yield
