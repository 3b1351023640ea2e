"""Waterbirds: composites in the official layout, the recipe, the lists, and the official table."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from datamodules.annotations import Annotation, annotations_of
from datamodules.errors import InputError
from datamodules.sources.glyphs.draw import draw, mask
from datamodules.sources.glyphs.world import sample
from datamodules.sources.waterbirds import open_source
from interpret.heads.waterbirds import (
    LISTED,
    always_ablated,
    cue_labels,
    listed_heads,
    study_waterbirds,
)
from interpret.parts import Part, PartScores, heads, score_parts
from interpret.towers import image_tower
from tests.compose_samples import clip
from tests.part_samples import truth

DATA = os.environ.get("ASPECTRA_DATA")


@pytest.fixture(scope="module")
def composites(tmp_path_factory):
    """Crescents and stars, cut out and pasted onto grass or waves, in the official layout."""
    root = tmp_path_factory.mktemp("waterbirds")
    scenes = sample(0, "birds", np.arange(900))
    scenes = scenes[np.flatnonzero(np.isin(scenes.shape, (3, 6)))[:96]]
    birds, cover = draw(scenes), mask(scenes)[..., None]
    wave = np.sin(np.arange(64) / 3)[:, None, None]
    rows = ["img_id,img_filename,y,split,place,place_filename"]
    for n in range(96):
        y, split = int(scenes.shape[n] == 3), n % 3
        place = y if split == 0 and n % 10 else n // 3 % 2
        color = np.array([[40, 120, 40], [30, 60, 160]][place]) + 20 * wave
        picture = birds[n] * cover[n] + np.broadcast_to(color, (64, 64, 3)) * (1 - cover[n])
        name = f"{1 + y:03d}.{('Land', 'Sea')[y]}_bird/{n}.jpg"
        (root / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(root / name)
        scene = ("/f/forest/broadleaf/1.jpg", "/o/ocean/2.jpg")[place]
        rows.append(f"{n + 1},{name},{y},{split},{place},{scene}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def test_composites_are_read_and_studied_split_by_split(composites):
    source = open_source(composites)
    raw = list(csv.DictReader((composites / "metadata.csv").open()))
    model = clip()
    draws = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
    tables = {}
    for split in ("train", "validation", "test"):
        items = source.annotations.members(split)
        labels = cue_labels(source.annotations, items)
        mine = [row for row in raw if ("train", "validation", "test")[int(row["split"])] == split]
        assert labels.label.tolist() == [int(row["y"]) for row in mine]
        assert labels.cue.tolist() == [int(row["place"]) for row in mine]
        pixels = torch.tensor(source.pixels(16, items)).permute(0, 3, 1, 2) / 255 - 0.5
        assert pixels[labels.cue == 1, 2].mean() > pixels[labels.cue == 0, 2].mean()  # bluer
        texts = F.normalize(draws, dim=-1)
        tables[split] = (
            score_parts(image_tower(model), pixels.split(16), texts, ["landbird", "waterbird"]),
            labels,
        )
    study = study_waterbirds("tiny", tables["train"][0], tables["validation"], tables["test"])
    assert study.listed is None
    always = always_ablated(tables["train"][0].parts)
    assert [str(part) for part in always] == ["mlp 0", "mlp 1", "embedding"]
    scores, labels = tables["test"]
    means = tables["train"][0].values.mean(axis=0)
    left = scores.values.copy()
    for part in (*always, *study.choice.parts):
        left[:, scores.parts.index(part)] = means[scores.parts.index(part)]
    right = Counter()
    for y, u, ok in zip(
        labels.label, labels.cue, left.sum(axis=1).argmax(axis=1) == labels.label, strict=True
    ):
        right[y, u, bool(ok)] += 1
    shares = [
        right[y, u, True] / (right[y, u, True] + right[y, u, False]) for y in (0, 1) for u in (0, 1)
    ]
    assert study.automatic.after.worst_group == pytest.approx(min(shares))
    with pytest.raises(InputError, match="a background"):
        cue_labels(_without_places(composites), np.arange(4))


def _without_places(root):
    rows = open_source(root).annotations.rows
    kept = [row for row in rows if row.attribute == "bird type"][:4]
    return annotations_of([Annotation(r.image, r.split, r.attribute, r.value) for r in kept])


def test_the_listed_heads_are_ablated_by_the_papers_recipe():
    sizes = {"ViT-B-16": (12, 12), "ViT-L-14": (24, 16), "ViT-H-14": (32, 16)}
    for name, groups in LISTED.items():
        layers, width = sizes[name]
        found = listed_heads(name)
        assert set(found) == {Part("head", *pair) for group in groups.values() for pair in group}
        assert len(found) == len(set(found))
        assert {part.layer for part in found} <= set(range(layers - 4, layers))
        assert max(part.head for part in found) < width
    assert {name: len(listed_heads(name)) for name in LISTED} == {
        "ViT-B-16": 7, "ViT-L-14": 15, "ViT-H-14": 9,
    }  # fmt: skip
    assert listed_heads("ViT-B-32") == ()
    all_heads = [Part("head", layer, head) for layer in range(12) for head in range(12)]
    parts = (*all_heads, *(Part("mlp", layer) for layer in range(12)), Part("embedding"))
    kept = set(parts) - set(always_ablated(parts))
    assert {part.layer for part in heads(sorted(kept))} == {8, 9, 10, 11}
    assert all(part.kind == "head" for part in kept)


def test_a_backbone_with_a_list_is_judged_by_it_too():
    parts = tuple(Part("head", layer, head) for layer in range(12) for head in range(12))
    blamed = [parts.index(part) for part in listed_heads("ViT-B-16")]

    def drawn(seed, agreement):
        labels = truth(seed, 400, agreement)
        values = 0.02 * np.random.default_rng(seed).normal(size=(400, len(parts), 2))
        values[np.arange(400), parts.index(Part("head", 11, 5)), labels.label] += 1
        for place in blamed:
            values[np.arange(400), place, labels.cue] += 0.2
        return PartScores(values, parts, ("landbird", "waterbird")), labels

    study = study_waterbirds("ViT-B-16", drawn(0, 0.95)[0], drawn(1, 0.95), drawn(2, 0.5))
    assert study.listed.parts == listed_heads("ViT-B-16")
    for removal in (study.listed, study.automatic):
        assert removal.before.worst_group < 0.2
        assert removal.after.worst_group > 0.95
    assert set(study.choice.parts) <= set(study.listed.parts)


@pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")
def test_the_official_groups():
    root = Path(DATA) / "waterbird_complete95_forest2water2"
    annotations = open_source(root).annotations
    train, test = (cue_labels(annotations, annotations.members(s)) for s in ("train", "test"))
    assert np.bincount(test.group).tolist() == [2255, 2255, 642, 642]  # as published
    assert (train.label == train.cue).mean() == pytest.approx(0.95, abs=0.0005)
