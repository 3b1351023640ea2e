"""WordNet's files: a small database of this test's own, read like the real one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.dictionary.embed.wordnet.database import FILES, WordNet, wordnet_features
from datamodules.dictionary.embed.wordnet.text import wordnet_sentences
from datamodules.errors import InputError

# Part of speech, words, type, pointers as (symbol, key), gloss; keys name synsets in pointers.
SYNSETS = {
    "thing": ("n", "entity", "n", [], "what there is"),
    "tint": ("n", "color hue", "n", [("@", "thing")], 'what the eye tells; "a warm color"'),
    "cloth": ("n", "fabric cloth", "n", [("@", "thing")], "something woven"),
    "denim": ("n", "denim jean", "n", [("@", "cloth")], "a strong fabric"),
    "wool": ("n", "wool", "n", [("@", "cloth")], "fabric of a sheep"),
    "chromatic": ("a", "chromatic", "a", [("=", "tint"), ("&", "teal")], "with a color"),
    "teal": ("a", "teal sea_green(a)", "s", [("&", "chromatic")], "blue and green"),
    "woolen": ("a", "woolen", "a", [("\\", "wool")], "made of wool"),
    "walk": ("v", "walk stroll", "v", [], 'go on foot; "walk slowly"'),
    "slowly": ("r", "slowly", "r", [], "without haste"),
}


def database(folder, synsets=SYNSETS):
    """Write index and data files in the format of wndb(5WN)."""
    lines = {part: ["  1 this is a licence\n"] for part in FILES}
    place = {}
    for key, (part, *_) in synsets.items():  # a line's length does not depend on its offsets
        place[key] = sum(map(len, lines[part]))
        lines[part].append(data_line(synsets, key, dict.fromkeys(synsets, 0), 0))
    for part, name in FILES.items():
        keys = [key for key in synsets if synsets[key][0] == part]
        data = "".join(data_line(synsets, key, place, place[key]) for key in keys)
        (folder / f"data.{name}").write_text(lines[part][0] + data)
        senses = {}
        for key in keys:
            for word in synsets[key][1].split():
                senses.setdefault(word.partition("(")[0], []).append(place[key])
        (folder / f"index.{name}").write_text(
            "  1 this is a licence\n"
            + "".join(
                f"{word} {part} {len(at)} 1 @ {len(at)} 0 {' '.join(f'{o:08d}' for o in at)}  \n"
                for word, at in sorted(senses.items())
            )
        )
    return folder


def data_line(synsets, key, place, offset):
    part, words, kind, pointers, gloss = synsets[key]
    count = len(words.split())
    named = " ".join(f"{word} 0" for word in words.split())
    links = " ".join(f"{symbol} {place[to]:08d} {synsets[to][0]} 0000" for symbol, to in pointers)
    frames = "01 + 02 00 " if part == "v" else ""
    start = f"{offset:08d} 07 {kind} {count:02x} {named}"
    return f"{start} {len(pointers):03d} {links} {frames}| {gloss}  \n"


@pytest.fixture
def wordnet(tmp_path):
    return WordNet(database(tmp_path))


def test_synsets_are_read_with_words_pointers_and_gloss(wordnet):
    (offset,) = wordnet.senses("teal", "a")[0]
    teal = wordnet.synset("a", offset)
    assert teal.words == ("teal", "sea_green(a)")
    assert (teal.file, teal.satellite, teal.gloss) == (7, True, "blue and green")
    assert [wordnet.synset(*place).words for place in teal.to("&")] == [("chromatic",)]
    assert teal.to("@") == []
    assert [synset.words[0] for _, synset in wordnet.synsets("v")] == ["walk"]


def test_base_forms_are_found_by_the_endings_of_english(wordnet):
    assert wordnet.senses("fabrics", "n") == wordnet.senses("fabric", "n") != []
    for form in ("walks", "walked", "walking", "walkked"):
        assert wordnet.senses(form, "v") == wordnet.senses("walk", "v")
    assert wordnet.senses("walks", "n") == []


def test_traits_lead_up_to_what_a_word_is_a_kind_or_an_attribute_of(wordnet):
    cloth, thing = (f"n{wordnet.senses(word, 'n')[0][0]}" for word in ("cloth", "entity"))
    denim = wordnet.traits("denim")
    assert denim[thing] == pytest.approx(0.7 * 0.9**2)
    assert denim[cloth] == pytest.approx(0.7 * 0.9)
    tint = wordnet.senses("color", "n")[0][0]
    teal = wordnet.traits("teal")
    assert teal[f"attribute {tint}"] == 1.0
    assert teal[f"n{tint}"] == 1.0
    assert teal[thing] == pytest.approx(0.9)
    assert wordnet.traits("woolen")[cloth] == pytest.approx(0.5 * 0.9)  # by way of wool


def test_a_phrase_is_looked_up_whole_then_by_its_head(wordnet):
    assert wordnet.traits("sea green") == wordnet.traits("teal")
    assert wordnet.traits("strong denim") == wordnet.traits("denim")
    assert wordnet.traits("walking slowly") == wordnet.traits("walk")
    assert wordnet.traits("xyzzy") == wordnet.traits("blue xyzzy") == wordnet.traits("") == {}


def test_rows_of_words_of_a_kind_are_alike(wordnet):
    texts = ["denim", "wool", "woolen", "teal", "sea green", "walk", "xyzzy"]
    rows = wordnet_features(wordnet, texts)
    likeness = rows @ rows.T
    np.testing.assert_allclose(np.diag(likeness), [1] * 6 + [0])
    assert likeness[0, 1] > 0.5 > likeness[0, 3]
    assert likeness[3, 4] == pytest.approx(1)
    assert not rows[6].any()
    assert wordnet_features(wordnet, ["xyzzy"]).shape == (1, 1)


def test_many_traits_are_reduced_without_changing_products(tmp_path):
    synsets = {"top": ("n", "top", "n", [], "all")}
    for group in range(300):
        synsets[f"g{group}"] = ("n", f"group{group:03d}", "n", [("@", "top")], "some")
        for member in "ab":
            key = f"g{group}{member}"
            synsets[key] = ("n", f"w{group:03d}{member}", "n", [("@", f"g{group}")], "one")
    wordnet = WordNet(database(tmp_path, synsets))
    texts = [f"w{group:03d}{member}" for group in range(300) for member in "ab"]
    rows = wordnet_features(wordnet, texts)
    assert rows.shape == (600, 256)
    np.testing.assert_array_equal(rows, wordnet_features(WordNet(tmp_path), texts))
    likeness = rows @ rows.T
    pairs = likeness[np.arange(0, 600, 2), np.arange(1, 600, 2)]
    assert np.median(pairs) > 0.9
    assert np.median(np.abs(likeness[0, 2:])) < 0.2


def test_running_text_holds_definitions_examples_relations_and_chains(wordnet):
    sentences = list(wordnet_sentences(wordnet))
    assert ["denim", "jean", "a", "strong", "fabric"] in sentences
    assert ["a", "warm", "color"] in sentences
    assert ["teal", "sea", "green", "chromatic"] in sentences
    assert ["denim", "fabric", "entity"] in sentences
    assert ["woolen", "wool"] in sentences


def test_a_folder_dict_inside_is_found(tmp_path):
    (tmp_path / "dict").mkdir()
    database(tmp_path / "dict")
    assert WordNet(tmp_path).senses("denim", "n")


def test_a_missing_file_is_named(tmp_path):
    database(tmp_path)
    (tmp_path / "data.verb").unlink()
    with pytest.raises(
        InputError, match=r"--wordnet: expected WordNet's file data\.verb in .*none"
    ):
        WordNet(tmp_path)


@pytest.mark.parametrize("line", ["denim n\n", "denim n x 1 @ 1 0 00000000\n", "denim n 0 0 0 0\n"])
def test_a_broken_index_is_named_with_its_line(line, tmp_path):
    database(tmp_path)
    path = tmp_path / "index.noun"
    path.write_text(f"  1 licence\n{line}")
    with pytest.raises(InputError, match=r"index\.noun, line 2: expected a word with its senses"):
        WordNet(tmp_path).traits("denim")


def test_an_index_of_another_release_is_explained(tmp_path):
    database(tmp_path)
    path = tmp_path / "index.noun"
    path.write_text("denim n 1 1 @ 1 0 00000007  \n")
    with pytest.raises(InputError, match=r"data\.noun, byte 7: expected a synset, .*one release"):
        WordNet(tmp_path).traits("denim")


@given(st.binary(max_size=60) | st.just(b"00000000 07 n 00 000 | gloss"))
def test_any_bytes_in_a_data_file_are_read_or_explained(tmp_path_factory, data):
    folder = database(tmp_path_factory.mktemp("wn"))
    (folder / "index.noun").write_text("denim n 1 1 @ 1 0 00000000  \n")
    (folder / "data.noun").write_bytes(data)
    if _is_synset(data):
        assert WordNet(folder).traits("denim")
    else:
        with pytest.raises(InputError, match=r"data\.noun, byte 0: expected a synset"):
            WordNet(folder).traits("denim")


def _is_synset(data):
    """Whether the first line has the numbers of one without pointers: 0, file, type, 0, 0."""
    fields = data.split(b"\n")[0].partition(b"|")[0].split()
    zeros = (fields[0], *fields[3:5]) if len(fields) >= 5 else ()
    return bool(zeros) and fields[1].isdigit() and all(f.isdigit() and not int(f) for f in zeros)
