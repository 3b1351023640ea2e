"""`python -m interpret`: what its commands print, write, and refuse."""

import json
import re
from argparse import Namespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from datamodules.sources.glyphs.world import ATTRIBUTES
from interpret.__main__ import COMMANDS, main
from interpret.moments import HeadMoments
from interpret.output import REPORT_FOLDER, default_folder
from tests.conftest import ROOT, call, inside


@pytest.fixture(scope="module")
def words(world):
    return (
        "--backbone", world / "tiny", "--pretrained", "random", "--root", world / "data",
        "--dictionary", world / "dictionary.json", "--batch_size", 16,
    )  # fmt: skip


@pytest.fixture
def interpret(words, tmp_path):
    def run(command, *more, code=0):
        done = call(main, command, *words, "--out", tmp_path / "out", *more, cwd=tmp_path)
        assert done.code == code, done.err
        return done

    return run


def _metrics(folder):
    return json.loads((folder / "out/metrics.json").read_text())


def test_the_usage_names_every_command():
    done = call(main, "--help", cwd=".")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)
    assert call(main, "explain", cwd=".").errors == [
        f"expected a command among {', '.join(COMMANDS)}, got 'explain'."
    ]


@pytest.mark.parametrize("convention", ["shared", "separate"])
def test_decompose_writes_parts_that_sum_to_the_embedding(interpret, tmp_path, world, convention):
    done = interpret("decompose", "--arrays", "--convention", convention, "--json")
    metrics, last = _metrics(tmp_path), json.loads(done.out.splitlines()[-1])
    assert last["shares"] == metrics["shares"]
    assert metrics["largest_relative_error"] < 1e-5
    assert metrics["protocol"]["split"] == "validation"
    shares = metrics["shares"]
    total = np.sum(shares["heads"]) + sum(shares["mlps"]) + shares["embedding"]
    assert total + shares["constant"] == pytest.approx(1, abs=1e-5)
    with np.load(tmp_path / "out/parts.npz") as parts:
        assert parts["heads"].shape == (60, 2, 2, 32)
        assert parts["mlps"].shape == (60, 3, 32)
        total_NE = parts["heads"].sum((1, 2)) + parts["mlps"].sum(1) + parts["constant"]
        items = parts["items"]
    np.testing.assert_allclose(total_NE, _embeddings(world, items), atol=1e-5)
    assert (tmp_path / "out/heads.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "runs/interpret/decompose").rglob("events*"))


@torch.no_grad()
def _embeddings(world, items):
    from datamodules.sources import load_source
    from lightning_modules.backbone import load_backbone
    from lightning_modules.pixels import Pixels

    backbone = load_backbone(str(world / "tiny"), "random")
    pixels = load_source("glyphs", world / "data").pixels(64)[items]
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    prepare = Pixels(backbone.image_size, backbone.mean, backbone.std)
    return normalize(backbone.model.encode_image(prepare(images)), dim=-1).numpy()


def test_decompose_takes_prompts_apart(interpret, tmp_path):
    done = interpret("decompose", "--texts", "a red square", "--max_images", 10)
    (row,) = _metrics(tmp_path)["texts"].values()
    assert [each["token"] for each in row][1:-1] == ["a", "red", "square"]
    assert "'a red square': through the heads" in done.out


def test_textspan_names_heads_and_goes_on_where_it_stopped(interpret, tmp_path, words, monkeypatch):
    interpret("textspan", "--num_texts", 3)
    found = (tmp_path / "out/texts.json").read_text()
    heads = json.loads(found)["heads"]
    assert [(each["layer"], each["head"]) for each in heads] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(len({text["text"] for text in each["texts"]}) == 3 for each in heads)
    path = tmp_path / "out/moments.npz"
    whole, stamp = path.read_bytes(), path.stat().st_mtime_ns
    interpret("textspan", "--num_texts", 3)
    assert path.stat().st_mtime_ns == stamp  # all images were seen: nothing is run

    path.unlink()
    monkeypatch.setattr("interpret.streaming._SAVED_EVERY", 1)
    update, calls = HeadMoments.update, []

    def stop_at_the_third(self, codes):
        calls.append(len(codes))
        if len(calls) == 3:
            raise KeyboardInterrupt
        update(self, codes)

    monkeypatch.setattr(HeadMoments, "update", stop_at_the_third)
    interpret("textspan", "--num_texts", 3, code=130)
    interpret("textspan", "--num_texts", 3)
    assert calls == [16, 16, 16, 16, 12]
    assert (tmp_path / "out/texts.json").read_text() == found
    with np.load(path) as again, inside(tmp_path):
        (tmp_path / "whole.npz").write_bytes(whole)
        with np.load(tmp_path / "whole.npz") as before:
            np.testing.assert_allclose(again["square"], before["square"], rtol=1e-12)


def test_textspan_counts_the_words_of_attributes_in_every_head(interpret, tmp_path, monkeypatch):
    monkeypatch.setattr("interpret.commands.textspan._LEAST_SURE", 2.0)
    done = interpret("textspan", "--num_texts", 10)
    assert "speak of one attribute more than others do" in done.out
    heads = json.loads((tmp_path / "out/texts.json").read_text())["heads"]
    found = _metrics(tmp_path)["spoken"]
    assert len(found) == 4 * 4
    for each in found:
        (own,) = (h for h in heads if f"layer {h['layer']} head {h['head']}" == each["head"])
        texts = [text["text"] for text in own["texts"]]
        words = "|".join(ATTRIBUTES[each["attribute"]])
        spoken = [text for text in texts if re.search(rf"\b({words})s?\b", text)]
        assert (each["count"], each["num_texts"]) == (len(spoken), 10)


def test_a_delta_of_other_weights_is_refused(interpret, fitted):
    base = ROOT / "artifacts/base/glyph-clip"
    words = ("--backbone", base, "--pretrained", "", "--delta", fitted.delta)
    (error,) = interpret("decompose", *words, code=2).errors
    assert error.startswith("the delta 'color' was trained on")


def test_moments_of_another_model_are_not_used(interpret, tmp_path, fitted):
    interpret("textspan", "--num_texts", 3)
    (error,) = interpret("textspan", "--delta", fitted.delta, code=2).errors
    assert re.match("expected moments of .* in .*moments.npz, got those of .* Gather", error)


def test_a_delta_changes_the_parts(interpret, tmp_path, fitted):
    interpret("decompose")
    base = _metrics(tmp_path)
    interpret("decompose", "--delta", fitted.delta)
    adapted = _metrics(tmp_path)
    assert adapted["protocol"]["delta"] == "color"
    assert adapted["largest_relative_error"] < 1e-5
    assert adapted["shares"] != base["shares"]


def test_retrieve_finds_what_is_nearest_to_a_head(interpret, tmp_path):
    done = interpret("retrieve", "--layer", 1, "--head", 0, "--queries", 0, 5, "--likeness", "raw")
    assert "neighbors that share their query's value, over 60 queries" in done.out
    found = json.loads((tmp_path / "out/neighbors.json").read_text())
    interpret("decompose", "--arrays")
    with np.load(tmp_path / "out/parts.npz") as parts:
        head_NE = parts["heads"][:, 1, 0]
    head_NE = head_NE.astype(float)
    for each in found:
        scores = head_NE @ head_NE[each["query"]]
        assert each["query"] not in each["neighbors"]
        assert len(each["neighbors"]) == 8
        others = np.delete(np.arange(60), each["query"])
        least = np.sort(scores[others])[-8]
        assert (scores[each["neighbors"]] >= least - 1e-5).all()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("retrieve", "--head", 7), "expected --layer from 0 to 1 and --head from 0 to 1, got -1"),
        (("retrieve", "--head", 0, "--queries", 60), "--queries: expected numbers from 0 to 59"),
        (("textspan", "--pool", "none.txt"), "expected a file of texts at none.txt, found none"),
        (("textspan", "--rank", 0), "--rank: expected a whole number of at least 1, got '0'"),
        (("textspan", "--max_images", 10), "expected at least 19 images, as many as the rank"),
        (("decompose", "--split", "tomorrow"), "train, validation, test_seen, test_unseen, got"),
        (("decompose", "--batch_size", -1), "--batch_size: expected a whole number of at least 1"),
        (("decompose", "--device", "nonsense"), "--device: expected one of cpu"),
        (("decompose", "--texts", ""), "--texts: expected words, got ''"),
        (("retrieve", "--head", 0, "--most", -1), "--most: expected a whole number of at least 1"),
        (("ablate", "--attributes", "color", "color"), "expected each value once, got 'color'"),
        (
            ("ablate", "--attributes", "color", "--attributes", "size"),
            "--attributes: expected the flag once, with all its values, got it twice",
        ),
        (("decompose", "--delta", "flavor"), "expected the folder of a delta, or the name of one"),
        (("decompose", "--attribute", "flavor"), "flavor"),
    ],
)
def test_mistakes_are_one_line(interpret, command, message):
    (error,) = interpret(*command, code=2).errors
    assert message in error


