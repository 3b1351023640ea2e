"""The benchmarks of composition compare forms that do the same, and judge by what they measured."""

import json
import re
from unittest import mock

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import composition.linear
from benchmarks import _compose_cell as cell
from benchmarks import _compose_model as models
from benchmarks import _compose_peers as peers
from benchmarks import _timing as timing
from benchmarks import compose_step, compose_stream
from composition.forms.choice import multiplications

RANK, COUNT, LAYERS, WIDTH = 2, 3, 2, 64
TINY = ["--width", str(WIDTH), "--rounds", "2"]
FORMS = [
    *("floor", "floor_to_tokens", "ours", "activation", "factored", "contraction"),
    *("weights", "dense_sum", "rebuilt"),
]
LEARN = {"ours", "activation", "factored", "contraction", "dense_sum", "rebuilt"}


@pytest.fixture(scope="module", autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clip():
    return models.random_clip("ViT-B-32", LAYERS, WIDTH)


@pytest.fixture(scope="module")
def deltas(clip):
    shapes, digest = models.weight_shapes(clip), models.digest_of(clip)
    return [models.random_lora(number, shapes, RANK, digest) for number in range(COUNT)]


@pytest.fixture(scope="module")
def batch(clip):
    return models.draw_batch(clip, 60)


@pytest.fixture(scope="module")
def forms(clip, deltas):
    composed = cell.compose(clip, deltas)
    values, columns = composed.coefficients, composed.block_names
    return {
        "floor": peers.floor(clip),
        "floor_to_tokens": peers.floor_to_tokens(clip),
        "weights": peers.weights(clip),
        "dense_sum": peers.summed(
            clip, peers.dense_blocks(deltas, clip, torch.float32), values, columns
        ),
        "rebuilt": peers.summed(clip, peers.factor_blocks(deltas, clip), values, columns),
        "again": peers.summed(
            clip, peers.factor_blocks(deltas, clip), values, columns, again=True
        ),
        **cell.our_forms(composed),
    }  # fmt: skip


def gradient(form, batch):
    cell.step(form, batch, "float32")
    return form.coefficients.grad.clone()


def test_as_few_images_are_drawn_as_have_the_tokens(clip, batch):
    assert batch.images.shape == (2, 3, 224, 224)
    assert models.count_tokens(clip, batch) == 100


def test_forms_that_learn_coefficients_find_the_gradient_of_the_merged_deltas(
    forms, clip, deltas, batch
):
    exact = gradient(forms["dense_sum"], batch)
    for name in (*LEARN, "again"):
        gradient(forms[name], batch)
        assert cell.gradient_error(forms[name], exact) < 1e-5, name
    # Another way to the largest entry: deltas added to the weights, and a finite difference.
    largest = divmod(exact.abs().argmax().item(), exact.shape[1])
    columns = cell.compose(clip, deltas).block_names
    values, losses = forms["dense_sum"].coefficients.detach(), []
    for change in (-0.02, 0.02):
        model = models.random_clip("ViT-B-32", LAYERS, WIDTH)
        weights = dict(model.named_parameters())
        for k, delta in enumerate(deltas):
            for name, update in delta.dense().items():
                column = columns.index(re.sub(r"[qkv]_proj\.", "in_proj_", name))
                moved = change if (k, column) == largest else 0.0
                weights[name].data += (values[k, column] + moved) * update
        losses.append(batch.loss(models.tower_of(model)(batch.images)).item())
    assert exact[largest].item() == pytest.approx((losses[1] - losses[0]) / 0.04, rel=0.02)


def test_a_forced_form_is_the_one_that_runs(forms, batch):
    names = {"activation": "add_activations", "factored": "factored_linear"}
    for form in ("activation", "factored", "contraction"):
        counts = {}
        for way, function in names.items():
            original = getattr(composition.linear, function)
            with mock.patch.object(composition.linear, function, side_effect=original) as called:
                cell.step(forms[form], batch, "float32")
            counts[way] = called.call_count
        assert counts == {way: 6 * LAYERS if way == form else 0 for way in names}


def multiplied(form, batch):
    with FlopCounterMode(display=False) as counter:
        cell.step(form, batch, "float32")
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("form", ["activation", "factored"])
def test_the_floor_is_our_graph_less_the_composition(forms, clip, batch, form):
    tokens, extra = models.count_tokens(clip, batch), 0
    for name, (outputs, inputs) in models.weight_shapes(clip).items():
        on = not (
            "resblocks.0.attn" in name and name.split(".")[-2] in {"q_proj", "k_proj", "v_proj"}
        )
        extra += multiplications(form, tokens, COUNT * RANK, inputs, outputs, input_grad=on)
        extra -= (1 + on) * tokens * inputs * outputs
    floor = multiplied(forms["floor"], batch)
    assert multiplied(forms[form], batch) - floor == extra
    up_to_tokens = multiplied(forms["floor_to_tokens"], batch)
    assert up_to_tokens - floor == 3 * tokens * WIDTH * WIDTH


def test_fine_tuning_adds_a_weight_gradient_for_every_weight_of_the_deltas(forms, clip, batch):
    tokens = models.count_tokens(clip, batch)
    weights = sum(shape.numel() for shape in models.weight_shapes(clip).values())
    more = multiplied(forms["weights"], batch) - multiplied(forms["floor"], batch)
    assert more == tokens * weights
    assert sum(leaf.numel() for leaf in forms["weights"].learned) == weights


def test_compose_step_prints_a_table_and_one_object_as_its_last_line(tmp_path, capsys):
    path = tmp_path / "step.json"
    words = ["--layers", "1", "--deltas", "2", "--tokens", "50", "--rank", "4", "--device", "cpu"]
    assert compose_step.main([*TINY, *words, "--json", "--out", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result == json.loads(path.read_text())
    assert (result["layers"], result["rank"], result["rounds"]) == (1, 4, 2)
    assert result["device"] == "CPU, torch threads: 1"
    steps = {row["form"]: row for row in result["steps"]}
    assert list(steps) == FORMS
    for name, row in steps.items():
        assert row["ms"] > 0
        assert row["over_floor"] > 0
        assert (row["gradient_error"] is not None) == (name in LEARN)
        assert (row["gradient_error"] or 0) < 1e-4
    assert steps["floor"]["over_floor"] == steps["floor"]["over_floor_wall"] == 1
    (row,) = result["cells"]
    assert (row["deltas"], row["tokens"], row["precision"]) == (2, 50, "float32")
    dense, factors = 12 * WIDTH**2, 4 * (4 * 2 * WIDTH + 2 * 5 * WIDTH)
    assert row["dense_over_factors"] == pytest.approx(dense / factors)
    assert row["factors_mb"] == pytest.approx(2 * 4 * factors / 1e6)
    assert lines[2].split() == ["form", "ms", "/", "floor", "by", "clock", "gradient", "MiB"]
    assert [row["measured"] for row in result["targets"]][:3] == [None] * 3
    assert sum("not measured" in line for line in lines) == 3


def rows(cells, **ratios):
    return [
        {"form": form, "deltas": k, "tokens": n, "precision": "float32", "over_floor": ratio}
        for k, n in cells
        for form, ratio in ratios.items()
    ]


def test_targets_are_judged_by_the_worst_cell_measured():
    steps = [
        *rows([(8, 200)], ours=9.0),  # too few tokens to count
        *rows([(8, 1600)], ours=1.10),
        *rows([(8, 6400)], ours=1.12),
        *rows([(21, 1600)], ours=1.46),
        *rows([(16, 200)], ours=2.0, dense_sum=7.0),
        *rows([(16, 1600)], ours=2.0, dense_sum=2.1),
    ]
    cells = [{"composed_over_plain": x, "dense_over_factors": 32.0} for x in (0.99, 1.01, 1.3)]
    found = compose_step.targets(cells, steps)
    assert [(row["measured"], row["met"]) for row in found] == [
        *((1.12, True), (1.46, False), (3.5, True), (32.0, True), (1.01, True)),
    ]
    steps += rows([(8, 1799)], ours=1.2) + rows([(16, 257)], ours=2.0, dense_sum=5.0)
    cells += [{"composed_over_plain": 1.3, "dense_over_factors": 29.0}] * 2
    found = compose_step.targets(cells, steps)
    assert [(row["measured"], row["met"]) for row in found] == [
        *((1.2, False), (1.46, False), (2.5, False), (29.0, False), (1.3, False)),
    ]


def test_in_bfloat16_gradients_are_compared_with_those_of_float32(clip, deltas, batch):
    dense = peers.dense_blocks(deltas, clip, torch.bfloat16)
    _, steps = cell.measure_cell(clip, deltas, dense, batch, "bfloat16", 1)
    errors = {row["form"]: row["gradient_error"] for row in steps if row["form"] in LEARN}
    assert errors.keys() == LEARN
    assert all(1e-4 < error < 0.1 for error in errors.values()), errors


def test_a_dense_peer_that_does_not_fit_is_left_out(clip, deltas, batch):
    _, steps = cell.measure_cell(clip, deltas, {}, batch, "float32", 1)
    assert [row["form"] for row in steps] == FORMS[:-2]


def test_only_as_many_dense_deltas_are_made_as_fit(clip, deltas, monkeypatch):
    each = 4 * sum(shape.numel() for shape in models.weight_shapes(clip).values())
    monkeypatch.setattr(compose_step, "memory_of", lambda device: 3 * 2 * each + 100)
    blocks, count = compose_step._dense(deltas, clip, "float32")
    assert (count, {len(block.held) for block in blocks.values()}) == (2, {2})


def test_ratios_are_taken_within_each_turn_and_the_first_run_is_warmed_up():
    order = []
    runs = {"floor": lambda: order.append("floor"), "ours": lambda: order.append("ours")}
    taken = timing.take_turns(runs, 2, torch.device("cpu"))
    assert order == ["floor", "floor", "ours"] * 2
    assert [len(each) for each in taken.values()] == [2, 2]
    slow = [timing.Seconds(wall, wall) for wall in (2.0, 20.0, 3.0)]
    fast = [timing.Seconds(wall, 2 * wall) for wall in (1.0, 10.0, 1.0)]
    assert timing.median_ratio(slow, fast) == (2.0, 1.0)


def test_a_loop_reports_steps_a_second(clip, deltas):
    found = cell.measure_loop(clip, deltas, 50, "float32", compiling=[False], steps=2)
    assert [(row["form"], row["compiled"]) for row in found] == [("floor", False), ("ours", False)]
    assert all(row["steps_per_second"] > 0 for row in found)


@pytest.mark.parametrize("benchmark", [compose_step, compose_stream], ids=["step", "stream"])
def test_without_a_gpu_one_that_is_asked_for_is_an_error(benchmark, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert benchmark.main(["--device", "cuda"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: expected a GPU that torch can use, found none."
    )


def test_compose_stream_prints_both_tables_and_one_object(tmp_path, capsys):
    path = tmp_path / "stream.json"
    words = ["--layers", "1", "--deltas", "4", "--dense", "2", "--tokens", "50", "--device", "cpu"]
    assert compose_stream.main([*TINY, *words, "--json", "--out", str(path)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads(path.read_text())
    many, streamed = result["many"]
    assert (many["form"], streamed["form"]) == ("resident", "streamed")
    assert (many["deltas"], streamed["deltas"], streamed["factors_mb"]) == (4, 4, 0)
    factors = 4 * 4 * 16 * (4 * 2 * WIDTH + 2 * 5 * WIDTH) / 1e6
    assert many["factors_mb"] == pytest.approx(factors)
    assert result["files_mb"] > factors
    for row in result["many"]:
        assert row["resident_mb"] <= row["peak_mb"]
        assert min(row[name] for name in ("load_s", "stack_s", "step_ms", "step_peak_mb")) > 0
    resident, streamed = result["dense"]
    bytes_of_all = 2 * 4 * 12 * WIDTH**2 / 1e6
    assert (resident["device_mb"], resident["host_mb"]) == (pytest.approx(bytes_of_all), 0)
    assert (streamed["device_mb"], streamed["host_mb"]) == (0, pytest.approx(bytes_of_all))
    assert streamed["gradient_error"] < 1e-4
    assert resident["over_resident"] == 1


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_both_precisions_peak_memory_and_the_compiled_loop_are_measured(tmp_path):
    path = tmp_path / "step.json"
    words = ["--layers", "1", "--deltas", "2", "--tokens", "100", "--device", "cuda"]
    assert compose_step.main([*TINY, *words, "--out", str(path)]) == 0
    result = json.loads(path.read_text())
    assert {row["precision"] for row in result["steps"]} == {"float32", "bfloat16"}
    assert all(row["peak_mib"] > 0 for row in result["steps"])
    assert [(row["form"], row["compiled"]) for row in result["loops"]] == [
        *(("floor", False), ("ours", False), ("floor", True), ("ours", True)),
    ] * 2
    assert compose_stream.main([*TINY, *words, "--dense", "2", "--out", str(path)]) == 0
    assert json.loads(path.read_text())["many"][0]["device_mb"] > 0
