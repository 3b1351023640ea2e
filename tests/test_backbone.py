"""Backbones load from names, files and folders; every mistake says what to do."""

import hashlib
import json
import logging
import pickle

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from datamodules.errors import InputError
from lightning_modules import hub
from lightning_modules.backbone import load_backbone, save_local_dir
from lightning_modules.tensors import fingerprint

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESS = {"mean": [0.5, 0.25, 0.5], "std": [0.5, 0.5, 0.25]}


@pytest.fixture
def tiny(monkeypatch):
    """An architecture of open_clip named tiny-clip."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-clip", CONFIG)
    return "tiny-clip"


@pytest.fixture
def model():
    torch.manual_seed(3)
    return open_clip.model.CLIP(**CONFIG).eval()


@pytest.fixture
def folder(model, tmp_path):
    save_local_dir(model, CONFIG, PREPROCESS, tmp_path / "base" / "mine")
    return tmp_path / "base" / "mine"


@pytest.fixture
def weights(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def message(*args, **kwargs):
    with pytest.raises(InputError) as error:
        load_backbone(*args, **kwargs)
    return str(error.value)


def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 32, 32)


def test_a_saved_folder_loads_with_the_same_outputs_here_and_in_plain_open_clip(model, folder):
    backbone = load_backbone("mine", folder=folder.parent)
    plain = open_clip.create_model(f"local-dir:{folder}").eval()
    texts = backbone.tokenizer(["a red circle", "a blue square"])
    assert texts.shape == (2, 12)
    for other in (plain, model):
        assert torch.allclose(
            backbone.model.encode_image(images()), other.encode_image(images()), atol=1e-5
        )
        assert torch.allclose(
            backbone.model.encode_text(texts), other.encode_text(texts), atol=1e-5
        )
    assert (backbone.name, backbone.pretrained, backbone.image_size) == ("mine", "", 32)
    assert (backbone.mean, backbone.std) == ((0.5, 0.25, 0.5), (0.5, 0.5, 0.25))
    assert load_backbone(str(folder)).fingerprint == backbone.fingerprint


def test_a_backbone_is_frozen_in_evaluation_mode_and_can_be_saved_again(folder, tmp_path):
    backbone = load_backbone(str(folder))
    assert not any(value.requires_grad for value in backbone.model.parameters())
    assert not any(module.training for module in backbone.model.modules())
    save_local_dir(backbone.model, backbone.model_cfg, backbone.preprocess_cfg, tmp_path / "copy")
    again = load_backbone(str(tmp_path / "copy"))
    assert again.fingerprint == backbone.fingerprint
    assert (again.mean, again.std) == (backbone.mean, backbone.std)
    first, second = (path / "open_clip_model.safetensors" for path in (folder, tmp_path / "copy"))
    assert first.read_bytes() == second.read_bytes()


def test_fingerprint_is_of_the_weights_and_blind_to_splitting(model, folder):
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {list(value.shape)}\n".encode() + value.numpy().tobytes())
    split, whole = load_backbone(str(folder)), load_backbone(str(folder), split=False)
    assert split.fingerprint == whole.fingerprint == fingerprint(model.state_dict())
    assert split.fingerprint == digest.hexdigest()
    model.visual.proj.data[0, 0] += 1e-6
    assert fingerprint(model.state_dict()) != split.fingerprint


def test_half_storage_rounds_once(model, tmp_path):
    save_local_dir(model, CONFIG, PREPROCESS, tmp_path / "half", half=True)
    stored = load_file(tmp_path / "half/open_clip_model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    backbone = load_backbone(str(tmp_path / "half"))
    assert backbone.fingerprint == fingerprint(stored)
    assert backbone.model.visual.proj.dtype == torch.float32


def test_random_weights_are_seeded_loud_and_leave_the_callers_numbers(tiny, caplog):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with caplog.at_level(logging.WARNING):
        first = load_backbone(tiny, "random", seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert caplog.messages == ["tiny-clip has RANDOM weights (seed 1): its scores mean nothing."]
    assert load_backbone(tiny, "random", seed=1).fingerprint == first.fingerprint
    assert load_backbone(tiny, "random", seed=2).fingerprint != first.fingerprint


def test_weight_files_load_from_safetensors_and_from_pickles_of_tensors(
    tiny, weights, model, tmp_path
):
    from_safetensors = load_backbone(tiny, str(weights))
    wrapped = {
        "state_dict": {f"module.{name}": value for name, value in model.state_dict().items()}
    }
    torch.save(wrapped, tmp_path / "weights.pt")
    from_pickle = load_backbone(tiny, str(tmp_path / "weights.pt"))
    assert (
        from_safetensors.fingerprint == from_pickle.fingerprint == fingerprint(model.state_dict())
    )
    assert from_pickle.pretrained == str(tmp_path / "weights.pt"), "it must load again"


def activations(backbone):
    return {type(m).__name__ for m in backbone.model.modules() if "GELU" in type(m).__name__}


def test_quick_gelu_follows_the_tag_by_force(tiny, weights, monkeypatch):
    tags = {
        "openai": {"file": str(weights), "quick_gelu": True, "mean": (0.1, 0.2, 0.3)},
        "other": {"file": str(weights)},
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny, tags)
    forced, plain = load_backbone(tiny, "openai"), load_backbone(tiny, "other")
    assert forced.quick_gelu
    assert forced.model_cfg["quick_gelu"]
    assert activations(forced) == {"QuickGELU"}
    assert forced.mean == (0.1, 0.2, 0.3)
    assert not plain.quick_gelu
    assert activations(plain) == {"GELU"}
    assert forced.fingerprint == plain.fingerprint
    assert message(tiny, "openai", quick_gelu=False) == (
        "quick_gelu=False, but tiny-clip openai was trained with quick_gelu=True. "
        "Leave quick_gelu unset: with the other activation its features are wrong."
    )
    assert message(tiny, "opena") == (
        "PRETRAINED is 'opena', which is no tag of tiny-clip. Tags of tiny-clip: openai, other. "
        'Or give a weight file, or "random".'
    )


def test_quick_gelu_of_a_file_follows_argument_file_name_and_architecture(
    tiny, weights, monkeypatch
):
    assert activations(load_backbone(tiny, str(weights))) == {"GELU"}
    assert activations(load_backbone(tiny, str(weights), quick_gelu=True)) == {"QuickGELU"}
    named = weights.rename(weights.with_name("ViT-OpenAI.safetensors"))
    assert activations(load_backbone(tiny, str(named))) == {"QuickGELU"}
    assert activations(load_backbone(tiny, str(named), quick_gelu=False)) == {"GELU"}
    quick = CONFIG | {"quick_gelu": True}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-quickgelu", quick)
    assert load_backbone("tiny-quickgelu", str(named)).quick_gelu


def test_quick_gelu_of_a_folder_is_in_its_config(model, tmp_path):
    save_local_dir(model, CONFIG | {"quick_gelu": True}, PREPROCESS, tmp_path / "quick")
    backbone = load_backbone(str(tmp_path / "quick"))
    assert backbone.quick_gelu
    assert activations(backbone) == {"QuickGELU"}
    assert "was trained with quick_gelu=True" in message(str(tmp_path / "quick"), quick_gelu=False)


def test_unknown_architecture_suggests_close_names(folder):
    text = message("ViT-B32", folder=folder.parent)
    assert text.startswith(
        "BACKBONE is 'ViT-B32': no folder with open_clip_config.json (looked in ViT-B32 and "
        f"{folder.parent / 'ViT-B32'}) and no architecture of open_clip. Close names: ViT-B-32, "
    )
    assert f"Folders in {folder.parent}: mine. " in text
    assert "Close names: mine" in message("mien", folder=folder.parent)


def test_a_tag_of_the_plain_name_is_pointed_out():
    assert message("ViT-B-32-quickgelu", "laion2b_s34b_b79k").startswith(
        "PRETRAINED is 'laion2b_s34b_b79k', which is no tag of ViT-B-32-quickgelu but one of "
        "ViT-B-32: use BACKBONE=ViT-B-32. Tags of ViT-B-32-quickgelu: openai, "
    )


def test_a_missing_file_is_told_from_an_unknown_tag(tiny):
    assert message(tiny, "some/weights.pt") == (
        "PRETRAINED is 'some/weights.pt', expected a weight file there, found none. "
        "Give a path that exists, or a tag of tiny-clip: none."
    )


def test_without_a_network_the_message_says_which_file_to_put_where(monkeypatch):
    def unreachable(*args):
        raise OSError("no such host")

    monkeypatch.setattr(hub.socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(hub.urllib.request, "getproxies", dict)
    monkeypatch.setattr(hub, "_cached", lambda *args: None)
    target = "artifacts/weights/ViT-B-32-quickgelu-openai.safetensors"
    assert message("ViT-B-32", "openai") == (
        "could not download the weights of ViT-B-32 'openai' (ConnectionError: no network, or no "
        "route to the hub). On a machine with a network get open_clip_model.safetensors from the "
        "hub repository timm/vit_base_patch32_clip_224.openai, copy it to "
        f"{target} here, then run the command again with BACKBONE=ViT-B-32 PRETRAINED={target}."
    )


def test_a_cached_download_is_used_without_asking_the_network(tiny, weights, monkeypatch):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda repository, name: asked.append((repository, name)) or str(weights),
    )
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny, {"tag": {"hf_hub": "org/tiny/"}})
    assert load_backbone(tiny, "tag").pretrained == "tag"
    assert asked == [("org/tiny", "open_clip_model.safetensors")]


def test_tensors_that_do_not_fit_are_named_and_counted(tiny, model, tmp_path):
    state = {name: value for name, value in model.state_dict().items() if "resblocks.1" not in name}
    state["visual.proj"] = torch.zeros(64, 16)
    state["extra"] = torch.zeros(1)
    save_file(state, tmp_path / "other.safetensors")
    text = message(tiny, str(tmp_path / "other.safetensors"))
    assert text.startswith(
        f"the tensors of {tmp_path / 'other.safetensors'} do not fit tiny-clip: 24 missing: "
        "transformer.resblocks.1.attn.in_proj_bias, "
    )
    assert (
        "and 19 more; 1 unexpected: extra; 1 of wrong shape: visual.proj [64, 16] instead of "
        "[64, 32]. Expected " in text
    )
    assert text.endswith("Check that BACKBONE names the architecture of these weights.")


class Evil:
    def __reduce__(self):
        return (open, ("evil-was-here", "w"))


def test_a_pickle_that_holds_code_is_not_run(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Evil()}, "evil.pt")
    (tmp_path / "raw.bin").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "raw.bin"):
        text = message(tiny, name)
        assert text.startswith(f"{name} was not opened: it is damaged or holds more than tensors")
        assert "Get the .safetensors version of these weights" in text
    assert not (tmp_path / "evil-was-here").exists()


def test_a_torchscript_archive_is_named_as_such(tiny, tmp_path):
    path = tmp_path / "ViT.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)
    assert "it is damaged or holds a TorchScript program" in message(tiny, str(path))


def test_a_damaged_file_is_named(tiny, tmp_path):
    path = tmp_path / "half.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    text = message(tiny, str(path))
    assert text.startswith(f"{path} is not a whole safetensors file (")
    assert text.endswith("Copy or make it again.")


def test_folders_that_are_not_whole_say_what_is_missing(folder):
    (folder / "open_clip_model.safetensors").unlink()
    assert message(str(folder)) == (
        f"expected {folder / 'open_clip_model.safetensors'}, found no weight file in that folder."
    )
    assert message(str(folder), "openai") == (
        f"PRETRAINED is 'openai', but {folder} is a folder with its own weights. "
        "Leave PRETRAINED empty, or give a weight file."
    )
    (folder / "open_clip_config.json").write_text("{}")
    assert message(str(folder)) == (
        f'{folder / "open_clip_config.json"} has no "model_cfg"; expected open_clip\'s layout.'
    )


def test_a_config_that_open_clip_cannot_build_is_named(folder):
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["colour"] = 1
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    assert message(str(folder)).startswith("open_clip could not build mine (TypeError: ")


def test_images_must_be_square(model, tmp_path):
    config = CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"image_size": [32, 64]}}
    save_local_dir(open_clip.model.CLIP(**config), config, PREPROCESS, tmp_path / "wide")
    assert "takes images of [32, 64] pixels, expected a square" in message(str(tmp_path / "wide"))


def test_a_full_disk_leaves_the_former_folder_whole(model, folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left on device") as error:
        save_local_dir(model, CONFIG | {"quick_gelu": True}, PREPROCESS, folder)
    assert "Nothing that was there before is lost" in str(error.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
