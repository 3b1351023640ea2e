"""The heat map of coefficients: its order and words, that nothing overlaps, and what is logged."""

import doctest

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from composition import heatmap
from composition.heatmap import LogCoefficients, figure, used_coefficients, write_heatmap
from datamodules.errors import InputError
from lightning_modules.callbacks.figures import render
from tests.compose_runs import fit, open_data, prepared
from tests.compose_samples import compose, denses, loras

PARTS = ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_fc.bias")
WIDE = [f"attn.{each}_proj" for each in "qkv"] + ["attn.out_proj", "mlp.c_fc", "mlp.c_proj"]


def table(deltas, layers, parts, towers=("visual.",), seed=0):
    draw = np.random.default_rng(seed)
    blocks = [
        f"{tower}transformer.resblocks.{layer}.{part}"
        for tower in towers
        for layer in range(layers)
        for part in parts
    ]
    return {delta: {block: float(draw.normal()) for block in blocks} for delta in deltas}


SMALL = table(("color", "shape", "texture", "size"), 6, PARTS)
LARGE = table(
    [f"attribute number {n}" for n in range(8)], 12,
    [f"{part}.{kind}" for part in WIDE for kind in ("weight", "bias")], ("visual.", ""),
)  # fmt: skip


def axes_of(drawn):
    render(drawn)  # places everything
    return [axis for axis in drawn.axes if axis.images]


def words_of(axis, which="y"):
    labels = axis.get_yticklabels() if which == "y" else axis.get_xticklabels()
    return [label.get_text() for label in labels]


def test_blocks_come_in_order_under_a_heading_for_each_layer():
    (axis,) = axes_of(figure(SMALL, title="coefficients"))
    expected = []
    for layer in range(6):
        parts = ["attn.in_proj", "attn.out_proj", "mlp.c_fc", "mlp.c_fc.bias"]
        expected += [f"image layer {layer}", *parts]
    assert words_of(axis) == expected
    assert words_of(axis, "x") == list(SMALL)
    values = axis.images[0].get_array().filled(np.nan)
    assert np.isnan(values[::5]).all()
    kept = np.delete(values, np.s_[::5], axis=0)
    np.testing.assert_allclose(kept, np.array([list(row.values()) for row in SMALL.values()]).T)


def test_small_tables_are_annotated_and_large_ones_are_not():
    (axis,) = axes_of(figure(SMALL, title=""))
    first = next(iter(SMALL["color"].values()))
    assert axis.texts[0].get_text() == f"{first:.2f}"
    assert len(axis.texts) == 24 * 4
    assert not any(axis.texts for axis in axes_of(figure(LARGE, title="")))


def test_colors_are_centered_at_zero():
    image = axes_of(figure({"a": {"all": -0.3}, "b": {"all": 0.1}}, title=""))[0].images[0]
    assert (image.norm.vmin, image.norm.vmax) == (-0.3, 0.3)
    red, _, blue, _ = image.cmap(image.norm(-0.3))
    assert red > 0.3 > blue
    zero = figure({"a": {"all": 0.0}}, title="")
    assert axes_of(zero)[0].images[0].norm.vmax == 1


def boxes(drawn):
    """Where texts stand, in pixels."""
    render(drawn)
    found = [drawn._suptitle.get_window_extent()]
    for axis in drawn.axes:
        low, high = sorted(axis.get_ylim())
        down = [each for each in axis.get_yticklabels() if low <= each.get_position()[1] <= high]
        labels = [*axis.get_xticklabels(), *down, *axis.texts]
        found += [label.get_window_extent() for label in labels if label.get_text()]
    return [box for box in found if box.width and box.height]


@pytest.mark.parametrize("case", ["small", "large", "layers", "heads", "long names"])
def test_no_text_overlaps_another_or_leaves_the_picture(case):
    given = {
        "small": SMALL,
        "large": LARGE,
        "layers": table(("color", "shape"), 12, ("",)),
        "heads": table(
            ("color",), 2, [f"attn.{x}_proj.weight.head.{n}" for x in "qkv" for n in range(24)]
        ),
        "long names": table(["the primary color of its upper wing", "wing"], 2, PARTS),
    }[case]
    drawn = figure(given, title="coefficients of color, shape, step 1,200")
    width, height = drawn.get_size_inches() * drawn.dpi
    found = boxes(drawn)
    inside = [
        b for b in found if b.x0 >= -1 and b.y0 >= -1 and b.x1 <= width + 1 and b.y1 <= height
    ]
    assert len(inside) == len(found)
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            over_x = min(one.x1, other.x1) - max(one.x0, other.x0)
            over_y = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert over_x <= 1 or over_y <= 1, (one, other)
    assert len(axes_of(drawn)) == {"large": 6, "heads": 4}.get(case, 1)


