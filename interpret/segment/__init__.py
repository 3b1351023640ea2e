"""Heat maps against masks: segmentation by the literature's protocols, and localization.

threshold      where the object begins in a map
scores         pixel accuracy, mean intersection over union, mean average precision
localization   pointing game, intersection over union and energy of each image
protocol       how image and mask come to the model's square: "aligned" or "paper"
cases          photographs with masks, from folders or ImageNet-Segmentation
run            photographs with masks through a model
glyphs         all methods on drawn objects, whose masks are known exactly
"""

from __future__ import annotations

from interpret.segment.cases import Case, cases_of_files, cases_of_records
from interpret.segment.glyphs import Found, localization_table, localize_glyphs
from interpret.segment.localization import LocalizationScores, localization
from interpret.segment.protocol import Protocol, check_protocol, prepare
from interpret.segment.run import segment
from interpret.segment.scores import SegmentationScores
from interpret.segment.threshold import Threshold, above

__all__ = [
    "Case",
    "Found",
    "LocalizationScores",
    "Protocol",
    "SegmentationScores",
    "Threshold",
    "above",
    "cases_of_files",
    "cases_of_records",
    "check_protocol",
    "localization",
    "localization_table",
    "localize_glyphs",
    "prepare",
    "segment",
]
