"""Pre-training a small CLIP on captions, so that a first run needs no weights from elsewhere.

Symmetric contrastive loss with several positives (UniCL, Yang et al., CVPR 2022, arXiv 2204.03610):
captions of a group name the same attributes in the same words, hence equal captions are positives
of each other and all others are true negatives. One image pass serves every group.

Two things let a small ViT learn shape on few images: patch filters that start as smooth waves
instead of noise, and positions that start as a 2-D sine grid (Beyer et al., 2022,
https://arxiv.org/abs/2205.01580).

Shape letters: B images, U distinct captions of a group, D embedding width, V values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.files import read_json
from datamodules.prompts import ADJECTIVE, NOUN, prompts
from datamodules.sources.glyphs.world import ATTRIBUTES
from lightning_modules.pixels import Pixels
from lightning_modules.schedule import warmup_cosine
from lightning_modules.value_text import value_embeddings

if TYPE_CHECKING:
    from datamodules.sources.glyphs.lessons import CaptionBatch

_MAX_SCALE = math.log(100)  # as in CLIP


def group_loss(
    image_BD: Tensor, text_UD: Tensor, target_B: Tensor, comparable_BU: Tensor, scale: Tensor
) -> Tensor:
    """Image-to-caption and caption-to-image cross-entropy of one group, averaged.

    Args:
        image_BD: unit-norm image embeddings.
        text_UD: unit-norm embeddings of the distinct captions.
        target_B: the caption of each image, in [0, U).
        comparable_BU: False where a caption is no negative for an image, nor the image for the
            caption.
        scale: factor on the cosines.
    """
    logits_BU = (scale * image_BD @ text_UD.T).masked_fill(~comparable_BU, -1e4)
    positive_BU = F.one_hot(target_B, len(text_UD)).to(logits_BU.dtype)
    to_image = -(logits_BU.log_softmax(0) * positive_BU).sum(0) / positive_BU.sum(0)
    return (F.cross_entropy(logits_BU, target_B) + to_image.mean()) / 2


class ContrastivePretraining(L.LightningModule):
    """A CLIP learned from nothing on groups of captions.

    Args:
        architecture: an open_clip configuration file (JSON with `model_cfg` and `preprocess_cfg`).
        lr: highest learning rate, after the warm-up.
        weight_decay: on matrices, not on vectors.
        warmup_steps: steps of linear warm-up; a cosine to zero follows, over `trainer.max_steps`.
    """

    touched: Tensor  # which token rows any caption has used

    def __init__(
        self,
        architecture: Path = Path("configs/glyph-clip.json"),
        lr: float = 1e-3,
        weight_decay: float = 0.05,
        warmup_steps: int = 100,
    ) -> None:
        super().__init__()
        import open_clip

        self.lr, self.weight_decay, self.warmup_steps = lr, weight_decay, warmup_steps
        self.architecture: dict[str, Any] = read_json(architecture)
        config = self.architecture["model_cfg"]
        self.model = open_clip.CLIP(**config)
        self.tokenizer = open_clip.SimpleTokenizer(
            context_length=config["text_cfg"]["context_length"]
        )
        smooth_start(self.model.visual)
        preprocess = self.architecture["preprocess_cfg"]
        self.pixels = Pixels(preprocess["size"], preprocess["mean"], preprocess["std"])
        self.register_buffer(
            "touched", torch.zeros(config["text_cfg"]["vocab_size"], dtype=torch.bool)
        )
        self.ids: dict[str, Tensor] = {}

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids, (len(texts), context length); each text is tokenised once in its life."""
        for text in texts:
            if text not in self.ids:
                self.ids[text] = self.tokenizer([text])[0]
        return torch.stack([self.ids[text] for text in texts]).to(self.device)

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> Tensor:
        """The mean loss of the batch's groups."""
        image_BD = F.normalize(self.model.encode_image(self.pixels(batch.image)).float(), dim=-1)
        tokens = self.tokens([text for group in batch.groups for text in group.texts])
        self.touched[torch.unique(tokens)] = True
        text_UD = F.normalize(self.model.encode_text(tokens).float(), dim=-1)
        texts = torch.split(text_UD, [len(group.texts) for group in batch.groups])
        scale = self.model.logit_scale.exp()
        losses = [
            group_loss(image_BD[: len(group.target)], text, group.target, group.comparable, scale)
            for group, text in zip(batch.groups, texts, strict=True)
        ]
        loss = torch.stack(losses).mean()
        self.log("loss/train", loss, prog_bar=True)
        self.log("logit_scale", scale)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Hold the logit scale below 100, as CLIP does."""
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, _MAX_SCALE)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Zero-shot accuracy of each attribute."""
        image, labels = batch
        image_BD = F.normalize(self.model.encode_image(self.pixels(image)).float(), dim=-1)
        for column, (attribute, values) in enumerate(ATTRIBUTES.items()):
            guess = (image_BD @ self.class_embedding(attribute, values).T).argmax(1)
            correct = (guess == labels[:, column]).float().mean()
            self.log(
                f"accuracy/val/{attribute}",
                correct,
                batch_size=len(image),
                sync_dist=True,
                prog_bar=True,
            )

    def class_embedding(self, attribute: str, values: tuple[str, ...]) -> Tensor:
        """Unit-norm mean of each value's prompt embeddings, (V, D)."""
        templates = NOUN if attribute == "shape" else ADJECTIVE
        texts = [prompts(value, templates) for value in values]
        return value_embeddings(self.model, self.tokens, texts)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine."""
        matrices = [p for p in self.parameters() if p.ndim >= 2]
        vectors = [p for p in self.parameters() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.98))
        rate = partial(
            warmup_cosine, warmup_steps=self.warmup_steps, num_steps=self.trainer.max_steps
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def shipped_state(self) -> dict[str, Tensor]:
        """The weights as they are stored: token rows that no caption touched are zero."""
        state = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        state["token_embedding.weight"][~self.touched.cpu()] = 0
        return state


def smooth_start(visual: Any) -> None:
    """Start a vision tower's patch filters as cosine waves and its positions as a 2-D sine grid.

    Args:
        visual: an open_clip `VisionTransformer`, just initialised; changed in place.
    """
    with torch.no_grad():
        filters = visual.conv1.weight  # (width, 3, patch, patch)
        waves = _waves(filters.shape[0], filters.shape[-1]).to(filters.dtype)
        filters[: len(waves)] = waves
        height, width = visual.grid_size
        grid = _sine_grid(height, width, filters.shape[0])
        visual.positional_embedding[0] = 0
        visual.positional_embedding[1:] = 0.5 * grid


def _waves(width: int, patch: int) -> Tensor:
    """The lowest 2-D cosine waves of a patch, each in gray, red-green and blue-yellow."""
    at = np.arange(patch)
    wave = np.cos(np.pi * (at[None] + 0.5) * at[:, None] / patch)
    order = sorted(((i, j) for i in at for j in at), key=lambda pair: (sum(pair), pair[0]))
    planes = np.stack([np.outer(wave[i], wave[j]) for i, j in order[: width // 3]])
    planes /= np.sqrt((planes**2).sum((1, 2), keepdims=True))
    opponents = np.array([[1, 1, 1], [1, -1, 0], [0.5, 0.5, -1]])
    opponents = 0.5 * opponents / np.sqrt((opponents**2).sum(1, keepdims=True))
    filters = planes[:, None, None] * opponents[None, :, :, None, None]
    return torch.from_numpy(filters.reshape(-1, 3, patch, patch))


def _sine_grid(height: int, width: int, channels: int) -> Tensor:
    """Sines and cosines of row and column at rates from 1 to 1/10, (height * width, channels)."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    rate = 0.1 ** (np.arange(channels // 4) / (channels // 4))
    angles = [axis.reshape(-1, 1) * rate for axis in (x, y)]
    parts = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return torch.from_numpy(np.concatenate(parts, axis=1)).float()


def zero_shot_metrics(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """The `accuracy/val/<attribute>` entries of a trainer's metrics, rounded."""
    prefix = "accuracy/val/"
    return {
        k.removeprefix(prefix): round(float(v), 4)
        for k, v in metrics.items()
        if k.startswith(prefix)
    }
