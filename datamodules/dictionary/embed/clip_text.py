"""The text tower of a CLIP of open_clip as a source of vectors: words near where images are near.

Shape letters: W texts, B texts of a batch, L tokens, V tokens of the vocabulary, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datamodules.dictionary.embed.batches import equal_batches, filled
from datamodules.dictionary.embed.clip_weights import BASE_FOLDER, find_clip
from datamodules.dictionary.embed.offline import offline
from datamodules.dictionary.embed.protocol import Mask, Rows
from datamodules.errors import InputError
from datamodules.files import sha256_file, sha256_json
from datamodules.progress import progress

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 32


class ClipVectors:
    """Vectors of a CLIP's text tower, of bare words without a template.

    Args:
        model: an architecture of open_clip, or the name or path of a folder in its local-dir
            layout.
        pretrained: for an architecture a tag whose file is here, or a weight file; for a folder
            nothing.
        base_folder: where folders known by name lie.
    """

    def __init__(self, model: str, pretrained: str = "", base_folder: Path = BASE_FOLDER) -> None:
        self._files = find_clip(model, pretrained, base_folder)

    @property
    def name(self) -> str:
        """`clip:`, the architecture, a comma and the tag or file; or `clip:` and the folder."""
        return self._files.name

    @cached_property
    def content_hash(self) -> str:
        """Hash of weights, architecture, activation, tokenizer and versions of the libraries."""
        files = self._files
        return sha256_json(
            [
                sha256_file(files.weights),
                files.model_cfg | {"quick_gelu": files.quick_gelu},
                [sha256_file(path) for path in files.tokenizer_files],
                [version(library) for library in ("open_clip_torch", "torch")],
            ]
        )

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, D); zeros for texts it does not know.

        A text's row does not depend on the other texts: see `equal_batches`.

        Raises:
            InputError: if the model cannot be loaded.
        """
        tower = self._tower
        rows_WD = np.zeros((len(texts), tower.width), dtype=np.float32)
        known = np.flatnonzero(self.known(texts)).tolist()
        tokens_WL = tower.tokens([texts[row] for row in known])
        with progress("embedding words", len(known)) as advance:
            for length, batch in equal_batches(tower.lengths(tokens_WL), _BATCH):
                batch_BD = tower.rows(tokens_WL[filled(batch, _BATCH), :length])
                rows_WD[[known[place] for place in batch]] = batch_BD[: len(batch)]
                advance(len(batch))
        return rows_WD

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts it knows, (W,): those that have words, and no piece that was never trained.

        The vector of such a piece is all zeros, as in the CLIP shipped here.

        Raises:
            InputError: if the model cannot be loaded.
        """
        worded_W = np.asarray([bool(text.strip()) for text in texts], dtype=bool)
        trained_W = self._tower.trained(self._tower.tokens(list(texts)))
        return np.asarray(worded_W & trained_W)

    @cached_property
    def _tower(self) -> _Tower:
        import open_clip
        import torch

        files = self._files
        try:
            # Building draws first weights; the caller's random numbers stay as they are.
            with offline(), torch.random.fork_rng(devices=[]):
                model = open_clip.create_model(
                    files.identifier,
                    None if files.identifier.startswith("local-dir:") else str(files.weights),
                    force_quick_gelu=files.quick_gelu,
                )
                return _Tower(model, open_clip.get_tokenizer(files.identifier))
        except Exception as error:  # torch and open_clip raise many kinds here
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise InputError(
                f"open_clip could not load {files.weights} as {files.name} ({reason}). Expected "
                "whole weights of that architecture, best as .safetensors."
            ) from error


class _Tower:
    """A text tower, cut to the length of the texts where that changes nothing.

    A causal tower that reads its row off the last token never looks beyond it, and words are a few
    of 77 tokens long.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        import open_clip

        del model.visual
        self._model = model.requires_grad_(False).eval()
        self._tokenizer = tokenizer
        self._causal = (
            type(model) is open_clip.CLIP
            and model.text_pool_type == "argmax"
            and model.attn_mask is not None
        )
        if self._causal:
            self._positions_LD = model.positional_embedding
            self._mask_LL = model.attn_mask
        self.width = self.rows(self.tokens([""])).shape[1]

    def tokens(self, texts: list[str]) -> Tensor:
        """Token numbers, (W, L)."""
        import torch

        if not texts:
            return torch.zeros((0, 1), dtype=torch.long)
        tokens_WL: Tensor = self._tokenizer(texts)
        return tokens_WL

    def lengths(self, tokens_WL: Tensor) -> list[int]:
        """How many tokens decide each text's row, (W,)."""
        if not self._causal:
            return [tokens_WL.shape[1]] * len(tokens_WL)
        return [int(end) + 1 for end in tokens_WL.argmax(dim=1)]

    def trained(self, tokens_WL: Tensor) -> Mask:
        """Which texts have no token whose vector is all zeros, (W,)."""
        import torch

        if not self._causal:
            return np.ones(len(tokens_WL), dtype=bool)
        zero_V = (self._model.token_embedding.weight == 0).all(dim=1)
        inside_WL = torch.arange(tokens_WL.shape[1]) <= tokens_WL.argmax(dim=1, keepdim=True)
        return np.asarray(~(zero_V[tokens_WL] & inside_WL).any(dim=1))

    def rows(self, tokens_BL: Tensor) -> Rows:
        """The rows of texts of one length, (B, D)."""
        import torch

        if self._causal:
            length = tokens_BL.shape[1]
            positions_LD = self._positions_LD[:length]
            self._model.positional_embedding = torch.nn.Parameter(positions_LD, False)
            self._model.attn_mask = self._mask_LL[:length, :length]
        with torch.inference_mode():
            rows_BD: Rows = self._model.encode_text(tokens_BL).numpy()
        return rows_BD
