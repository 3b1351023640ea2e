"""Pictures on disk -> arrays of squares: decoding, crops, and a cache read in their place."""

from datamodules.images.cache import cached, chosen, crop_draws, decoded_once, mapped, write_pixels
from datamodules.images.decode import Boxes, Pixels, decode, decode_boxes, square

__all__ = [
    "Boxes",
    "Pixels",
    "cached",
    "chosen",
    "crop_draws",
    "decode",
    "decode_boxes",
    "decoded_once",
    "mapped",
    "square",
    "write_pixels",
]
