"""Compositions on disk: coefficients, an ordinary PEFT adapter, the merged model, a card."""

from composition.export.folded import composed_delta
from composition.export.load import LoadedComposition, load_composition, open_delta
from composition.export.recompress import Recompressed, recompress
from composition.export.schema import CompositionCard, CompositionFacts
from composition.export.store import composition_folder, read_card, save_composition

__all__ = [
    "CompositionCard",
    "CompositionFacts",
    "LoadedComposition",
    "Recompressed",
    "composed_delta",
    "composition_folder",
    "load_composition",
    "open_delta",
    "read_card",
    "recompress",
    "save_composition",
]
