"""What a model answers without some of its parts: direct effects by sums, total effects by runs."""

from interpret.ablate.ablation import Ablation, ablated_logits, direct_effect
from interpret.ablate.curves import LayerCurve, layer_curve
from interpret.ablate.order import OrderCurve, order_curve
from interpret.ablate.sweep import drops, sweep
from interpret.ablate.total import head_outputs, mean_head_outputs, run_with_heads

__all__ = [
    "Ablation",
    "LayerCurve",
    "OrderCurve",
    "ablated_logits",
    "direct_effect",
    "drops",
    "head_outputs",
    "layer_curve",
    "mean_head_outputs",
    "order_curve",
    "run_with_heads",
    "sweep",
]
