"""What a user's mistake prints: one sentence and exit code 2, never a traceback."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import files
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.given import words_hash
from datamodules.sources import SOURCES, load_source
from lightning_modules.arguments import one_line
from lightning_modules.failures import explain

SHORT = ("--trainer.max_epochs=1",)


def only_error(done):
    """The one error line of a command that was refused."""
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.err
    assert len(done.errors) == 1, done.err
    return done.errors[0]


@pytest.fixture
def refused(run, fit_words, tmp_path):
    """The error of `fit` with some flags, run in an empty folder."""

    def refuse(*words, cwd=tmp_path):
        return only_error(run(*fit_words, *SHORT, *words, cwd=cwd))

    return refuse


# --- the command line -----------------------------------------------------------------------------


def test_misspelt_command_lists_the_commands(run, tmp_path):
    error = only_error(run("fti", cwd=tmp_path))
    assert error == (
        "expected a command among fit, validate, test, evaluate, verify, export, study, base, "
        "got 'fti'."
    )


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("--trainer.max_epoch=2",), "--trainer.max_epochs"),
        (("--model.target_module=[c_fc]",), "--model.target_modules"),
        (("--data.batchsize", "4"), "--data.batch_size"),
    ],
)
def test_misspelt_flag_names_the_one_that_was_meant(words, meant, refused):
    error = refused(*words)
    assert error.startswith(f"unrecognized arguments: {' '.join(words)}. Did you mean {meant}?")


def test_misspelt_flag_of_the_other_commands_is_named_too(run, tmp_path):
    error = only_error(run("evaluate", "--attribute=color", "--rooot=x", cwd=tmp_path))
    assert error.startswith("unrecognized arguments: --rooot=x. Did you mean --root?")
    error = only_error(run("base", "--model.lrr=1", cwd=tmp_path))
    assert error.startswith("unrecognized arguments: --model.lrr=1. Did you mean --model.lr?")


def test_value_of_a_wrong_type_names_flag_and_type(refused):
    assert refused("--model.r=two").startswith("--model.r: expected int, got 'two'.")


def test_missing_attribute_and_config_are_named(run, tmp_path):
    error = only_error(run("fit", cwd=tmp_path))
    assert error.startswith("the following arguments are required: --data.attribute.")
    error = only_error(run("fit", "--config", "nope.yaml", cwd=tmp_path))
    assert error.startswith(f"--config: File does not exist: '{tmp_path / 'nope.yaml'}'.")


def test_several_lines_of_the_parser_become_one():
    message = (
        'Parser key "trainer.x":\n  Does not validate against any of the Union subtypes\n'
        "  Errors:\n    - Expected a <class 'int'>\n    - Expected a <class 'NoneType'>\n"
        "  Given value type: <class 'str'>\n  Given value: three"
    )
    assert one_line(message, []) == "--trainer.x: expected int, got 'three'."


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--model.r=0",), "r is 0, expected a rank of at least 1."),
        (("--model.keep_weight=-1",), "--model.keep_weight is -1.0, expected 0 or more."),
        (("--model.lora_dropout=1",), "lora_dropout is 1.0, expected a share in [0, 1)."),
        (("--model.blocks=first",), 'blocks is \'first\', expected "all" or "last:k"'),
        (("--data.batch_size=0",), "--data.batch_size is 0, expected at least 1."),
        (("--data.source=cubs",), f"expected a data set among {', '.join(SOURCES)}, got 'cubs'."),
    ],
)
def test_values_out_of_range_say_what_was_expected(words, text, refused):
    assert refused(*words).startswith(text)


# --- attribute and dictionary ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["colour", "../x", "type"])
def test_unknown_attribute_lists_the_known_ones(name, refused, tmp_path):
    error = refused(f"--data.attribute={name}")
    assert error.startswith(
        f"expected an attribute of the glyphs dictionary, got {name!r}. Known attributes: color, "
        "shape, texture, size."
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../x", "type"])
def test_attribute_of_any_name_trains_into_a_safe_folder(name, run, fit_words, world, tmp_path):
    text = (world / "dictionary.json").read_text().replace('"name": "color"', f'"name": "{name}"')
    (tmp_path / "dictionary.json").write_text(text)
    table = (world / "data/annotations.csv").read_text().replace(",color,", f",{name},")
    shutil.copytree(world / "data", tmp_path / "data")
    (tmp_path / "data/annotations.csv").write_text(table)
    manifest = json.loads((tmp_path / "data/manifest.json").read_text())
    manifest["sha256"]["annotations.csv"] = files.sha256_file(tmp_path / "data/annotations.csv")
    (tmp_path / "data/manifest.json").write_text(json.dumps(manifest))
    here = tmp_path / "here/and/deeper"
    here.mkdir(parents=True)
    done = run(
        *fit_words, *SHORT, f"--data.attribute={name}", f"--data.root={tmp_path / 'data'}",
        f"--data.dictionary={tmp_path / 'dictionary.json'}", "--json", cwd=here,
    )  # fmt: skip
    assert done.code == 0, done.err
    delta = Path(json.loads(done.out.splitlines()[-1])["delta"])
    assert delta.parent == Path("artifacts/deltas/tiny/glyphs")
    assert delta.name not in {"x", "..", "type"}
    assert json.loads((here / delta / "delta.json").read_text())["attribute"] == name
    written = {path.parts[len(tmp_path.parts)] for path in tmp_path.rglob("*")}
    assert written == {"dictionary.json", "data", "here"}


def test_missing_dictionary_says_how_to_build_it(refused):
    error = refused("--data.dictionary=none.json")
    assert "none.json" in error
    assert "found no" in error
    assert "make dictionary DATA=glyphs" in error


def test_dictionary_of_another_data_set_is_refused(world, refused, tmp_path):
    content = json.loads((world / "dictionary.json").read_text())
    content["source"] = "cub"
    (tmp_path / "cub.json").write_text(json.dumps(content))
    error = refused("--data.dictionary=cub.json")
    assert error.startswith(
        "expected the dictionary of glyphs, but cub.json was built from cub. Build it: make "
        "dictionary DATA=glyphs"
    )


def test_dictionary_of_other_captions_is_refused(world, refused, tmp_path):
    content = json.loads((world / "dictionary.json").read_text())
    content["data_hash"] = "0" * 64
    (tmp_path / "old.json").write_text(json.dumps(content))
    error = refused("--data.dictionary=old.json")
    assert error.startswith("expected a dictionary of the captions in ")
    assert "old.json is of others (000000000000)" in error


# --- the user's own images ------------------------------------------------------------------------


@pytest.fixture
def own_images(tmp_path):
    """A folder of small pictures with two colors, their annotations and dictionary."""
    folder = tmp_path / "own"
    folder.mkdir()
    lines = ["image,split,attribute,value"]
    generator = np.random.default_rng(0)
    for split, number in (("train", 12), ("validation", 6), ("test", 6)):
        for index in range(number):
            name, value = f"{split}{index}.png", ("red", "blue")[index % 2]
            pixels = generator.integers(0, 60, (20, 24, 3), dtype=np.uint8)
            pixels[..., 0 if value == "red" else 2] += 180
            Image.fromarray(pixels).save(folder / name)
            lines.append(f"{name},{split},color,{value}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n")
    entries = tuple(Value(v, v, 6, examples=(f"a {v} thing",)) for v in ("red", "blue"))
    words = words_hash(load_source("folder", folder))
    attributes = (Attribute("color", entries, exclusive=True),)
    Dictionary("folder", words, attributes).save(tmp_path / "own.json")
    return folder


@pytest.fixture
def own_words(own_images):
    return (
        "--data.source=folder", f"--data.root={own_images}", "--data.image_size=64",
        f"--data.dictionary={own_images.parent / 'own.json'}", "--data.batch_size=6",
    )  # fmt: skip


def test_own_images_train(own_words, run, fit_words, tmp_path):
    done = run(*fit_words, *SHORT, *own_words, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "color on folder, tiny" in done.out


def test_corrupt_image_is_named(own_words, own_images, refused):
    whole = (own_images / "train3.png").read_bytes()
    (own_images / "train3.png").write_bytes(whole[: len(whole) // 2])
    error = refused(*own_words)
    assert error.startswith(f"expected a whole image in {own_images / 'train3.png'}, got a file")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("train0.png,train,color", "expected 4 cells (image, split, attribute, value), got 3"),
        ("train0.png,train,color,", "expected a value for value, got none"),
    ],
)
def test_broken_row_names_file_and_line(row, why, own_words, own_images, refused):
    path = own_images / "annotations.csv"
    lines = path.read_text().splitlines()
    lines[1] = row
    path.write_text("\n".join(lines))
    assert refused(*own_words).startswith(f"{path}, line 2: {why}")


# --- base and delta -------------------------------------------------------------------------------


def test_target_modules_that_match_nothing_list_those_there_are(refused):
    assert refused("--model.target_modules=[q_prj]") == (
        "target_modules q_prj match no nn.Linear in towers=vision, blocks=all. Linear modules "
        "there end in: c_fc, c_proj, k_proj, out_proj, q_proj, v_proj. Choose of these."
    )


def test_unknown_backbone_names_close_ones(refused):
    error = refused("--model.backbone=VIT-B32")
    assert error.startswith("BACKBONE is 'VIT-B32': no folder with open_clip_config.json")
    assert "ViT-B-32" in error


@pytest.mark.parametrize("command", ["verify", "export"])
def test_delta_for_another_base_is_refused_by_its_fingerprint(
    command, fitted, world, run, tmp_path
):
    delta = tmp_path / "delta"
    shutil.copytree(fitted.delta, delta)
    card = json.loads((delta / "delta.json").read_text())
    card["fingerprint"] = "f" * 64
    (delta / "delta.json").write_text(json.dumps(card))
    words = ("--out=merged",) if command == "export" else ("--root=data",)
    error = only_error(run(command, delta, *words, cwd=world))
    assert error.startswith("the delta 'color' was trained on tiny random (GELU, weights ffffffff")
    assert not (world / "merged").exists()


def test_delta_is_not_verified_on_other_data(fitted, world, run, tmp_path):
    from datamodules.sources.glyphs.source import write

    write(tmp_path / "other", {"train": 8, "validation": 8, "test_seen": 8}, seed=5)
    words = ("--root", tmp_path / "other", "--dictionary=dictionary.json")
    error = only_error(run("verify", fitted.delta, *words, cwd=world))
    assert "expected a dictionary of the captions in" in error


def test_folder_without_a_delta_is_refused(run, tmp_path):
    error = only_error(run("verify", tmp_path, cwd=tmp_path))
    assert error.startswith(f"expected a delta in {tmp_path}, found no delta.json there.")


# --- checkpoints ----------------------------------------------------------------------------------


def test_missing_and_damaged_checkpoints_are_refused(refused, fitted, tmp_path):
    error = refused("--ckpt_path=none.ckpt")
    assert error.startswith("--ckpt_path: expected a checkpoint at none.ckpt, found no such file.")
    error = refused("--ckpt_path=last")
    assert error.startswith("--ckpt_path last: expected last.ckpt of a run in runs/train/color")
    whole = (fitted.run / "checkpoints/last.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    error = refused("--ckpt_path=half.ckpt")
    assert error.startswith("--ckpt_path: expected a checkpoint of this project in half.ckpt, got")


def test_checkpoint_that_would_run_code_is_refused(refused, tmp_path):
    torch.save({"state_dict": {}, "aspectra": Path("/")}, tmp_path / "evil.ckpt")
    error = refused("--ckpt_path=evil.ckpt")
    assert error.startswith("--ckpt_path: expected a checkpoint of this project in evil.ckpt")


def test_checkpoint_of_another_attribute_or_base_is_refused(refused, fitted, tmp_path):
    path = fitted.run / "checkpoints/last.ckpt"
    error = refused(f"--ckpt_path={path}", "--data.attribute=shape")
    assert error.startswith(f"--ckpt_path: expected a checkpoint of 'shape', {path} is of 'color'.")
    content = torch.load(path, weights_only=True)
    content["aspectra"]["base weights"] = "f" * 64
    torch.save(content, tmp_path / "other.ckpt")
    error = refused("--ckpt_path=other.ckpt")
    assert error.startswith("--ckpt_path: expected a checkpoint of the base weights ")


# --- while it trains ------------------------------------------------------------------------------


def test_nan_loss_stops_and_keeps_the_last_good_checkpoint(fit_words, run, monkeypatch, tmp_path):
    from lightning_modules import adapter

    plain, steps = adapter.softmax_loss, []

    def breaks(logits, *rest):
        steps.append(torch.is_grad_enabled())
        # One epoch has four training steps; the seventh lies in the second epoch.
        return plain(logits, *rest) * (torch.nan if sum(steps) >= 7 else 1)

    monkeypatch.setattr(adapter, "softmax_loss", breaks)
    error = only_error(run(*fit_words, cwd=tmp_path))
    assert error.startswith("expected a finite training loss, got nan or inf at step 7 (epoch 1).")
    last = tmp_path / "runs/train/color/version_0/checkpoints/last.ckpt"
    assert f"The last good checkpoint stays: {last}." in error or "last.ckpt" in error
    content = torch.load(last, weights_only=True)
    assert content["epoch"] == 0
    assert all(value.isfinite().all() for value in content["state_dict"].values())
    assert not (tmp_path / "artifacts/deltas").exists()


def full_disk(monkeypatch, name, after=0):
    """From write number `after` of a file called `name` on, the disk is full."""
    replace, written = files.os.replace, []

    def fails(source, target):
        if Path(target).name == name:
            written.append(target)
            if len(written) > after:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replace(source, target)

    monkeypatch.setattr(files.os, "replace", fails)


def test_full_disk_at_a_checkpoint_keeps_the_former_one(fit_words, run, monkeypatch, tmp_path):
    full_disk(monkeypatch, "last.ckpt", after=1)
    error = only_error(run(*fit_words, cwd=tmp_path))
    checkpoints = tmp_path / "runs/train/color/version_0/checkpoints"
    assert error.startswith("could not write ")
    assert "last.ckpt: No space left on device. Nothing that was there before is lost." in error
    assert torch.load(checkpoints / "last.ckpt", weights_only=True)["epoch"] == 0
    assert not list(tmp_path.rglob(".partial*"))


def test_full_disk_at_the_delta_keeps_the_former_one(fit_words, run, monkeypatch, fitted, tmp_path):
    former = tmp_path / "deltas/tiny/glyphs/color"
    shutil.copytree(fitted.delta, former)
    before = {path.name: path.read_bytes() for path in former.iterdir()}
    full_disk(monkeypatch, "adapter_model.safetensors")
    done = run(*fit_words, *SHORT, f"--deltas={tmp_path / 'deltas'}", cwd=tmp_path)
    error = only_error(done)
    assert error.startswith("could not write ")
    assert "adapter_model.safetensors: No space left on device. Nothing that was there" in error
    assert {path.name: path.read_bytes() for path in former.iterdir()} == before
    assert [path.name for path in former.parent.iterdir()] == ["color"]


def test_full_disk_elsewhere_is_a_sentence_too():
    error = OSError(errno.ENOSPC, "No space left on device", "runs/x/config.yaml")
    assert explain(error).startswith("could not write runs/x/config.yaml: No space left on device.")
    assert explain(OSError(errno.ENOENT, "No such file", "x")) is None
    assert explain(KeyError("a bug")) is None


def test_gpu_out_of_memory_says_what_to_lower():
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    assert explain(error) == (
        "the GPU is out of memory (CUDA out of memory). Lower --data.batch_size, or use more "
        "devices."
    )
