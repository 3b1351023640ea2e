"""Pictures on disk -> arrays of squares: decoding, crops, and a cache read in their place."""

from datamodules.images.cache import cached, chosen, crop_draws, decoded_once, mapped, write_pixels
from datamodules.images.decode import Boxes, Pixels, decode, decode_boxes, square
from datamodules.images.masks import Mask, MaskedFile, check_mask_size, masked_files

__all__ = [
    "Boxes",
    "Mask",
    "MaskedFile",
    "Pixels",
    "cached",
    "check_mask_size",
    "chosen",
    "crop_draws",
    "decode",
    "decode_boxes",
    "decoded_once",
    "mapped",
    "masked_files",
    "square",
    "write_pixels",
]