def test_the_callback_gathers_an_adapters_heads(world, tmp_path):
    import lightning as L

    from datamodules.attribute import AttributeDataModule
    from interpret.decompose import codes, readout, trace
    from interpret.gather import GatherHeads
    from interpret.towers import image_tower
    from lightning_modules.adapter import AttributeAdapter

    model = AttributeAdapter(str(world / "tiny"), "random", r=4)
    data = AttributeDataModule(
        "color", root=world / "data", dictionary=world / "dictionary.json", num_workers=0
    )
    callback = GatherHeads(tmp_path / "moments.npz")
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = L.Trainer(callbacks=[callback], default_root_dir=tmp_path, **options)
    with inside(tmp_path):
        trainer.validate(model, data, verbose=False)
    tower = image_tower(model.clip.adapted)
    images = torch.from_numpy(data.pixels()[data.members("validation")]).permute(0, 3, 1, 2)
    found = codes(trace(tower, model.clip.pixels(images)), readout(tower))
    assert callback.moments.count == len(found) == 60
    total = found.double().sum(0)
    torch.testing.assert_close(callback.moments.sum_LHC, total, rtol=1e-5, atol=1e-5)
    HeadMoments.load(tmp_path / "moments.npz", callback.identity)
    with pytest.raises(ValueError, match="expected an adapter that is trained here, got Lightning"):
        callback.on_validation_start(trainer, L.LightningModule())


@pytest.mark.parametrize(
    ("delta", "name"),
    [
        ("", "glyph-clip-glyphs-heads"),
        ("out/../color", "glyph-clip-color-glyphs-heads"),
        ("a b:c", "glyph-clip-a-b-c-glyphs-heads"),
    ],
)
def test_results_lie_where_their_subject_says(delta, name):
    args = {"out": None, "backbone": "base/glyph-clip", "source": "glyphs", "command": "heads"}
    assert default_folder(Namespace(**args, delta=delta)) == REPORT_FOLDER / name
