"""Where Visual Genome comes from, and the names of its files."""

from __future__ import annotations

from datamodules.sources.about import About, Download, Files

ATTRIBUTES, REGIONS, OBJECTS, COMPACT = (
    "attributes.json", "region_descriptions.json", "objects.json", "Attributes.txt",
)  # fmt: skip
FOLDERS = ("VG_100K", "VG_100K_2")
LISTS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}

_SITE = "https://homes.cs.washington.edu/~ranjay/visualgenome"
_IMAGES = "https://cs.stanford.edu/people/rak248/VG_100K_2"
ABOUT = About(
    name="visual_genome",
    title="Visual Genome",
    homepage=f"{_SITE}/index.html",
    licence="annotations CC BY 4.0; the images keep the licences of their owners",
    citation="Krishna et al., Visual Genome: Connecting Language and Vision Using Crowdsourced "
    "Dense Image Annotations, IJCV 2017",
    get=f"Get attributes.json, region_descriptions.json and both image archives from {_SITE}/"
    "api.html and unpack them there.",
    files=(
        Files(ATTRIBUTES, 1, "objects and their attributes"),
        Files(REGIONS, 1, "phrases about regions", required=False),
        Files(OBJECTS, 1, "names of objects", required=False),
        Files("VG_100K*/*.jpg", 108_249, "images"),
    ),
    downloads=(
        Download(f"{_SITE}/data/dataset/attributes.json.zip", "attributes.json.zip"),
        Download(
            f"{_SITE}/data/dataset/region_descriptions.json.zip", "region_descriptions.json.zip"
        ),
        Download(f"{_IMAGES}/images.zip", "images.zip"),
        Download(f"{_IMAGES}/images2.zip", "images2.zip"),
    ),
)
