"""Caltech-UCSD Birds-200-2011: 11,788 photographs of 200 species with 312 labels each.

`ROOT` is `CUB_200_2011`, or the folder that it lies in; the official archive puts `attributes.txt`
beside it. One item an image: the bird in its bounding box.

    images.txt               4 001.Black_footed_Albatross/Black_Footed_Albatross_0074_59.jpg
    image_class_labels.txt   4 1                  bounding_boxes.txt   4 112.0 90.0 255.0 242.0
    attributes.txt           1 has_bill_shape::curved_(up_or_down)
    attributes/image_attribute_labels.txt   4 1 0 3 27.7   image, attribute, shown, certainty, time
    parts/parts.txt          1 back                 parts/part_locs.txt  4 1 221.0 179.0 1

The people who labelled said how sure they were: a guess weighs 1/3, "probably" 2/3, "definitely" 1;
what they could not see is unknown. Without that file the labels are those of the species. Where the
birds' parts are is not needed for training: `read_parts` reads it when it is asked for.
"""

from datamodules.sources.cub.about import ABOUT
from datamodules.sources.cub.parts import Parts, facts, read_parts
from datamodules.sources.cub.source import open_source

__all__ = ["ABOUT", "Parts", "facts", "open_source", "read_parts"]
