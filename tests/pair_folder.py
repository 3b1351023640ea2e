"""A folder of gray pictures with a color and a shape each, and its dictionary."""

from PIL import Image

from datamodules.combinations import CombinationDataModule
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.given import words_hash
from datamodules.sources import load_source

CAPTION = {"shape": "a red {}", "color": "a {} star", "texture": "a {} star", "size": "a {} star"}


def entry(name, values, *, exclusive=True, templates=()):
    """An attribute whose captions use shapes as nouns and all others as adjectives."""
    caption = CAPTION.get(name, "{}")
    found = [Value(f"v_{v}", v, 9, examples=(caption.format(v),)) for v in values]
    return Attribute(name, tuple(found), exclusive=exclusive, templates=templates)


BOTH = (entry("color", ["red", "orange"]), entry("shape", ["star", "arrow"]))


def rows_of(*items, attributes=("color", "shape")):
    """CSV rows of (image, split, values of each attribute); "" leaves the attribute out."""
    return "".join(
        f"{image}.png,{split},{attribute},{value},1\n"
        for image, split, *values in items
        for attribute, shown in zip(attributes, values, strict=True)
        for value in shown.split()
    )


HEADER = "image,split,attribute,value,label\n"


def write_pairs(folder, rows, attributes=BOTH, header=HEADER):
    """Write pictures, annotations and a dictionary; options to open them with."""
    (folder / "annotations.csv").write_text(header + rows)
    source = load_source("folder", folder)
    for number, image in enumerate(source.annotations.images):
        Image.new("L", (12, 12), number).save(folder / image)
    path = folder / "dictionary.json"
    Dictionary("folder", words_hash(source), tuple(attributes)).save(path)
    return {"source": "folder", "root": folder, "dictionary": path}


def open_pairs(
    folder, rows, attributes=BOTH, names=("color", "shape"), *, header=HEADER, **options
):
    """Write them and set the data module up."""
    written = write_pairs(folder, rows, attributes, header)
    data = CombinationDataModule(list(names), image_size=8, **written, **options)
    data.prepare_data()
    data.setup()
    return data
