"""A Linear module whose weight is the base's plus scaled low-rank updates.

Shape letters: N tokens, I inputs, O outputs, R ranks of all deltas together, G groups of rows or
columns (1 if the weight is whole).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from composition.forms.choice import choose_form
from composition.forms.factored import factored_linear
from composition.forms.factors import add_activations, merge_factors
from composition.terms import LowRank, StreamedLowRank


class ComposedLinear(nn.Linear):
    """Stands in for an `nn.Linear`; weight and bias are that module's own parameters.

    Args:
        base: the module it stands in for.
        update: low-rank updates of all deltas; they stay registered where they were.
    """

    def __init__(self, base: nn.Linear, update: LowRank | StreamedLowRank) -> None:
        super().__init__(base.in_features, base.out_features, base.bias is not None, device="meta")
        self.weight = base.weight
        if base.bias is not None:
            self.bias = base.bias
        self.held = (update,)  # a tuple, so that a state dict of the model has the base's names
        self.scales_GR: Tensor | None = None
        self.merged_OI: Tensor | None = None
        self.train(base.training)

    def receive(self, scales: Tensor) -> None:
        """Take the coefficients of this step, flat; if they do not learn, merge the weight once."""
        self.scales_GR, self.merged_OI = scales.view(-1, self.held[0].rank), None
        if not scales.requires_grad:
            (update,) = self.held
            self.merged_OI = update(self.weight, self.scales_GR).to(self.weight.dtype)

    def release(self) -> None:
        """Forget the coefficients and the merged weight."""
        self.scales_GR = self.merged_OI = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        if self.merged_OI is not None:
            return F.linear(x, self.merged_OI, self.bias)
        if self.scales_GR is None:
            raise RuntimeError(
                "a composed module was called before its tower: call encode_image or encode_text."
            )
        (update,) = self.held
        x_NI = x.reshape(-1, self.in_features).to(_precision(x, self.weight))
        if isinstance(update, StreamedLowRank):
            merged_OI = update(self.weight, self.scales_GR).to(x_NI.dtype)
            return F.linear(x_NI, merged_OI, self.bias).view(*x.shape[:-1], self.out_features)
        form = choose_form(
            len(x_NI),
            update.rank,
            self.in_features,
            self.out_features,
            side=update.side,
            input_grad=x_NI.requires_grad,
        )
        factors = (update.A_RI, update.B_OR, self.scales_GR, update.side)
        if form == "activation":
            y_NO = add_activations(x_NI, self.weight, self.bias, *factors)
        elif form == "factored":
            y_NO = factored_linear(x_NI, self.weight, self.bias, *factors)
        else:
            y_NO = F.linear(x_NI, merge_factors(self.weight, *factors, x_NI.dtype), self.bias)
        return y_NO.view(*x.shape[:-1], self.out_features)


def _precision(x: Tensor, weight: Tensor) -> torch.dtype:
    """What a plain Linear would compute in: autocast's type where that is on, else the weight's."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and weight.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return weight.dtype
