"""`LogValueEmbeddings`: values and images in one space (TensorBoard's PROJECTOR tab).

Text and image embeddings of CLIP lie in two narrow cones far apart (Liang et al., NeurIPS 2022,
arXiv 2203.02053). So each kind is shown about its own mean, else the picture shows only the gap.

Shape letters: B images of a batch, D embedding width, S images shown, V values, P pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.callbacks.surface import (
    as_adapter,
    at_least,
    data_of,
    quota,
    spread,
    tensorboard,
)

TAG = "values_and_images"
HEADER = ["value", "kind"]
_PIXELS = 64  # P: the browser holds all thumbnails in one picture of at most 8192 pixels a side


class LogValueEmbeddings(L.Callback):
    """Show the value embeddings among validation images, at the end of training.

    Args:
        num_images: images to show, taken evenly from the validation split; more than 1,000 make
            the browser slow.
    """

    def __init__(self, num_images: int = 1000) -> None:
        self.num_images = at_least("LogValueEmbeddings.num_images", num_images, 1)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Embed the images and write the files of the projector."""
        logger = tensorboard(trainer)
        loaders = trainer.val_dataloaders
        if logger is None or not loaders:
            return
        loader = loaders[0] if isinstance(loaders, list | tuple) else loaders
        values = data_of(trainer).values
        with inference(trainer, pl_module):
            images = self._embed(trainer, pl_module, loader)
        marks = zip(images[2], images[3], strict=True)
        names = [value_names(label_V, known_V, values) for label_V, known_V in marks]
        embedding = torch.cat(
            [centred(as_adapter(pl_module).value_embedding_VD.detach().cpu()), centred(images[0])]
        )
        tiles = torch.cat([torch.stack([word_tile(value) for value in values]), images[1]])
        logger.experiment.add_embedding(
            embedding,
            metadata=[
                *([value, "value"] for value in values),
                *([name, "image"] for name in names),
            ],
            metadata_header=HEADER,
            label_img=tiles.float() / 255,
            global_step=trainer.global_step,
            tag=TAG,
        )

    def _embed(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loader: Any
    ) -> tuple[Tensor, ...]:
        """Embeddings (S, D), thumbnails (S, 3, P, P), label and known (S, V), all on the CPU."""
        share, parts = quota(trainer, self.num_images), []
        for batch in loader:
            rows = spread(len(batch["image"]), share)
            image, label, known = (batch[key][rows] for key in ("image", "label", "known"))
            embedding_BD = as_adapter(pl_module).encode_image(image.to(pl_module.device))
            parts.append((embedding_BD.float().cpu(), thumbnails(image), label.bool(), known))
        found = [torch.cat(each) for each in zip(*parts, strict=True)]
        rows = spread(len(found[0]), self.num_images)
        return tuple(each[rows] for each in found)


@contextmanager
def inference(trainer: L.Trainer, pl_module: L.LightningModule) -> Iterator[None]:
    """The model as in validation: eval mode, the run's precision, no gradients; put back after."""
    training = [module for module in pl_module.modules() if module.training]
    pl_module.eval()
    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            yield
    finally:
        for module in training:
            module.training = True


def centred(embedding: Tensor) -> Tensor:
    """Embeddings (N, D) about their mean, float32."""
    embedding = embedding.float()
    return embedding - embedding.mean(dim=0)


def value_names(label_V: Tensor, known_V: Tensor, values: Sequence[str]) -> str:
    """The true values of an image in words; "unknown" if there is none."""
    true = torch.nonzero(label_V & known_V)[:, 0].tolist()
    return ", ".join(values[each] for each in true) or "unknown"


def thumbnails(image: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> uint8 (B, 3, P, P)."""
    small = F.interpolate(image.float(), size=(_PIXELS, _PIXELS), mode="area")
    return small.round().to(torch.uint8)


def word_tile(text: str) -> Tensor:
    """A word in white on dark, as large as fits: uint8 (3, P, P)."""
    from PIL import Image, ImageDraw, ImageFont

    tile = Image.new("RGB", (_PIXELS, _PIXELS), "#30363d")
    draw = ImageDraw.Draw(tile)
    for size in range(20, 6, -1):
        font = ImageFont.load_default(size=size)
        left, _, right, _ = draw.textbbox((0, 0), text, font=font)
        if right - left <= _PIXELS - 4:
            break
    draw.text((_PIXELS / 2, _PIXELS / 2), text, fill="white", font=font, anchor="mm")
    return torch.from_numpy(np.array(tile)).permute(2, 0, 1)
