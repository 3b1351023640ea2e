"""The last block of a vision transformer, computed only where its result is read.

CLIP's image embedding is made from the class token alone. The other tokens of the last block feed
its keys and values; their queries, output projections and MLP are computed and thrown away. Leaving
those out changes no number and saves about `0.8 / layers` of the forward and of the backward pass.
"""

from __future__ import annotations

from torch import Tensor, nn

from lightning_modules.attention import SplitMHA


class ClassTokenBlock(nn.Module):
    """An open_clip residual block that returns the class token only: (N, S, D) -> (N, 1, D).

    Args:
        block: the block to stand in for; its modules are shared under the same names.
    """

    ln_1: nn.Module
    attn: nn.Module
    ls_1: nn.Module
    ln_2: nn.Module
    mlp: nn.Module
    ls_2: nn.Module

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.replaced = (block,)  # a tuple, so that its weights are not registered twice
        for name, child in block.named_children():
            self.add_module(name, child)
        self.train(block.training)

    def forward(
        self, x: Tensor, k_x: None = None, v_x: None = None, attn_mask: None = None
    ) -> Tensor:
        """Run the block for the first token; open_clip passes None for everything but `x`."""
        tokens = self.ln_1(x)
        out = self.attn(tokens[:, :1], tokens, tokens)
        x = x[:, :1] + self.ls_1(out[0] if isinstance(out, tuple) else out)
        x = x + self.ls_2(self.mlp(self.ln_2(x)))
        return x


def read_class_token_only(clip: nn.Module) -> bool:
    """Shorten the last vision block in place where that is exact; outputs and names stay the same.

    Until `read_all_tokens` undoes it, the last block has no patch tokens for hooks or segmentation
    to read, and `forward_intermediates` does not work.

    Returns:
        Whether the last block is short now; False if the image tower is of another kind.
    """
    visual = getattr(clip, "visual", None)
    blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
    if visual is None or not isinstance(blocks, nn.ModuleList) or not _pools_class_token(visual):
        return False
    if not isinstance(blocks[-1], ClassTokenBlock):
        if not _is_plain(blocks[-1]):
            return False
        blocks[-1] = ClassTokenBlock(blocks[-1])
    return True


def read_all_tokens(clip: nn.Module) -> None:
    """Undo `read_class_token_only`, adapters included."""
    transformer = getattr(getattr(clip, "visual", None), "transformer", None)
    blocks = getattr(transformer, "resblocks", None)
    if isinstance(blocks, nn.ModuleList) and isinstance(blocks[-1], ClassTokenBlock):
        (blocks[-1],) = blocks[-1].replaced


def _pools_class_token(visual: nn.Module) -> bool:
    return (
        getattr(visual, "pool_type", "") == "tok"
        and getattr(visual, "attn_pool", None) is None
        and not getattr(visual, "output_tokens", False)
    )


def _is_plain(block: nn.Module) -> bool:
    children = dict(block.named_children())
    known = {"ln_1", "attn", "ls_1", "ln_2", "mlp", "ls_2"}
    return set(children) == known and isinstance(children["attn"], SplitMHA)
