"""Visual Genome: objects in boxes, with words that people said of them; of no stated type.

    ROOT/attributes.json            [{"image_id": 1, "attributes": [{"object_id": 5, "x": 421, "y":
                                    91, "w": 79, "h": 339, "names": ["clock"], "synsets":
                                    ["clock.n.01"], "attributes": ["green", "tall"]}, ...]}, ...]
    ROOT/region_descriptions.json   optional: [{"id": 1, "regions": [{"phrase": "a clock"}, ...]}]
    ROOT/objects.json               optional: names of objects that have none above
    ROOT/VG_100K, ROOT/VG_100K_2    the images, 1.jpg in either
    ROOT/{train,val,test}.txt       optional: published lists, "VG_100K/1.jpg ..." or "1" a line

In place of attributes.json, a compact table is read too: `Attributes.txt`, a line an attribute,
"image,x,y,width,height,attribute".

An item is an object's box, if the object has a word; its attribute is "", since "green", "wooden"
and "sidewalk" stand side by side. So the dictionary finds their types; the phrases of the regions
are captions, which it can be built from too. Words and names are lower-case with single blanks, and
a word said twice of one box counts once. A box without area is left out.

The official release has no splits. Without published lists, the hash of the image's number puts 80
images of 100 into train, 10 into validation and 10 into test. With them, images in no list are left
out. The annotations open without images; only `pixels` needs them.
"""

from datamodules.sources.visual_genome.about import ABOUT
from datamodules.sources.visual_genome.source import open_source

__all__ = ["ABOUT", "open_source"]
