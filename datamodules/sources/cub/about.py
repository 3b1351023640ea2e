"""What the data set is, and how its values read in English."""

from __future__ import annotations

from datamodules.sources.about import About, Download, Files

_FILES = (
    Files("**/images/*/*.jpg", 11_788, "the photographs"),
    Files("**/images.txt", 1, "names of the images",
          sha256="e1cfc5ed1f4bd1b838040784b6f75c44f7a25d9b31707a3adab49ec694618c1f"),
    Files("**/classes.txt", 1, "names of the species",
          sha256="66a884364a73edde6c71eeb7fd5d8bb791e80979b64759bd6a5d5d209bdc02ba"),
    Files("**/image_class_labels.txt", 1, "species of the images",
          sha256="e9df8c96d897994a245746fe2c98914b9b31f5342bddc6e8b06bdfbf45e49b02"),
    Files("**/train_test_split.txt", 1, "the official split",
          sha256="8bbbfcc09b4d3c9c6e3e40c9874bd863eb6658f4f456e472df1b33d3403d2600"),
    Files("**/bounding_boxes.txt", 1, "where the birds are",
          sha256="c19d9f096c15564793408e5ba054b8d715a6805819d98f037c977f369ef4abd3"),
    Files("**/attributes.txt", 1, "names of the attributes; may lie beside ROOT", False,
          sha256="d5b158c197a8548071114150b2384c55cbd8881b32e57816c6ccc1437e946a1a"),
    Files("**/attributes/image_attribute_labels.txt", 1, "attributes of the images", False),
    Files("**/attributes/class_attribute_labels_continuous.txt", 1, "of the species", False,
          sha256="2f253a4be38f8c55f30d8456e845edf3d45bd6349504b4401ef464b78a4647bb"),
    Files("**/parts/parts.txt", 1, "names of the parts", False,
          sha256="411a4ab5c7622c1b93bf84dd1e9f69a8a2feaecd79753ed13cfc27ec0c2aeef0"),
    Files("**/parts/part_locs.txt", 1, "where the parts are", False,
          sha256="5be41e1e1e9165ff19632da203e30384fe8a359347c545ffc12ab99155b0415f"),
)  # fmt: skip
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
    files=_FILES,
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
