"""C-GQA: crops of Visual Genome's images, each an object and one word for it, "tan animal".

    ROOT/metadata_compositional-split-natural.t7    which image shows which pair; see `pair_records`
                                                    (a table *metadata*.csv is read too)
    ROOT/compositional-split-natural/*_pairs.txt    the pairs; `datamodules.splits` reads them
    ROOT/images/*.jpg                               the crops

An item is an image; its object is the noun. The words are colors, materials, states and more, side
by side: their attribute is "", and the dictionary finds their types.
Splits are those of the metadata; where these have no validation images, a tenth of train is
validation. The annotations open without images.
"""

from __future__ import annotations

from pathlib import Path

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Download, Files
from datamodules.sources.held_out import with_validation
from datamodules.sources.pair_records import CSV, TORCH, find_records, plain_name, read_records
from datamodules.sources.table_source import TableSource

_ARCHIVE = "https://s3.mlcloud.uni-tuebingen.de/czsl/cgqa.zip"
ABOUT = About(
    name="cgqa",
    title="C-GQA",
    homepage="https://github.com/ExplainableML/czsl",
    licence="CC BY 4.0, as Visual Genome and GQA",
    citation="Naeem et al., Learning Graph Embeddings for Compositional Zero-shot Learning, CVPR "
    "2021",
    get=f"Get {_ARCHIVE} and unpack it there.",
    files=(
        Files("metadata_compositional-split-natural.t7", 1, "images and their pairs", False),
        Files(
            "compositional-split-natural/train_pairs.txt",
            1,
            "pairs of train",
            False,
            sha256="b389a853f116f73f5a2f96aa070be3bb0844eda776530217fd518aca5b37f022",
        ),
        Files(
            "compositional-split-natural/val_pairs.txt",
            1,
            "pairs of validation",
            False,
            sha256="298d9669a2b3890200d15d5789ae5e724e59460815b6d8c9af53b12d0b66e479",
        ),
        Files(
            "compositional-split-natural/test_pairs.txt",
            1,
            "pairs of test",
            False,
            sha256="b5203bcc4125458ced6e4d20d786b54cf4a6dd117998228bb8abd85a7f252682",
        ),
        Files("images/*.jpg", 39_298, "images"),
    ),
    downloads=(Download(_ARCHIVE, "cgqa.zip"),),
)


def open_source(root: Path) -> TableSource:
    """Read the images' pairs and splits.

    Raises:
        InputError: if there are none, or a record is broken; the message names it.
    """
    path = find_records(root)
    if path is None:
        raise InputError(
            f"expected the images and their pairs at {root / TORCH[0]} (or {CSV} there), found no "
            f"such file. {ABOUT.get}"
        )
    records = read_records(path)
    held_out = any(record.split == "validation" for record in records)
    builder = Builder()
    for record in records:
        value, thing = plain_name(record.value), plain_name(record.object)
        split = record.split if held_out else with_validation(record.image, record.split)
        builder.add(record.image, split, "", value, object=thing)
    return TableSource(ABOUT, root, builder.table(), root / "images", states_types=False)
