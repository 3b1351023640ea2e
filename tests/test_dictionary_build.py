"""The builder on the captions of glyphs: every value found from the text, and nothing else."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import datamodules.sources
from datamodules.__main__ import main
from datamodules.annotations import Annotation, annotations_of
from datamodules.dictionary import Dictionary, build_dictionary
from datamodules.dictionary.anchoring.anchors import type_words
from datamodules.dictionary.build.adopt import adopt_by_cluster
from datamodules.dictionary.fronts import from_captions
from datamodules.dictionary.scoring.comparison import reference_scores
from datamodules.dictionary.settings import Settings, load_types
from datamodules.files import json_lines
from datamodules.sources.glyphs.captions import FILLERS, captions
from datamodules.sources.glyphs.world import ATTRIBUTES, sample

TRUTH = {value: name for name, values in ATTRIBUTES.items() for value in values}
FRAME = {*FILLERS, "picture", "drawing", "image", "background", "mottled background"}


def glyph_captions(seed, count):
    index = np.arange(count)
    return captions(sample(seed, "train", index), seed=seed, stream="train", index=index)


@cache
def built(seed=0, count=1500, mode="anchored"):
    return build_dictionary(
        "glyphs", glyph_captions(seed, count), data_hash="x", settings=Settings(mode=mode)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_types_agree_with_the_world_on_any_sample(seed):
    scores = reference_scores(built(seed), TRUTH)
    assert scores["ari"] >= 0.9
    assert scores["accuracy"] >= 0.95
    assert scores["coverage"] >= 0.95


def test_most_values_are_found_without_being_seeds():
    seeds = {seed for kind in load_types() for seed in kind.seeds}
    found = {value.text for a in built().attributes for value in a.values} - seeds
    assert found == set(TRUTH) - seeds
    assert len(found) >= 12


def test_words_of_the_frame_are_not_values():
    dictionary = built()
    values = {text for attribute in dictionary.attributes for text in attribute.texts}
    assert not values & FRAME
    left_out = {word.text: word for word in dictionary.unassigned}
    assert set(FILLERS) <= set(left_out)
    for filler in FILLERS:
        assert left_out[filler].reason == "says nothing about the image"
        assert left_out[filler].lift == pytest.approx(1, abs=0.25)


def test_attributes_are_selected_exclusive_and_in_the_order_of_the_types():
    dictionary = built()
    assert dictionary.names == ("color", "shape", "texture", "size")
    assert all(attribute.exclusive for attribute in dictionary.attributes)
    assert all(attribute.overlap == 0 for attribute in dictionary.attributes)
    for attribute in dictionary.attributes:
        counts = [value.count for value in attribute.values]
        assert counts == sorted(counts, reverse=True)
        assert all(value.text in value.examples[1] for value in attribute.values)


def test_two_objects_an_image_make_the_attributes_not_exclusive():
    mixed = [
        [f"{one} and {other}" for one, other in zip(left, right, strict=True)]
        for left, right in zip(glyph_captions(0, 3000), glyph_captions(1, 3000), strict=True)
    ]
    dictionary = build_dictionary("pairs", mixed, data_hash="x")
    assert not any(attribute.exclusive for attribute in dictionary.attributes)
    assert reference_scores(dictionary, TRUTH)["ari"] >= 0.8  # word vectors alone carry it here


def test_words_of_no_known_type_abstain_and_cluster_among_themselves():
    rng = np.random.default_rng(0)
    animals, moods = ("cat", "dog", "bird", "horse", "cow"), ("proud", "shy", "angry", "calm")

    def with_animal(image):
        end = f" near a {rng.choice(moods)} {rng.choice(animals)}"
        return [text + end if rng.random() < 0.4 else text for text in image]

    given = [with_animal(image) for image in glyph_captions(0, 1500)]
    dictionary = build_dictionary("zoo", given, data_hash="x")
    group = {word.text: word.group for word in dictionary.unassigned}
    assert len({group[word] for word in animals}) == 1
    assert len({group[word] for word in moods}) == 1
    assert {group["cat"], group["shy"]} == {0, 1}
    assert reference_scores(dictionary, TRUTH)["ari"] >= 0.9


def test_inflected_words_are_proposed_and_not_merged():
    rng = np.random.default_rng(0)
    varied = [
        [text.replace("striped", "with stripes") if rng.random() < 0.3 else text for text in image]
        for image in glyph_captions(0, 1500)
    ]
    dictionary = build_dictionary("glyphs", varied, data_hash="x")
    (proposal,) = dictionary.proposals
    assert proposal.words == ("striped", "stripes")
    assert proposal.lemma == "stripe"
    assert proposal.shared_images > 50
    assert dictionary.find("stripes")[1].text == "stripes"
    assert not dictionary.attribute("texture").exclusive  # two words for one value do meet


def test_pure_hdbscan_mode_is_reported_beside_the_anchored_one():
    anchored, pure = built(), built(mode="hdbscan")
    assert pure.labels_ == anchored.labels_
    assert set(anchored.labels_) == set(TRUTH)
    assert anchored.scores["hdbscan"] == pure.scores["hdbscan"]
    assert pure.settings["mode"] == "hdbscan"
    texts = [text for attribute in pure.attributes for text in attribute.texts]
    assert len(texts) == sum(label >= 0 for label in pure.labels_.values())
    assert all(v.evidence == "cluster" for attribute in pure.attributes for v in attribute.values)
    scores = reference_scores(anchored, TRUTH)
    assert scores["ari"] >= scores["hdbscan_ari"]


def test_single_captions_are_read_but_cannot_tell_the_frame():
    flat = [text for image in glyph_captions(0, 1500) for text in image]
    dictionary = build_dictionary("glyphs", flat, data_hash="x")
    assert dictionary.scores["captions_compared"] is False
    assert all(word.lift is None for word in dictionary.unassigned)
    assert reference_scores(dictionary, TRUTH)["ari"] >= 0.9
    assert set(reference_scores(dictionary, TRUTH)["extra"]) <= FRAME


def test_a_kind_without_seeds_in_the_captions_stays_out():
    dictionary = built()
    found = {kind.name: kind.found for kind in dictionary.types}
    assert found["material"] == ()
    assert "material" not in [attribute.name for attribute in dictionary.attributes]


def test_negatives_keep_words_of_captions_out_of_a_type():
    told, types = glyph_captions(0, 400), load_types()
    types = tuple(
        replace(each, negatives=("solid", "unheard of")) if each.name == "texture" else each
        for each in types
    )
    plain = build_dictionary("glyphs", told, data_hash="x")
    pushed = build_dictionary("glyphs", told, data_hash="x", settings=Settings(types=types))
    front = from_captions(told, Settings(), seed=0)
    rows = dict(zip(front.keys(), front.features_CD, strict=True))
    seeds = [rows[seed] for kind in types if kind.name == "texture" for seed in kind.seeds
             if seed in rows]  # fmt: skip
    expected = {
        text
        for text in plain.attribute("texture").texts
        if max(rows[text] @ seed for seed in seeds) >= rows[text] @ rows["solid"]
    }
    assert set(pushed.attribute("texture").texts) == expected
    assert {"striped", "dotted"} <= expected < set(plain.attribute("texture").texts)
    assert "solid" not in expected
    for name in ("color", "shape", "size"):
        assert set(plain.attribute(name).texts) <= set(pushed.attribute(name).texts)


def test_a_cluster_gives_no_type_to_a_word_that_is_barred_from_it():
    angles = np.radians([0, 5, 90, 95, 48, 47])
    features_CD = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    typed = type_words(features_CD, [[0, 1], [2, 3]], nearest=2, min_score=0.35, min_margin=0.1)
    assert typed.label_C.tolist() == [0, 0, 1, 1, -1, -1]
    labels_C = np.array([0, 0, 1, 1, 0, 0])
    barred_CT = np.zeros((6, 2), dtype=bool)
    assert adopt_by_cluster(typed, labels_C, barred_CT).label_C.tolist() == [0, 0, 1, 1, 0, 0]
    barred_CT[4, 0] = True
    adopted = adopt_by_cluster(typed, labels_C, barred_CT)
    assert adopted.label_C.tolist() == [0, 0, 1, 1, -1, 0]
    assert adopted.evidence_C == ("seed", "seed", "seed", "seed", "", "cluster")


def test_rebuild_is_byte_identical_under_another_hash_seed(tmp_path):
    given = glyph_captions(0, 200)
    (tmp_path / "captions.json").write_text(json.dumps(given))
    script = (
        "import json, sys; from pathlib import Path; from datamodules.dictionary import *\n"
        "build_dictionary('glyphs', json.loads(Path(sys.argv[1]).read_text()), data_hash='x')"
        ".save(Path(sys.argv[2]))"
    )
    build_dictionary("glyphs", given, data_hash="x").save(tmp_path / "here.json")
    first = (tmp_path / "here.json").read_bytes()
    build_dictionary("glyphs", given, data_hash="x").save(tmp_path / "here.json")
    assert (tmp_path / "here.json").read_bytes() == first
    arguments = [str(tmp_path / "captions.json"), str(tmp_path / "there.json")]
    subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert (tmp_path / "there.json").read_bytes() == first


def test_importing_the_schema_loads_the_standard_library_only():
    script = (
        "import sys; from datamodules.dictionary import Dictionary\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{script}"],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    ).stdout
    assert not {"numpy", "yaml", "gensim", "spacy", "hdbscan", "sklearn", "torch"} & set(
        json.loads(loaded.replace("'", '"'))
    )


def test_build_writes_the_file_and_its_page_and_names_reads_them(tmp_path, monkeypatch, capsys):
    given = glyph_captions(0, 300)
    asked = []

    def load_source(name, root):
        asked.append((name, root))
        return SimpleNamespace(
            captions=lambda split: given if split == "train" else [],
            states_types=False,
            annotations=annotations_of([Annotation("a", "train", "color", "red")]),
        )

    monkeypatch.setattr(datamodules.sources, "load_source", load_source, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["dictionary", "build", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    path = Path("artifacts/dictionary/glyphs.json")
    dictionary = Dictionary.load(path, source="glyphs")
    reported = json.loads(lines[-1])
    assert reported["paths"] == [str(path), "artifacts/dictionary/glyphs.report.html"]
    assert reported["hash"] == dictionary.hash
    assert path.read_text() == json_lines(json.loads(path.read_text()), depth=4)
    rows = [line.split() for line in lines[1:5]]
    assert {row[0] for row in rows} == {"color", "shape", "texture", "size"}
    merit = [float(row[3]) for row in rows]
    assert merit == sorted(merit, reverse=True)
    page = path.with_suffix(".report.html").read_text()
    assert "teal" in page
    assert "://" not in page
    assert main(["dictionary", "names"]) == 0
    assert capsys.readouterr().out.split() == ["color", "shape", "texture", "size"]
    assert asked == [("glyphs", None)]
