"""Towers that can be taken apart exactly, and how."""

from interpret.towers.affine import Affine, affine_of
from interpret.towers.find import image_tower, text_tower
from interpret.towers.rows import Rows
from interpret.towers.tower import Layer, Tower, UnsupportedTowerError, gain

__all__ = [
    "Affine",
    "Layer",
    "Rows",
    "Tower",
    "UnsupportedTowerError",
    "affine_of",
    "gain",
    "image_tower",
    "text_tower",
]
