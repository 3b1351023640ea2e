"""Heat maps of images, for a text or without one, by the decomposition and by all its baselines.

front           `heat_map(tower, images, texts, method=...)`
maps            texts against each other; from patches to pixels in [0, 1]
figure          images and their maps as a picture

All methods work on the model as it is, split or not, with adapters or without, and on batches.
"""

from __future__ import annotations

from interpret.heatmap.chefer import chefer
from interpret.heatmap.decomposition import decomposition
from interpret.heatmap.figure import heat_figure
from interpret.heatmap.front import METHODS, WITHOUT_TEXT, heat_map
from interpret.heatmap.gradcam import gradcam
from interpret.heatmap.legrad import legrad
from interpret.heatmap.maps import contrast, enlarge, stretch
from interpret.heatmap.maskclip import maskclip
from interpret.heatmap.raw_attention import raw_attention
from interpret.heatmap.rollout import rollout

__all__ = [
    "METHODS",
    "WITHOUT_TEXT",
    "chefer",
    "contrast",
    "decomposition",
    "enlarge",
    "gradcam",
    "heat_figure",
    "heat_map",
    "legrad",
    "maskclip",
    "raw_attention",
    "rollout",
    "stretch",
]
