"""`AttributeAdapter`: one LoRA adapter of CLIP that carries one visual attribute.

    logits = scale * cos(encode_image(x; W + s B A), encode_text(prompts of the values))

The text tower is frozen and its value embeddings are cached, so the deltas of all attributes live in one
tower and add; class prompts stay valid.

Shape letters: B images, V values, D embedding width, N images of the source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from lightning_modules.adapted import AdaptedClip
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.lora import GradientGuard, LoraSettings, attach_lora
from lightning_modules.losses import (
    choose_objective,
    class_weights,
    contrastive_loss,
    keep_loss,
    sigmoid_loss,
    softmax_loss,
)
from lightning_modules.metrics import Objective, attribute_metrics

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_SIGMOID_BIAS = -10.0  # SigLIP's start: almost everything is absent


class AttributeAdapter(L.LightningModule):
    """Trains a LoRA adapter for the attribute of an `AttributeDataModule`.

    Args:
        backbone: an open_clip architecture, or a folder trained here, such as glyph-clip.
        pretrained: tag of open_clip, path of a weight file, or "random"; empty for a folder's own weights.
        r: rank of the adapter.
        lora_alpha: the update is scaled by lora_alpha / r.
        lora_dropout: share of the adapter's inputs dropped in training, in [0, 1).
        target_modules: last parts of the names of the `Linear` modules to adapt.
        blocks: "all", or "last:k" for the last k blocks.
        towers: "vision", or "both" to adapt the text tower too.
        objective: "auto" chooses by the labels: softmax, sigmoid or contrastive.
        keep_weight: weight of the penalty on changed answers about other attributes, at least 0.
        class_balanced: weigh values by the inverse of how often they occur.
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
        self.text = {name: self.clip.encode_values(data.prompts(name)) for name in data.dictionary.names}
        self.prompts = data.prompts(self.attribute)
        labels, members = data.labels(self.attribute), data.members("train")
        label, known = (torch.from_numpy(x[members]) for x in (labels.label, labels.known))
        chosen = self.hparams["objective"]
        self.objective: Objective = (
            choose_objective(label, known, exclusive=data.exclusive) if chosen == "auto" else chosen
        )
        self.class_weight = class_weights(label) if self.hparams["class_balanced"] else None
        if self.objective == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(_SIGMOID_BIAS))
        metrics = attribute_metrics(len(self.values), self.objective)
        self.metrics = nn.ModuleDict({split: metrics.clone() for split in ("val", "test")})
        self.main_metric = "accuracy" if self.objective == "softmax" else "map"
        self.kept = torch.full((len(labels.label), self.text[self.attribute].shape[1]), float("nan"))
        self.data = data
        if self.hparams["compile"]:
            self.clip.adapted.visual.compile()  # type: ignore[operator, union-attr]

    @property
    def backbone(self) -> Backbone:
        """The base model."""
        return self.clip.backbone

    @property
    def value_embedding_VD(self) -> Tensor:  # noqa: N802  (shape letters are in upper case)
        """Unit-norm embeddings of the attribute's values, by the base's text tower."""
        return self.text[self.attribute].to(self.device)

    # --- the model ----------------------------------------------------------------------------

    def encode_image(self, image: Tensor) -> Tensor:
        """Unit-norm embeddings (B, D), float32, of uint8 images (B, 3, H, W)."""
        return self.clip.encode_image(image)

    def text_embedding(self) -> Tensor:
        """Value embeddings (V, D): cached, or through the adapted text tower if `towers` is "both"."""
        if self.lora.towers == "vision":
            return self.value_embedding_VD
        return self.clip.encode_adapted_values(self.prompts)

    def adapted_text(self) -> dict[str, Tensor]:
        """The value embeddings that differ from the base's, by attribute: none if text is frozen."""
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
        image_BD = self.encode_image(batch["image"])
        fit = self._fit(self.score(image_BD), batch)
        self.log("loss/train", fit, prog_bar=True)
        if not self.hparams["keep_weight"]:
            return fit
        others = [text.to(self.device) for name, text in self.text.items() if name != self.attribute]
        keep = keep_loss(image_BD, self._base(batch), others, self.clip.scale)
        self.log("keep/train", keep)
        total: Tensor = fit + self.hparams["keep_weight"] * keep
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Gather the validation metrics."""
        logits_BV = self.logits(batch["image"])
        self.metrics["val"].update(logits_BV, batch["label"], batch["known"])  # type: ignore[operator]
        self.log("loss/val", self._fit(logits_BV, batch), batch_size=len(logits_BV), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log them; `score/val` is the one that chooses the checkpoint."""
        values = self.metrics["val"].compute()  # type: ignore[operator]
        self.log_dict({f"{name}/val": value for name, value in values.items()})
        self.log("score/val", values[self.main_metric], prog_bar=True)
        self.metrics["val"].reset()  # type: ignore[operator]

    def test_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Gather the metrics of one test split."""
        self.metrics["test"].update(self.logits(batch["image"]), batch["label"], batch["known"])  # type: ignore[operator]

    def on_test_epoch_end(self) -> None:
        """Log them over all test splits together; `evaluate` reports each alone, beside the base."""
        values = self.metrics["test"].compute()  # type: ignore[operator]
        self.log_dict({f"{name}/test": value for name, value in values.items()})

    def _fit(self, logits_BV: Tensor, batch: dict[str, Tensor]) -> Tensor:
        weights = None if self.class_weight is None else self.class_weight.to(logits_BV.device)
        if self.objective == "sigmoid":
            return sigmoid_loss(logits_BV, batch["label"], batch["known"], batch["weight"], weights)
        if self.objective == "contrastive":
            return contrastive_loss(logits_BV, batch["label"], batch["weight"])
        return softmax_loss(logits_BV, batch["label"], batch["weight"], weights)

    def _base(self, batch: dict[str, Tensor]) -> Tensor:
        """Base embeddings of a batch; an image is encoded when it is met first, then remembered."""
        index = batch["index"].to(self.kept.device)
        if self.kept[index].isnan().any():
            self.kept[index] = self.clip.encode_base(batch["image"]).to(self.kept)
        return self.kept[index].to(batch["image"].device)

    # --- training -----------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Watch that every trainable tensor receives a gradient."""
        self.guard = GradientGuard(self.named_parameters())

    def on_train_epoch_start(self) -> None:
        """Seed dropout by (seed, epoch, rank), so that a resumed run draws what it would have drawn."""
        assert self.data is not None
        seed = hash((self.data.seed, self.current_epoch, self.global_rank)) % 2**31
        torch.manual_seed(seed)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Fail early where a tensor would never learn."""
        self.guard.observe()

    def configure_optimizers(self) -> Any:
        """AdamW over the trainable tensors, with warm-up and a cosine to zero."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable, lr=self.hparams["lr"], weight_decay=self.hparams["weight_decay"]
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = self.hparams["warmup_steps"]

        def rate(step: int) -> float:
            return min(1.0, (step + 1) / max(1, warmup)) * (0.5 + 0.5 * math.cos(math.pi * min(1, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # --- checkpoints: trainable tensors only ----------------------------------------------------

    @property
    def strict_loading(self) -> bool:
        """A checkpoint holds the trainable tensors only."""
        return False

    @strict_loading.setter
    def strict_loading(self, value: bool) -> None:
        """Lightning sets its own default; ours stays."""

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The trainable tensors."""
        trainable = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {name: value for name, value in super().state_dict(*args, **kwargs).items() if name in trainable}
