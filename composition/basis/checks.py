"""What deltas must have in common to be composed, and their content as one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from datamodules.errors import InputError
from lightning_modules.attention import fused_state_dict
from lightning_modules.backbone import Backbone
from lightning_modules.delta import Delta
from lightning_modules.delta.factors import check_factors, check_finite
from lightning_modules.tensors import fingerprint, first_five


def check_deltas(deltas: Sequence[Delta], backbone: Backbone | nn.Module) -> None:
    """Check that deltas belong to one base, fit its model and can be told apart.

    Deltas that lie in files are read one after the other: no two are in memory together.

    Args:
        deltas: one or more.
        backbone: what they were trained on, or its split model alone.

    Raises:
        InputError: naming those that are wrong.
    """
    model = backbone.model if isinstance(backbone, Backbone) else backbone
    _check_base(deltas, backbone)
    _check_names(deltas)
    contents: dict[str, str] = {}
    for delta in deltas:
        name = delta.card.attribute
        held = replace(delta, factors=dict(delta.factors))  # read once
        check_factors(held.factors, f"the delta {name!r}")
        check_finite(held.differences, f"the delta {name!r}")
        held.check_fits(model)
        content = content_hash(held)
        if content in contents:
            raise InputError(
                f"the deltas {contents[content]!r} and {name!r} hold the same numbers, so their "
                "coefficients could not be told apart. Leave one out."
            )
        contents[content] = name


def content_hash(delta: Delta) -> str:
    """SHA-256 of a delta's numbers, with the scale in them."""
    tensors: Mapping[str, Tensor] = delta.differences
    if delta.factors:
        low_rank: dict[str, Tensor] = {}
        for name, (a, b) in delta.factors.items():
            low_rank |= {f"{name}.A": a, f"{name}.B": delta.scale(name) * b}
        tensors = low_rank | dict(tensors)
    return fingerprint(tensors)


def _check_names(deltas: Sequence[Delta]) -> None:
    names = Counter(delta.card.attribute for delta in deltas)
    if repeated := sorted(name for name, count in names.items() if count > 1):
        raise InputError(
            f"expected deltas of distinct names, got {', '.join(repeated)} more than once. "
            "Coefficients are found by name: leave one out, or give it another attribute."
        )


def _check_base(deltas: Sequence[Delta], backbone: Backbone | nn.Module) -> None:
    """Every delta must have been trained on these weights, with this activation."""
    if isinstance(backbone, Backbone):
        expected, name = backbone.fingerprint, f"{backbone.name} {backbone.pretrained}".strip()
        quick = {backbone.quick_gelu}
    else:
        expected, name = fingerprint(fused_state_dict(backbone)), "the given model"
        quick = {deltas[0].card.quick_gelu}  # a bare model does not tell
    wrong = [
        f"{card.attribute} ({card.backbone} {card.pretrained}, "
        f"{'QuickGELU' if card.quick_gelu else 'GELU'}, weights {card.fingerprint[:12]})"
        for card in (delta.card for delta in deltas)
        if card.fingerprint != expected or card.quick_gelu not in quick
    ]
    if wrong:
        activation = "QuickGELU" if quick == {True} else "GELU"
        raise InputError(
            f"expected deltas of {name} ({activation}, weights {expected[:12]}), got "
            f"{len(wrong)} of {len(deltas)} of another base: {first_five(wrong)}. Deltas only add "
            "up on the weights they were trained on: load that base, or train them again on this."
        )
