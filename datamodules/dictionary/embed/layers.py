"""All layers of an encoder side by side as a text's row, and the directions in which words differ.

Layers hold different things. For single words, the mean over a text's own tokens in many layers
does better than the last layer, and special tokens do harm (Vulić et al. 2020, "Probing Pretrained
Language Models for Lexical Semantics"). Here every layer has the same say: a product of two rows is
the sum of the layers' cosines. Rows of all layers are wide, so they are projected on the first
principal directions of the encoder's own words, which keep most of those products and are the same
for every vocabulary that is embedded.

Shape letters: B texts of a batch, T tokens, N words, D features of a layer, E features of all
layers, K directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from datamodules.dictionary.embed.protocol import Rows
from datamodules.dictionary.words.evidence import Array

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

NUM_WORDS = 1000  # of the encoder's vocabulary, from which the directions are found
NUM_DIRECTIONS = 384
# Both say that a word begins: of byte-level BPE, and of SentencePiece.
_MARKERS = ("\u0120", "\u2581")
_SHORTEST = 3  # letters; shorter tokens are mostly parts of words


def transformer_of(encoder: SentenceTransformer) -> Any | None:
    """The transformers model that gives hidden states in an encoder's first module, if one does."""
    model = getattr(encoder[0], "auto_model", None)
    # Models of several towers have layers only in their parts.
    if model is None or not hasattr(model.config, "num_hidden_layers"):
        return None
    return model if _hidden_states(model, [[0]]) is not None else None


def layer_rows(model: Any, tokens_BT: Sequence[Sequence[int]], special: AbstractSet[int]) -> Rows:
    """Each layer's mean over a text's own tokens, at length one, side by side, (B, E).

    Args:
        model: a transformer of transformers.
        tokens_BT: token numbers of texts of equal length.
        special: numbers of tokens that are left out of the means.
    """
    import torch

    own_BT = torch.tensor([[float(token not in special) for token in row] for row in tokens_BT])
    share_BT = own_BT / own_BT.sum(dim=1, keepdim=True).clamp(min=1)
    means = [
        torch.einsum("bt,btd->bd", share_BT, states_BTD.float())
        for states_BTD in _hidden_states(model, tokens_BT)
    ]
    rows_BE: Rows = torch.cat([torch.nn.functional.normalize(each) for each in means], 1).numpy()
    return rows_BE


def _hidden_states(model: Any, tokens_BT: Sequence[Sequence[int]]) -> Any:
    """What every layer gives, the embeddings first, each (B, T, D); None if it gives nothing."""
    import torch

    tokens = torch.tensor(tokens_BT)
    with torch.inference_mode():
        output = model(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True
        )
    return getattr(output, "hidden_states", None)


def whole_words(vocabulary: Mapping[str, int]) -> list[str]:
    """The first words of a tokenizer's vocabulary, at most 1,000, in the order of their numbers.

    A word has lower-case ASCII letters only and at least three of them. Where tokens say that a
    word begins, those that do not say it are pieces from within words.

    Example:
        >>> whole_words({"red": 3, "##ing": 1, "of": 2, "blue": 0})
        ['blue', 'red']
        >>> whole_words({"\u0120red": 3, "ing": 1})
        ['red']
    """
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    marked = _words([token[1:] for token in ordered if token.startswith(_MARKERS)])
    return (marked or _words(ordered))[:NUM_WORDS]


def _words(tokens: Sequence[str]) -> list[str]:
    return [
        token
        for token in tokens
        if token.isascii() and token.isalpha() and token.islower() and len(token) >= _SHORTEST
    ]


class Directions(NamedTuple):
    """Where rows are projected.

    Attributes:
        mean_E: what is subtracted first.
        axes_EK: orthonormal directions, those in which rows differ most first.
    """

    mean_E: Array
    axes_EK: Array

    def project(self, rows_BE: Rows) -> Rows:
        """Coordinates of rows, (B, K)."""
        import torch

        # By torch, whose threads have just made the rows: NumPy's would wait for them at every
        # turn, which takes three times as long.
        mean_E, axes_EK = torch.from_numpy(self.mean_E), torch.from_numpy(self.axes_EK)
        rows_BK: Rows = ((torch.from_numpy(rows_BE) - mean_E) @ axes_EK).float().numpy()
        return rows_BK


def principal_directions(rows_NE: Rows, number: int = NUM_DIRECTIONS) -> Directions:
    """The first principal directions of rows, with a fixed sign, the same for any thread count."""
    from threadpoolctl import threadpool_limits

    mean_E = rows_NE.mean(axis=0, dtype=np.float64)
    # Sums over several threads differ in their last bits; rows kept by another run must agree.
    with threadpool_limits(1):
        axes_KE = np.linalg.svd(rows_NE - mean_E, full_matrices=False)[2][:number]
    largest_K = np.take_along_axis(axes_KE, np.abs(axes_KE).argmax(axis=1)[:, None], axis=1)[:, 0]
    return Directions(mean_E, np.ascontiguousarray((axes_KE * np.sign(largest_K)[:, None]).T))
