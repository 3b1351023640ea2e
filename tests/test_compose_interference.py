"""The report finds the interference that was planted, and says how much chance would cause."""

import json

import numpy as np
import pytest
import torch

from composition import Basis, Composition
from composition.basis import StackedFactors
from composition.interference.disentanglement import Question, disentanglement_error
from composition.interference.measure import measure_interference
from composition.interference.report import PairNumbers
from datamodules.errors import InputError
from tests.compose_samples import clip, dense, images, lora, loras
from tests.test_compose_solvers_gram import inputs_of, matrices

BLOCK = "visual.transformer.resblocks.1"
PLANTED = f"{BLOCK}.attn.v_proj.weight"


def separate(planted=PLANTED, seed=0):
    """Two deltas that read and write at right angles, but in one module the same."""
    deltas = [lora(name, 2, ("q_proj", "v_proj", "c_fc")) for name in ("color", "shape")]
    draw = torch.Generator().manual_seed(seed)
    for name in deltas[0].factors:
        first, second = (delta.factors[name] for delta in deltas)
        rows = torch.linalg.qr(torch.randn(first.A.shape[1], 4, generator=draw))[0].T
        columns = torch.linalg.qr(torch.randn(len(first.B), 4, generator=draw))[0]
        first.A[:], second.A[:] = rows[:2], rows[2:]
        first.B[:], second.B[:] = columns[:, :2], columns[:, 2:]
        if f"{name}.weight" == planted:
            second.A[:], second.B[:] = first.A, first.B @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
        elif name.endswith("c_fc"):
            first.B[:], second.B[:] = 5 * first.B, 5 * second.B  # large is not yet to blame
    return deltas


def per_delta(basis, count=6):
    return {name: images(count).split(4) for name in basis.names}


@pytest.mark.parametrize("planted", [PLANTED, PLANTED.replace(".1.", ".0.")])
def test_planted_interference_is_found_in_its_module(planted):
    basis = Basis.from_deltas(separate(planted), clip())
    report = measure_interference(basis)
    assert report.responsible == (planted,)
    weights = {each.weight: each for each in report.weights}
    for name, each in weights.items():
        expected = 1.0 if name == planted else 0.0
        assert each.found.interference == pytest.approx(expected, abs=1e-6)
    assert weights[planted].random.interference < 0.5
    assert weights[planted].share == pytest.approx(1, abs=1e-6)
    assert report.total.residual.one == pytest.approx(weights[planted].residual.one, rel=1e-6)
    for pair in report.pairs:
        assert pair.found.overlap == pytest.approx(float(pair.weight == planted), abs=1e-6)
        expected = 0.8 if pair.weight == planted else 0.0
        assert pair.found.cosine == pytest.approx(expected, abs=1e-5)
        assert 0 < pair.random.overlap < 0.1
        assert 0 < pair.random.cosine < 0.2


def test_what_one_delta_does_to_the_others_images_is_measured_on_these_images():
    deltas, model = loras(), clip()
    basis = Basis.from_deltas(deltas, model)
    batches = {name: [images(4) + shift] for shift, name in enumerate(basis.names)}
    report = measure_interference(basis, images=batches, encode=model.encode_image)
    assert report.information == "12 unlabelled images"
    for each in report.weights:
        dense = matrices(deltas, each.weight)
        read = [inputs_of(model, each.weight, batch) for (batch,) in batches.values()]
        others = sum(
            ((x @ (sum(dense) - own).T) ** 2).sum() / len(x)
            for x, own in zip(read, dense, strict=True)
        )
        selves = sum(((x @ own.T) ** 2).sum() / len(x) for x, own in zip(read, dense, strict=True))
        assert each.found.interference == pytest.approx(others / selves, rel=1e-4)
        alike = np.concatenate(read)
        sizes = [np.sqrt(((alike @ own.T) ** 2).sum() / len(alike)) for own in dense]
        assert list(each.norms.values()) == pytest.approx(sizes, rel=1e-4)
    pair = next(pair for pair in report.pairs if (pair.first, pair.second) == ("color", "size"))
    read = [inputs_of(model, pair.weight, batch) for (batch,) in batches.values()]
    one, _, other = (np.concatenate(read) @ own.T for own in matrices(deltas, pair.weight))
    cosine = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
    assert pair.found.cosine == pytest.approx(cosine, abs=1e-4)


def test_copies_interfere_fully_and_half_of_each_is_what_they_can_gain():
    first = lora("color", 2, ("q_proj",))
    twin = lora("shape", 2, ("q_proj",))
    for name, (a, b) in first.factors.items():
        twin.factors[name].A[:], twin.factors[name].B[:] = a, -b
    report = measure_interference(Basis.from_deltas([first, twin], clip()))
    for each in report.weights:
        assert each.found.interference == pytest.approx(1)
        assert each.found.gain == pytest.approx(0, abs=1e-9), "to do both is to do neither"
        assert each.residual.floor == pytest.approx(each.residual.zero)
    assert {round(pair.found.cosine, 6) for pair in report.pairs} == {-1.0}
    assert all(pair.found.overlap == pytest.approx(1) for pair in report.pairs)


def test_random_deltas_look_like_random_deltas():
    names = ("color", "shape", "size", "state")
    basis = Basis.from_deltas([lora(name, 3) for name in names], clip())
    report = measure_interference(basis, draws=6)
    assert report.total.found.interference == pytest.approx(
        report.total.random.interference, rel=0.5
    )
    overlaps = [(pair.found.overlap, pair.random.overlap) for pair in report.pairs]
    found, random = np.mean(overlaps, axis=0)
    assert found == pytest.approx(random, rel=0.25)


