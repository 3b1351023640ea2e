"""Exact decomposition of an embedding into layers, heads and tokens."""

from interpret.decompose.codes import CONVENTIONS, Convention, Readout, codes, readout
from interpret.decompose.decomposition import Decomposition, decompose
from interpret.decompose.tokens import position_scores, token_codes, token_scores
from interpret.decompose.trace import LayerTrace, Trace, trace

__all__ = [
    "CONVENTIONS",
    "Convention",
    "Decomposition",
    "LayerTrace",
    "Readout",
    "Trace",
    "codes",
    "decompose",
    "position_scores",
    "readout",
    "token_codes",
    "token_scores",
    "trace",
]
