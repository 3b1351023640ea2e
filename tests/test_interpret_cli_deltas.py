"""`python -m interpret adapter` and `coefficients`: what deltas and compositions do, by command."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from composition.export import load_composition
from datamodules.dictionary import Dictionary
from datamodules.prompts import prompts
from datamodules.sources import load_source
from datamodules.sources.glyphs.world import ATTRIBUTES
from datamodules.wording import templates_of
from interpret.__main__ import main
from lightning_modules.delta import load_delta, save_delta
from lightning_modules.pixels import Pixels
from lightning_modules.value_text import value_embeddings
from tests import compose_export_samples as samples
from tests.compose_runs import drawn_delta, open_backbone
from tests.conftest import call

TINY = ("--num_images", 40, "--num_random", 0)


@pytest.fixture(scope="module")
def inputs(world):
    return (
        "--backbone", world / "tiny", "--pretrained", "random", "--root", world / "data",
        "--dictionary", world / "dictionary.json",
    )  # fmt: skip


@pytest.fixture
def interpret(inputs, tmp_path):
    def run(command, *more, code=0):
        done = call(main, command, *more, *inputs, "--out", tmp_path / "out", cwd=tmp_path)
        assert done.code == code, done.err
        return done

    return run


@pytest.fixture(scope="module")
def adapted(inputs, world, fitted, tmp_path_factory):
    """A run of `adapter` for the trained delta of color beside one of shape: folder, out, found."""
    folder = tmp_path_factory.mktemp("adapted")
    save_delta(folder / "shape", drawn_delta(open_backbone(world), "shape"))
    words = ("--delta", fitted.delta, "--beside", folder / "shape", *TINY, "--json")
    done = call(main, "adapter", *words, *inputs, "--out", folder / "out", cwd=folder)
    assert done.code == 0, done.err
    return SimpleNamespace(folder=folder, out=done.out, found=_metrics(folder))


@pytest.fixture(scope="module")
def composed(world, tmp_path_factory):
    """Folders of two compositions of the same deltas by layer, with other coefficients."""
    folders = []
    for seed in (3, 4):
        backbone = open_backbone(world)
        deltas = [drawn_delta(backbone, name) for name in ("color", "shape")]
        composition = samples.compose(backbone, deltas, "layer", seed)
        root = tmp_path_factory.mktemp(f"seed-{seed}")
        folders.append(samples.save(root, backbone, deltas, composition)[0])
    return folders


def _metrics(folder):
    return json.loads((folder / "out/metrics.json").read_text())


class Asked:
    """Images of a split and an attribute's question, read without the commands' code."""

    def __init__(self, world, backbone, attribute, split):
        source = load_source("glyphs", world / "data")
        items = source.annotations.members(split)
        pixels = torch.from_numpy(np.ascontiguousarray(source.pixels(64)[items]))
        prepare = Pixels(backbone.image_size, backbone.mean, backbone.std)
        self.images = prepare(pixels.permute(0, 3, 1, 2))
        values = ATTRIBUTES[attribute]
        label_NV = source.annotations.labels(attribute, values, exclusive=True).label[items]
        self.label_N = torch.from_numpy(label_NV.argmax(axis=1))
        entry = Dictionary.load(world / "dictionary.json").attribute(attribute)
        texts = [prompts(value, templates_of(entry)) for value in values]
        with torch.no_grad():
            self.text_VE = value_embeddings(backbone.model, backbone.tokenizer, texts)
        self.scale = backbone.model.logit_scale.detach().exp()

    @torch.no_grad()
    def logits(self, model):
        return self.scale * normalize(model.encode_image(self.images), dim=-1) @ self.text_VE.T

    def accuracy(self, model):
        return (self.logits(model).argmax(dim=1) == self.label_N).double().mean().item()

    def loss(self, model):
        return cross_entropy(self.logits(model), self.label_N).item()


def test_adapter_tells_the_energy_of_heads_and_both_accuracies(
    interpret, tmp_path, world, fitted, adapted
):
    found = adapted.found
    assert json.loads(adapted.out.splitlines()[-1])["footprint"] == found["footprint"]
    assert found["protocol"]["delta"] == str(fitted.delta)
    assert found["protocol"]["split"] == "test_seen"  # not those it was trained or selected on
    footprint = found["footprint"]
    energy = {row["part"]: row["scores"]["energy"]["value"] for row in footprint["parts"]}
    assert sum(energy.values()) == pytest.approx(1)
    heads = {}
    for name, words in (("base", ()), ("adapted", ("--delta", fitted.delta))):
        out = ("--arrays", "--convention", "separate", "--split", "test_seen")
        interpret("decompose", *words, *out)
        with np.load(tmp_path / "out/parts.npz") as parts:
            heads[name] = parts["heads"].astype(float)
    square_LH = np.square(heads["adapted"] - heads["base"]).sum(-1).mean(0)
    told_LH = np.array([[energy[f"layer {n} head {h}"] for h in (0, 1)] for n in (0, 1)])
    np.testing.assert_allclose(told_LH / told_LH.sum(), square_LH / square_LH.sum(), rtol=1e-3)

    backbone = open_backbone(world)
    asked = Asked(world, backbone, "color", "test_seen")
    accuracy = footprint["accuracy"]
    assert accuracy["base"] == pytest.approx(asked.accuracy(backbone.model))
    model = load_delta(fitted.delta).attach(backbone.model)
    assert accuracy["adapted"] == pytest.approx(asked.accuracy(model))


def test_adapter_names_changes_and_their_causes(adapted):
    found, out = adapted.found, adapted.folder / "out"
    causes = np.array([found["causes"][name]["signed"] for name in found["causes"]], dtype=float)
    assert causes.shape == (4, 2, 2)
    np.testing.assert_allclose(causes.sum(axis=0), 1, atol=1e-6)
    assert json.loads((out / "causes.json").read_text()) == found["causes"]
    texts = json.loads((out / "texts.json").read_text())
    assert texts["whole"]["heads"] == [found["whole_change"]]
    assert len(texts["heads"]["heads"]) == 4
    towards = found["whole_change"]["shift"]["towards"]
    assert f"towards: {towards[0]['text']}, {towards[1]['text']}" in adapted.out
    assert (out / "footprint.png").read_bytes().startswith(b"\x89PNG")


def test_adapter_reverts_the_top_heads_of_several(world, adapted):
    found = adapted.found["crossing"]
    assert found["attributes"] == ["color", "shape"]
    matrix = np.array(found["matrix"])
    dominance = np.diag(matrix).mean() - (matrix.sum() - np.trace(matrix)) / 2
    assert found["dominance"] == pytest.approx(dominance)
    backbone = open_backbone(world)
    shape = Asked(world, backbone, "shape", "test_seen")
    before = shape.accuracy(backbone.model)
    after = shape.accuracy(load_delta(adapted.folder / "shape").attach(backbone.model))
    assert found["gain"][1][1] == pytest.approx(after - before)


def test_coefficients_share_out_the_change_of_the_loss(interpret, tmp_path, world, composed):
    words = ("--attributes", "shape", "--nodes", 8)
    done = interpret("coefficients", composed[0], *words)
    (found,) = _metrics(tmp_path)["importance"]
    backbone = open_backbone(world)
    asked = Asked(world, backbone, "shape", "validation")
    base = asked.loss(backbone.model)
    composition = load_composition(composed[0], backbone=backbone).composition
    learned = asked.loss(composition)
    assert found["loss_base"] == pytest.approx(base, rel=1e-4)
    assert found["loss_learned"] == pytest.approx(learned, rel=1e-4)
    rows = found["coefficients"]
    total = sum(row["integrated"] for row in rows)
    assert total == pytest.approx(learned - base, abs=0.01 * max(1, abs(learned - base)))
    assert {row["delta"] for row in rows} == {"color", "shape"}
    assert sorted(row["coefficient"] for row in rows) == pytest.approx(
        sorted(composition.coefficients.detach()[composition.used.view_as(
            composition.coefficients)].tolist()))  # fmt: skip
    assert all(row["size"] == pytest.approx(abs(row["coefficient"])) for row in rows)
    assert f"loss {base:.3f}"[:8] in done.out
    assert (tmp_path / "out/importance.png").read_bytes().startswith(b"\x89PNG")


def test_coefficients_of_several_seeds_are_compared(interpret, tmp_path, composed):
    done = interpret("coefficients", *composed, "--nodes", 2, "--top", 2, "--num_images", 20)
    found = _metrics(tmp_path)
    assert [each["kind"] for each in found["stability"]] == [
        "size", "norm", "output", "integrated",
    ]  # fmt: skip
    for each in found["stability"]:
        kind, maps = each["kind"], [one["coefficients"] for one in found["importance"]]
        sizes = [np.abs([row[kind] for row in rows]) for rows in maps]
        top = [set(np.argsort(-size)[:2]) for size in sizes]
        jaccard = len(top[0] & top[1]) / len(top[0] | top[1])
        assert each["jaccard"]["mean"] == pytest.approx(jaccard)
        ranks = [size.argsort().argsort() for size in sizes]
        assert each["spearman"]["mean"] == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert "Jaccard of the top 2" in done.out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"importance-0.png", "importance-1.png", "metrics.json"}


def test_mistakes_about_deltas_are_one_line(interpret, tmp_path, world, fitted, composed):
    backbone = open_backbone(world)
    dense = samples.card(backbone, "color", kind="dense")
    difference = torch.full_like(backbone.model.state_dict()["visual.proj"], 0.01)
    save_delta(tmp_path / "dense", type(load_delta(fitted.delta))(
        dense, differences={"visual.proj": difference}))  # fmt: skip
    shutil.copytree(composed[0].parents[1], tmp_path / "cut")
    (tmp_path / "cut/compositions/both/coefficients.safetensors").unlink()
    for words, message in (
        (("adapter",), "--delta: expected the name or folder of a delta, got none."),
        (("adapter", "--delta", "flavor"), "expected the folder of a delta, or the name of one"),
        (("adapter", "--delta", tmp_path / "dense"), "dense"),
        (
            ("adapter", "--delta", fitted.delta, "--attributes", "shape"),
            "--attributes: expected 'color', which",
        ),
        (
            ("adapter", "--delta", composed[0]),
            "texture, size, got one of 'color+shape'",
        ),
        (
            ("adapter", "--delta", fitted.delta, "--beside", fitted.delta),
            "--beside: expected deltas",
        ),
        (("coefficients", fitted.delta), "composition.json"),
        (("coefficients", tmp_path / "none"), "composition.json"),
        (("coefficients", tmp_path / "cut/compositions/both"), "coefficients.safetensors"),
        (
            ("coefficients", composed[0], "--nodes", 0),
            "--nodes: expected a whole number of at least 1",
        ),
        (("coefficients", composed[0], composed[0]), "expected each value once"),
        (
            ("coefficients", *composed, "--nodes", 1, "--top", 4),
            "--top: expected 1 to 3 blocks of 4, got 4",
        ),
    ):
        (error,) = interpret(*words, *(TINY if words[0] == "adapter" else ()), code=2).errors
        assert message in error, words
