"""The first blocks of an image tower, kept as they are while the last ones learn."""

from composition.prefix.cut_model import CutModel
from composition.prefix.kept import learning
from composition.prefix.prefix import Prefix

__all__ = ["CutModel", "Prefix", "learning"]
