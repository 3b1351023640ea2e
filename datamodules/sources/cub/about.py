"""What the data set is, and how its values read in English."""

from __future__ import annotations

from datamodules.sources.about import About, Download, Files

ABOUT = About(
    name="cub",
    title="Caltech-UCSD Birds-200-2011",
    homepage="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    licence="non-commercial research and education; the photographs belong to their owners",
    citation=(
        "C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie. The Caltech-UCSD Birds-200-2011 "
        "Dataset. Technical Report CNS-TR-2011-001, California Institute of Technology, 2011."
    ),
    get=(
        "Unpack CUB_200_2011.tgz of https://data.caltech.edu/records/65de6-vp158 and set ROOT to "
        "the folder CUB_200_2011."
    ),
    files=(
        Files("**/images/*/*.jpg", 11_788, "the photographs"),
        Files("**/images.txt", 1, "names of the images"),
        Files("**/classes.txt", 1, "names of the species"),
        Files("**/image_class_labels.txt", 1, "species of the images"),
        Files("**/train_test_split.txt", 1, "the official split"),
        Files("**/bounding_boxes.txt", 1, "where the birds are"),
        Files("**/attributes.txt", 1, "names of the attributes; may lie beside ROOT", False),
        Files("**/attributes/image_attribute_labels.txt", 1, "attributes of the images", False),
        Files("**/attributes/class_attribute_labels_continuous.txt", 1, "of the species", False),
    ),
    downloads=(
        Download(
            "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
            "CUB_200_2011.tgz",
            "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
            1_150_585_339,
        ),
    ),
    class_attribute="species",
)


# How a value reads in English, by attribute; where it says "{}", the value takes that place.
_PARTS = {
    "back": "a {} back", "bill": "a {} bill", "breast": "a {} breast", "belly": "a {} belly",
    "crown": "a {} crown", "eye": "{} eyes", "forehead": "a {} forehead", "leg": "{} legs",
    "nape": "a {} nape", "tail": "a {} tail", "throat": "a {} throat",
    "under tail": "a tail that is {} below", "underparts": "{} underparts",
    "upper tail": "a tail that is {} above", "upperparts": "{} upperparts", "wing": "{} wings",
}  # fmt: skip
_PHRASES = {
    **{f"{part} color": phrase for part, phrase in _PARTS.items() if part != "tail"},
    **{f"{part} pattern": _PARTS[part] for part in ("back", "belly", "breast", "tail", "wing")},
    "head pattern": "a {} head pattern", "bill shape": "a {} bill",
    "bill length": "a bill {}", "tail shape": "a {}", "wing shape": "{}",
}  # fmt: skip
TEMPLATES = {
    **{
        name: (f"a bird with {it}", f"a photo of a bird with {it}") for name, it in _PHRASES.items()
    },
    **dict.fromkeys(("color", "size", "shape"), ("a {} bird", "a photo of a {} bird")),
    "species": ("a {}", "a photo of a {}, a type of bird"),
}
