"""Words with their evidence -> dictionary."""

from datamodules.dictionary.build.pipeline import build

__all__ = ["build"]
