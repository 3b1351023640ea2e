"""Which of three exact ways computes a Linear module and the gradient of its coefficients.

    y = (W_0 + B diag(s) A) x + b,    A: (R, I), B: (O, R), s: one number a direction

activation    y = W_0 x + B (s * (A x)): two thin products beside the base's own.
factored      W = W_0 + B diag(s) A once, y = W x; backward ds_r = sum_n (dY B)_nr (X A^T)_nr.
contraction   W as above; backward G = dY^T X, ds_r = (B^T G A^T)_rr.

Counting multiplications for N tokens, all three need N I O for y and N I O for the gradient of the
inputs, where one is asked for. On top of that:

activation    forward N R (I + O); backward N R O for s, and N R I to bring s's part to the inputs.
factored      I O R to merge; N R I for X A^T, N R O for dY B; nothing more for the inputs.
contraction   I O R to merge; N I O for G and I O R to contract it.

So `factored` beats `activation` from N > I O / (I + O) tokens on, where merging is cheaper than
passing the tokens twice more through thin matrices, and `contraction` wins only where these are not
thin: with many tokens, from R > I O / (I + O) on. Coefficients by head change little: with groups
of rows, `activation` needs one more N R O, with groups of columns one more N R I, as the scaled
factor itself gets a gradient.

Kept between the passes: `activation` N R numbers, `factored` N R (by columns N I) and W,
`contraction` N I and W. At equal cost the first of the three is taken.

Shape letters: N tokens (rows of the input), I inputs, O outputs, R ranks of all deltas together.
"""

from __future__ import annotations

from typing import Literal, get_args

from composition.granularity import Side

Form = Literal["activation", "factored", "contraction"]


def choose_form(
    tokens: int,
    rank: int,
    in_features: int,
    out_features: int,
    *,
    side: Side = "whole",
    input_grad: bool = True,
) -> Form:
    """The form with the fewest multiplications for one step, forward and backward.

    Only for steps in which coefficients learn: otherwise the merged weight is made once and kept.

    Args:
        tokens: rows of the input, batch and sequence together.
        rank: directions of all deltas together.
        in_features: inputs of the module.
        out_features: its outputs.
        side: whether coefficients differ by groups of "rows" or "columns".
        input_grad: whether the inputs need a gradient; not so before the first composed module.

    Example:
        >>> choose_form(6400, 128, 768, 768), choose_form(100, 128, 768, 768)
        ('factored', 'activation')
    """
    shape = (tokens, rank, in_features, out_features)
    costs = {form: multiplications(form, *shape, side, input_grad) for form in get_args(Form)}
    best: Form = min(costs, key=costs.__getitem__)
    return best


def multiplications(
    form: Form,
    tokens: int,
    rank: int,
    in_features: int,
    out_features: int,
    side: Side = "whole",
    input_grad: bool = True,
) -> int:
    """Multiplications of matrix products in one step, forward and backward; arguments as above."""
    base = tokens * in_features * out_features
    read, write = tokens * rank * in_features, tokens * rank * out_features
    merge = in_features * out_features * rank
    total = base + (base if input_grad else 0)
    if form == "factored":
        return total + merge + read + write
    if form == "contraction":
        return total + merge + base + merge
    total += read + write  # the forward pass
    if side == "rows":
        return total + write + (write + read if input_grad else 0)
    if side == "columns":
        return total + write + read + (read if input_grad else 0)
    return total + write + (read if input_grad else 0)
