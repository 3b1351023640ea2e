"""The text tower of a CLIP beside open_clip's own `encode_text`."""

import json
import socket
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from datamodules.dictionary.embed import open_embedder
from datamodules.dictionary.embed.clip_text import ClipVectors
from datamodules.errors import InputError

BASE = Path(__file__).parents[1] / "artifacts/base"
TEXTS = ["red", "green star", "a large striped hexagon", "wavy", "small blue circle", "red"] * 8


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def glyph_clip():
    return ClipVectors("glyph-clip", base_folder=BASE)


def refusal(*words, **options):
    with pytest.raises(InputError) as caught:
        ClipVectors(*map(str, words), **options).encode(["red"])
    return str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_rows_are_those_of_open_clip(glyph_clip):
    identifier = f"local-dir:{BASE / 'glyph-clip'}"
    model = open_clip.create_model(identifier).eval()
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(identifier)(TEXTS)).numpy()
    rows = glyph_clip.encode(TEXTS)
    assert glyph_clip.name == "clip:glyph-clip"
    assert (rows.shape, rows.dtype) == ((48, 64), np.float32)
    # The texts are cut to their own length here, which changes the order of sums only.
    np.testing.assert_allclose(rows, expected, atol=2e-5)


def test_a_row_does_not_depend_on_the_other_texts_or_the_threads(glyph_clip):
    rows = glyph_clip.encode(TEXTS)
    for row, text in enumerate(TEXTS[:6]):
        np.testing.assert_allclose(glyph_clip.encode([text])[0], rows[row], atol=1e-5)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            np.testing.assert_allclose(glyph_clip.encode(TEXTS[::-1])[::-1], rows, atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_words_it_was_never_trained_on_are_unknown(glyph_clip):
    texts = ["red", "xylophone", "", " ", "red xylophone", "striped"]
    assert glyph_clip.known(texts).tolist() == [True, False, False, False, False, True]
    assert not glyph_clip.encode(texts)[1:5].any()
    assert glyph_clip.encode([]).shape == (0, 64)


def test_loading_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    ClipVectors("glyph-clip", base_folder=BASE).encode(["red"])
    assert torch.equal(torch.rand(2), expected)


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A small architecture added to open_clip, with seeded weights in a file."""
    config = json.loads((BASE / "glyph-clip/open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "Tiny-CLIP.json").write_text(json.dumps(config))
    monkeypatch.setattr("open_clip.factory._MODEL_CONFIGS", {"Tiny-CLIP": config})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model("Tiny-CLIP")
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


def test_a_file_names_its_activation(own_file, tmp_path):
    plain = ClipVectors("Tiny-CLIP", str(own_file))
    named = tmp_path / "weights-quickgelu.safetensors"
    named.write_bytes(own_file.read_bytes())
    quick = ClipVectors("Tiny-CLIP", str(named))
    assert quick.name == "clip:Tiny-CLIP,weights-quickgelu.safetensors"
    assert quick.content_hash != plain.content_hash
    for vectors, activation in ((plain, False), (quick, True)):
        model = open_clip.create_model(
            "Tiny-CLIP", str(own_file), force_quick_gelu=activation
        ).eval()
        with torch.no_grad():
            expected = model.encode_text(open_clip.get_tokenizer("Tiny-CLIP")(TEXTS[:3])).numpy()
        np.testing.assert_allclose(vectors.encode(TEXTS[:3]), expected, atol=2e-5)
    assert abs(plain.encode(["red"]) - quick.encode(["red"])).max() > 1e-4
    assert plain.known(["xylophone"]).tolist() == [True]


def test_broken_weights_and_weights_of_another_model(own_file, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"logit_scale": torch.zeros(())}, other)
    end = "Expected whole weights of that architecture, best as .safetensors."
    for data in (other.read_bytes(), own_file.read_bytes()[:5000], b"no weights"):
        other.write_bytes(data)
        message = refusal("Tiny-CLIP", other)
        assert message.startswith(f"open_clip could not load {other} as clip:Tiny-CLIP,other.safe")
        assert message.endswith(end)


@pytest.mark.usefixtures("no_network")
def test_names_that_stand_for_nothing_here(tmp_path):
    assert refusal("nothing", base_folder=tmp_path) == (
        "expected a CLIP, got 'nothing': no folder with open_clip_config.json (looked in nothing "
        f"and {tmp_path / 'nothing'}) and no architecture of open_clip. Write clip:glyph-clip, "
        "clip:path/to/folder, or clip:ARCHITECTURE,FILE such as clip:ViT-B-32,file.safetensors."
    )
    assert refusal("ViT-B-32", tmp_path / "none.pt").startswith(
        f"expected weights of ViT-B-32 on this machine, got '{tmp_path / 'none.pt'}': no file and "
        "no tag. Nothing is downloaded: give a weight file, as in "
        "clip:ViT-B-32,file.safetensors. Tags of ViT-B-32: openai, "
    )
    assert refusal("glyph-clip", "openai", base_folder=BASE) == (
        f"{BASE / 'glyph-clip'} has weights of its own, expected nothing after its name, got "
        "'openai'. Leave it out."
    )


@pytest.mark.usefixtures("no_network")
def test_a_tag_is_taken_from_the_cache_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "got 'openai': a tag whose file was never downloaded here. Nothing is downloaded" in (
        refusal("ViT-B-32", "openai")
    )
    hub = open_clip.get_pretrained_cfg("ViT-B-32", "openai")["hf_hub"].rpartition("/")[0]
    kept = tmp_path / f"models--{hub.replace('/', '--')}"
    (kept / "snapshots/abc").mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text("abc")
    (kept / "snapshots/abc/open_clip_model.safetensors").write_bytes(b"")
    vectors = ClipVectors("ViT-B-32", "openai")
    assert vectors.name == "clip:ViT-B-32,openai"
    assert vectors._files.quick_gelu
    assert vectors._files.weights == kept / "snapshots/abc/open_clip_model.safetensors"


def test_folders_that_are_not_whole(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    assert refusal(tmp_path) == (
        f'{tmp_path}/open_clip_config.json has no "model_cfg"; expected open_clip\'s layout. Give '
        "another folder."
    )
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {}}')
    assert refusal(tmp_path) == (
        f"expected {tmp_path}/open_clip_model.safetensors, found no weight file there. Copy it "
        "there."
    )


def test_the_word_of_the_command_line(monkeypatch):
    monkeypatch.chdir(BASE.parents[1])
    named = open_embedder("clip:glyph-clip", cache=None)
    placed = open_embedder(f"clip:{BASE / 'glyph-clip'}", cache=None)
    assert named.name == placed.name == "clip:glyph-clip"
    assert named.content_hash == placed.content_hash
