"""Where a dictionary's words come from: sentences, or words of no stated type."""

from datamodules.dictionary.fronts.captions import from_captions
from datamodules.dictionary.fronts.front import Front, Word
from datamodules.dictionary.fronts.mentions import from_mentions

__all__ = ["Front", "Word", "from_captions", "from_mentions"]
