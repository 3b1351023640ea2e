"""`AttributeAdapter`: one LoRA adapter of CLIP that carries one visual attribute.

    logits = scale * cos(encode_image(x; W + s B A), encode_text(prompts of the values))

The text tower is frozen and its value embeddings are cached, so the deltas of all attributes live
in one tower and add; class prompts stay valid.

Shape letters: B images, V values, D embedding width.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from lightning_modules.adapted import AdaptedClip
from lightning_modules.augment import Augmentation
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.checkpoints import TrainableCheckpoints
from lightning_modules.lora import GradientGuard, LoraSettings, attach_lora
from lightning_modules.losses import (
    choose_objective,
    class_weights,
    contrastive_loss,
    keep_loss,
    sigmoid_loss,
    softmax_loss,
)
from lightning_modules.memory import BaseMemory, remember
from lightning_modules.metrics import Objective, attribute_metrics
from lightning_modules.optimizer import adamw
from lightning_modules.pairs import training_offsets
from lightning_modules.processes import whole_batch
from lightning_modules.schedule import derived_seed

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_LABELS = ("label", "known", "weight")  # what the losses need of a batch
_SIGMOID_BIAS = -10.0  # SigLIP's start: almost everything is absent
_log = logging.getLogger(__name__)


class AttributeAdapter(TrainableCheckpoints):
    """Trains a LoRA adapter for the attribute of an `AttributeDataModule`.

    Args:
        backbone: an open_clip architecture, or a folder trained here, such as glyph-clip.
        pretrained: tag of open_clip, path of a weight file, or "random"; empty for a folder's own
            weights.
        r: rank of the adapter.
        lora_alpha: the update is scaled by lora_alpha / r.
        lora_dropout: share of the adapter's inputs dropped in training, in [0, 1).
        target_modules: last parts of the names of the `Linear` modules to adapt.
        blocks: "all", or "last:k" for the last k blocks.
        towers: "vision", or "both" to adapt the text tower too.
        objective: "auto" chooses by the labels: softmax, sigmoid or contrastive.
        keep_weight: weight of the penalty on changed answers about other attributes, at least 0.
        class_balanced: weigh values by the inverse of how often they occur.
        pair_balanced: do not learn which values of other attributes come with which value, see
            `lightning_modules.pairs`; for the softmax objective.
        augment: mirror and shift training images, see `lightning_modules.augment`.
        lr: highest learning rate, after the warm-up; a cosine to zero follows.
        weight_decay: AdamW's.
        warmup_steps: steps of linear warm-up.
        compile: compile the image tower.
    """

    def __init__(
        self,
        backbone: str = "glyph-clip",
        pretrained: str = "",
        r: int = 8,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.0,
        target_modules: Sequence[str] = _ATTENTION,
        blocks: str = "all",
        towers: Literal["vision", "both"] = "vision",
        objective: Literal["auto", "softmax", "sigmoid", "contrastive"] = "auto",
        keep_weight: float = 1.0,
        class_balanced: bool = False,
        pair_balanced: bool = True,
        augment: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 20,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if keep_weight < 0:
            raise InputError(f"--model.keep_weight is {keep_weight}, expected 0 or more.")
        self.save_hyperparameters()
        self.lora = LoraSettings(
            r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout,
            target_modules=tuple(target_modules), blocks=blocks, towers=towers,
        )  # fmt: skip
        self.data: AttributeDataModule | None = None

    # --- set-up -------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Load the backbone, attach the adapter, embed the values of every attribute."""
        if self.data is None:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.prepare(data)

    def prepare(self, data: AttributeDataModule, backbone: Backbone | None = None) -> None:
        """What `setup` does, for use without a trainer.

        Args:
            data: a data module after its own `setup`.
            backbone: a loaded backbone, to save loading it again.

        Raises:
            InputError: if the backbone cannot be loaded or `target_modules` match nothing.
        """
        backbone = backbone or load_backbone(self.hparams["backbone"], self.hparams["pretrained"])
        self.attribute, self.values = data.attribute, data.values
        self.clip = AdaptedClip(backbone, attach_lora(backbone.model, self.lora, data.attribute))
        self.attributes = tuple(dict.fromkeys([self.attribute, *data.dictionary.names]))
        for number, name in enumerate(self.attributes):
            embedding_VD = self.clip.encode_values(data.prompts(name))
            self.register_buffer(f"text_{number}", embedding_VD, persistent=False)
        self.prompts = data.prompts(self.attribute)
        labels, members = data.labels(self.attribute), data.members("train")
        label, known = (torch.from_numpy(x[members]) for x in (labels.label, labels.known))
        chosen = self.hparams["objective"]
        self.objective: Objective = (
            choose_objective(label, known, exclusive=data.exclusive) if chosen == "auto" else chosen
        )
        weights = class_weights(label) if self.hparams["class_balanced"] else None
        self.register_buffer("class_weight", weights, persistent=False)
        pairs = self.objective == "softmax" and self.hparams["pair_balanced"]
        self.register_buffer(
            "offset_NV", training_offsets(data) if pairs else None, persistent=False
        )
        self.moved = Augmentation(len(labels.label), seed=data.seed)
        if self.objective == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(_SIGMOID_BIAS))
        metrics = attribute_metrics(len(self.values), self.objective)
        self.metrics = nn.ModuleDict({"val": metrics})
        self.test_metrics = nn.ModuleList([metrics.clone() for _ in data.test_splits])
        self.main_metric = "accuracy" if self.objective == "softmax" else "map"
        self.memory: BaseMemory | None = None
        self.data = data
        if self.hparams["compile"]:
            self.clip.adapted.visual.compile()  # type: ignore[union-attr]

    @property
    def backbone(self) -> Backbone:
        """The base model."""
        return self.clip.backbone

    @property
    def value_embedding_VD(self) -> Tensor:
        """Unit-norm embeddings of the attribute's values, by the base's text tower."""
        return self.get_buffer("text_0")

    # --- the model ----------------------------------------------------------------------------

    def encode_image(self, image: Tensor) -> Tensor:
        """Unit-norm embeddings (B, D), float32, of uint8 images (B, 3, H, W)."""
        return self.clip.encode_image(image)

    def text_embedding(self) -> Tensor:
        """Value embeddings (V, D): cached, or by the adapted text tower if `towers` is "both"."""
        if self.lora.towers == "vision":
            return self.value_embedding_VD
        return self.clip.encode_adapted_values(self.prompts)

    def adapted_text(self) -> dict[str, Tensor]:
        """Value embeddings that differ from the base's, by attribute: none if text is frozen."""
        if self.lora.towers == "vision":
            return {}
        with torch.no_grad():
            return {self.attribute: self.text_embedding()}

    def logits(self, image: Tensor) -> Tensor:
        """Scores (B, V) of uint8 images for the values."""
        return self.score(self.encode_image(image))

    def score(self, image_BD: Tensor) -> Tensor:
        """Scores (B, V) of image embeddings."""
        logits_BV = self.clip.scale * image_BD @ self.text_embedding().T
        return logits_BV + self.bias if self.objective == "sigmoid" else logits_BV

    # --- steps --------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of the attribute, plus what it costs the others."""
        image = batch["image"]
        if self.hparams["augment"]:
            image = self.moved(image, batch["index"], self.current_epoch)
        image_BD = self.encode_image(image)
        logits_BV = self.score(image_BD)
        if self.offset_NV is not None:
            logits_BV = logits_BV + self.get_buffer("offset_NV")[batch["index"]]
        fit = self._fit(*whole_batch(self, logits_BV, batch, _LABELS))
        self.log("loss/train", fit, prog_bar=True, batch_size=len(image_BD))
        if not self.hparams["keep_weight"]:
            return fit
        others = [self.get_buffer(f"text_{n}") for n in range(1, len(self.attributes))]
        keep = keep_loss(image_BD, self._base(batch), others, self.clip.scale)
        self.log("keep/train", keep, batch_size=len(image_BD))
        total: Tensor = fit + self.hparams["keep_weight"] * keep
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Gather the validation metrics; the logits go to the callbacks that draw them."""
        logits_BV = self.logits(batch["image"])
        self.metrics["val"].update(logits_BV, batch["label"], batch["known"])  # type: ignore[operator]
        self.log("loss/val", self._fit(logits_BV, batch), batch_size=len(logits_BV), sync_dist=True)
        return {"logits": logits_BV}

    def on_validation_epoch_end(self) -> None:
        """Log them; `score/val` is the one that chooses the checkpoint."""
        values = self.metrics["val"].compute()  # type: ignore[operator]
        self.log_dict({f"{name}/val": value for name, value in values.items()})
        self.log("score/val", values[self.main_metric], prog_bar=True)
        self.metrics["val"].reset()  # type: ignore[operator]

    def test_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Gather the metrics of one test split."""
        metrics = self.test_metrics[dataloader_idx]
        metrics.update(self.logits(batch["image"]), batch["label"], batch["known"])  # type: ignore[operator]

    def on_test_epoch_end(self) -> None:
        """Log them, each under the name of its split."""
        assert self.data is not None
        for split, metrics in zip(self.data.test_splits, self.test_metrics, strict=True):
            values = metrics.compute()  # type: ignore[operator]
            self.log_dict({f"{name}/{split}": value for name, value in values.items()})
            metrics.reset()  # type: ignore[operator]

    def _fit(self, logits_BV: Tensor, batch: dict[str, Tensor]) -> Tensor:
        weights = cast("Tensor | None", self.class_weight)
        if self.objective == "sigmoid":
            return sigmoid_loss(logits_BV, batch["label"], batch["known"], batch["weight"], weights)
        if self.objective == "contrastive":
            return contrastive_loss(logits_BV, batch["label"], batch["weight"])
        return softmax_loss(logits_BV, batch["label"], batch["weight"], weights)

    def _base(self, batch: dict[str, Tensor]) -> Tensor:
        """Base embeddings of a batch (B, D): remembered, or computed where nothing is."""
        if self.memory is None:
            return self.clip.encode_base(batch["image"])
        return self.memory[batch["index"]]

    # --- training -----------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Say what is trained, and watch that every trainable tensor receives a gradient."""
        assert self.data is not None
        self.guard = GradientGuard(self.named_parameters())
        trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        _log.info(
            "%s (%d values, %s) on %s images of %s; %s with %s trainable weights, on %s x %d",
            self.attribute, len(self.values), self.objective,
            f"{len(self.data.members('train')):,}", self.data.source_name, self.backbone.name,
            f"{trainable:,}", self.device.type, self.trainer.world_size,
        )  # fmt: skip
        if self.hparams["keep_weight"]:
            self.memory = remember(self, self.clip, self.data)

    def on_train_epoch_start(self) -> None:
        """Seed dropout by (seed, epoch, rank): a resumed run draws what it would have drawn."""
        assert self.data is not None
        torch.manual_seed(derived_seed(self.data.seed, self.current_epoch, self.global_rank))

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Fail early where a tensor would never learn."""
        self.guard.observe()

    def configure_optimizers(self) -> Any:
        """AdamW over the trainable tensors, with warm-up and a cosine to zero."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return adamw(self, trainable)

    def origin(self) -> dict[str, str]:
        """What a checkpoint of this adapter belongs to."""
        assert self.data is not None
        return {
            "attribute": self.attribute,
            "base weights": self.backbone.fingerprint,
            "dictionary": self.data.dictionary.hash,
            "data": self.data.source.data_hash,
        }
