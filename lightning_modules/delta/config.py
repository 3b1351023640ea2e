"""From ranks and scales to PEFT's own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from lightning_modules.lora import visual_twins

if TYPE_CHECKING:
    from peft import LoraConfig


def lora_config(
    kinds: Mapping[str, tuple[int, float]], present: Iterable[str] | None = None
) -> LoraConfig:
    """PEFT's configuration for adapters of given ranks and scales.

    Args:
        kinds: module name -> (rank, scale). The most common pair becomes `r` and `lora_alpha`;
            the others go into PEFT's patterns, anchored, since PEFT compares endings.
        present: modules of the model, where it is known.
    """
    from peft import LoraConfig

    rank, scale = Counter(kinds[name] for name in sorted(kinds)).most_common(1)[0][0]
    ranks = {f"^{re.escape(name)}": r for name, (r, _) in kinds.items() if r != rank}
    alphas = {
        f"^{re.escape(name)}": s * r for name, (r, s) in kinds.items() if (r, s) != (rank, scale)
    }
    return LoraConfig(
        r=rank,
        lora_alpha=cast("int", scale * rank),
        target_modules=sorted(kinds),
        exclude_modules=visual_twins(kinds, present) or None,
        rank_pattern=ranks,
        alpha_pattern=cast("dict[str, int]", alphas),
    )