def test_dense_deltas_have_cosines_but_no_angles():
    basis = Basis.from_deltas([*loras()[:2], dense("size")], clip())
    report = measure_interference(basis, draws=1)
    pairs = {(pair.weight, pair.first, pair.second): pair for pair in report.pairs}
    query = f"{BLOCK}.attn.q_proj.weight"
    assert pairs[query, "color", "size"].found.overlap is None
    assert pairs[query, "color", "size"].random == PairNumbers(
        (), (), None, pairs[query, "color", "size"].random.cosine
    )
    assert pairs[query, "color", "shape"].found.overlap > 0
    assert len(pairs[query, "color", "shape"].random.row_degrees) == 2
    assert "visual.ln_pre.bias" in {each.weight for each in report.weights}


def test_the_report_is_json_and_a_table():
    basis = Basis.from_deltas(separate(), clip())
    errors = disentanglement_error(basis, questions(basis))
    report = measure_interference(basis, draws=2, disentanglement=errors)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["names"] == ["color", "shape"]
    assert content["information"] == "data-free"
    assert content["responsible"][0] == PLANTED
    assert len(content["weights"]) == 6
    assert content["weights"][0].keys() == {
        "weight", "norms", "found", "random", "share", "residual",
    }  # fmt: skip
    lines = report.to_text().splitlines()
    row = next(line for line in lines if line.startswith(PLANTED))
    assert row.split()[1] == "1.000"
    assert row.split()[-1] == "100%"
    assert f"most above random: {PLANTED}" in lines
    assert any(line.startswith("color, shape  ") for line in lines)
    assert any(line.startswith("shape  ") and line.split()[1] == "20" for line in lines)
    same = measure_interference(basis, draws=2, disentanglement=errors)
    assert same == report, "the seed decides"


def questions(basis, count=20):
    """Which of five directions is an image's embedding nearest to?"""
    text_VD = torch.randn(5, 24, generator=torch.Generator().manual_seed(3))

    def logits(batch):
        return basis.model.encode_image(batch) @ text_VD.T

    return {name: Question(logits, images(count).split(8)) for name in basis.names}


def test_deltas_that_are_zero_change_no_answer_and_those_that_are_not_do():
    nothing = lora("nothing", 2, ("q_proj",))
    for _, b in nothing.factors.values():
        b[:] = 0
    basis = Basis.from_deltas([lora("color"), nothing, lora("shape")], clip())
    base = basis.model.encode_image(images())
    errors = {error.delta: error for error in disentanglement_error(basis, questions(basis))}
    assert errors["color"].by_delta["nothing"] == 0
    assert errors["color"].by_delta["shape"] == errors["color"].all > 0
    assert errors["color"].num_images == 20
    assert list(errors["nothing"].by_delta) == ["color", "shape"]
    assert torch.equal(basis.model.encode_image(images()), base), "the model is as before"
    alone = Basis.from_deltas([lora("color"), nothing], clip())
    (error, _) = disentanglement_error(alone, questions(alone))
    assert (error.all, error.random) == (0, 0)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Linear(4, 4, bias=False)
        self.visual.weight.data = torch.eye(4)
        self.text = torch.nn.Identity()


def test_the_share_of_changed_answers_is_counted_and_scaled_by_coefficients():
    """Each of 4 images answers with its own number; `b` moves the answer of image 0 to 1."""
    model = Linear()
    zero, unit = torch.zeros(4), torch.eye(4)
    stack = StackedFactors(
        torch.stack([unit[2], unit[0]]), torch.stack([zero, 2 * unit[1]], dim=1), torch.arange(2)
    )
    basis = Basis(model, ("a", "b"), {"visual": stack}, {})
    ask = {"a": Question(model.visual.forward, [])}
    asked = {"a": Question(lambda x: model.visual(x), [unit[:3], unit[3:]])}
    (error,) = disentanglement_error(basis, asked)
    assert (error.all, error.by_delta, error.num_images) == (0.25, {"b": 0.25}, 4)
    weak = {"a": {"all": 1.0}, "b": {"all": 0.4}}
    (error,) = disentanglement_error(basis, asked, coefficients=weak)
    assert error.all == 0
    with pytest.raises(InputError, match="expected images to ask about 'a', got none"):
        disentanglement_error(basis, ask)
    assert type(model.visual) is torch.nn.Linear, "also after an error"


def test_what_cannot_be_measured_is_refused():
    one = Basis.from_deltas([lora("color")], clip())
    two = Basis.from_deltas(loras()[:2], clip())
    with pytest.raises(InputError, match="at least two deltas, got color alone"):
        measure_interference(one)
    with pytest.raises(InputError, match="draws is 0"):
        measure_interference(two, draws=0)
    with pytest.raises(InputError, match="both images and encode"):
        measure_interference(two, images=per_delta(two))
    given = {"color": [images()], "hue": [images()]}
    with pytest.raises(InputError, match="too few or too many: hue, shape"):
        measure_interference(two, images=given, encode=two.model.encode_image)
    with pytest.raises(InputError, match="questions about hue, which are no deltas; there are col"):
        disentanglement_error(two, {"hue": questions(two)["color"]})
    with pytest.raises(InputError, match="expected coefficients of color, shape, got those of col"):
        disentanglement_error(two, questions(two), coefficients={"color": {"all": 1.0}})
    with pytest.raises(InputError, match="coefficients do not fit: missing 1"):
        disentanglement_error(two, questions(two), coefficients={"color": {}, "shape": {}})
    composed = Composition(two, "layer")
    with pytest.raises(InputError, match="composed already"):
        disentanglement_error(two, questions(two))
    composed.detach()
