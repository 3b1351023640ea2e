"""`python -m lightning_modules base`: pre-train the small CLIP that ships with the project."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from datamodules.captions import CaptionDataModule
from lightning_modules.contrastive import ContrastivePretraining


class BaseCLI(LightningCLI):
    """Pre-training: one model class, one data class, no subcommand."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Where the weights go, and a checkpoint to go on from."""
        parser.add_argument("--out", type=Path, default=Path("artifacts/base/glyph-clip"), help="folder to write")
        parser.add_argument("--ckpt_path", type=str, default=None, help="checkpoint to resume from")


def main(args: ArgsType = None) -> None:
    """Train, then write the open_clip `local-dir` folder with its recipe and log."""
    runs = Path("runs/base")
    loggers = [TensorBoardLogger(runs, name="glyph-clip"), CSVLogger(runs, name="glyph-clip-csv")]
    keep = ModelCheckpoint(every_n_train_steps=250, save_top_k=-1, filename="{step}", save_last=True)
    cli = BaseCLI(
        ContrastivePretraining,
        CaptionDataModule,
        run=False,
        args=args,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        save_config_callback=None,
        parser_kwargs={"allow_abbrev": False},
        trainer_defaults={"logger": loggers, "callbacks": [keep, LearningRateMonitor()]},
    )
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config["ckpt_path"])


if __name__ == "__main__":
    main()