def test_every_panel_starts_with_a_heading_and_no_block_is_lost():
    axes = axes_of(figure(LARGE, title=""))
    words = [words_of(axis) for axis in axes]
    assert all(each[0].split()[1] == "layer" for each in words)
    assert sum(len(each) for each in words) == 24 * (12 + 1)
    assert words[0][0] == "image layer 0"
    assert words[3][0] == "text layer 0"


def test_what_a_delta_leaves_alone_is_gray_and_not_annotated():
    given = {"color": {"a.weight": 0.5, "b.weight": 0.2}, "shape": {"a.weight": 0.1}}
    (axis,) = axes_of(figure(given, title=""))
    assert len(axis.texts) == 3
    picture = render(figure(given, title="")).reshape(-1, 3)
    gray = (picture == [0xBF, 0xC5, 0xCC]).all(1).mean()
    whole = {name: {"a.weight": 0.1, "b.weight": 0.2} for name in given}
    picture = render(figure(whole, title="")).reshape(-1, 3)
    assert gray > 0.05
    assert (picture == [0xBF, 0xC5, 0xCC]).all(1).mean() < 0.001


def test_parts_of_weights_are_averaged_where_they_are_too_many():
    ranks = [f"{part}.weight.rank.{n}" for part in WIDE for n in range(16)]
    given = table(("color",), 6, ranks)
    drawn = figure(given, title="coefficients")
    assert drawn._suptitle.get_text() == "coefficients\nmeans over the parts of each weight"
    (axis,) = axes_of(drawn)
    assert words_of(axis)[:3] == ["image layer 0", "attn.q_proj", "attn.k_proj"]
    first = list(given["color"].values())[:16]
    assert float(axis.images[0].get_array()[1, 0]) == pytest.approx(np.mean(first))


@pytest.mark.parametrize("granularity", ["block", "rank", "head"])
def test_used_coefficients_are_those_that_change_the_model(granularity):
    composed = compose(loras(), granularity)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    composed.encode_image(x).pow(2).sum().backward()
    gradient = composed.coefficients.grad.flatten().tolist()
    used = used_coefficients(composed)
    values = composed.coefficients.detach().flatten().tolist()
    for (delta, block), slope, value in zip(composed.layout.entries, gradient, values, strict=True):
        assert (block in used.get(delta, {})) == (slope != 0)
        if slope:
            assert used[delta][block] == value
    assert any(slope == 0 for slope in gradient) == (granularity != "rank")


def test_a_dense_delta_is_used_where_it_has_updates():
    used = used_coefficients(compose(denses(), "layer"))
    assert {name: len(row) for name, row in used.items()} == {"color": 3, "shape": 3}


def test_the_file_is_a_whole_picture_or_none(tmp_path):
    path = tmp_path / "heatmap.png"
    write_heatmap(path, SMALL, title="coefficients")
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    assert [each.name for each in tmp_path.iterdir()] == ["heatmap.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_heatmap(tmp_path / "file/heatmap.png", SMALL, title="")


def test_a_run_logs_numbers_every_epoch_and_the_picture_now_and_at_the_end(world, tmp_path):
    data = open_data(world, ("color",))
    composer = prepared(world, data)
    logger = TensorBoardLogger(tmp_path, default_hp_metric=False)
    callback = LogCoefficients(every_n_epochs=2)
    fit(composer, data, 4, callbacks=[callback], logger=logger)
    events = EventAccumulator(logger.log_dir, {"images": 0, "scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("coefficients")]
    assert sorted(tags) == [
        f"coefficients/{name}/{which}"
        for name in ("color", "shape")
        for which in ("max", "mean", "min")
    ]
    steps = [each.step for each in events.Scalars("coefficients/color/mean")]
    assert steps == [2, 4, 6, 8]
    named = composer.composition.named_coefficients()["color"]
    last = {w: events.Scalars(f"coefficients/color/{w}")[-1].value for w in ("min", "mean", "max")}
    values = list(named.values())
    assert last == pytest.approx(
        {"min": min(values), "mean": np.mean(values), "max": max(values)}, abs=1e-6
    )
    assert [each.step for each in events.Images("coefficients")] == [2, 6, 8]


def test_nothing_is_logged_without_tensorboard_and_zero_epochs_are_refused(world):
    data = open_data(world, ("color",))
    fit(prepared(world, data), data, 1, callbacks=[LogCoefficients()])
    with pytest.raises(
        InputError, match=r"^LogCoefficients.every_n_epochs is 0, expected at least"
    ):
        LogCoefficients(0)


def test_drawing_leaves_pyplot_alone_and_examples_hold():
    import matplotlib
    from matplotlib import pyplot

    before = pyplot.get_fignums(), dict(matplotlib.rcParams)
    render(figure(SMALL, title=""))
    assert (pyplot.get_fignums(), dict(matplotlib.rcParams)) == before
    failed, tried = doctest.testmod(heatmap)
    assert (failed, tried) == (0, 3)
