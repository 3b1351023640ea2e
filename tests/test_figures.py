"""Figures of predictions: what is counted, what is said of each image, and what is drawn in red."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightning_modules.callbacks.figures import confusion_figure, prediction_grid, render
from lightning_modules.callbacks.predictions import count, predictions

VALUES = ("red", "green", "light blue")


def test_counts_are_true_by_predicted():
    counts = torch.zeros(3, 3, dtype=torch.int64)
    logits = torch.eye(3)[[0, 1, 2, 2]]
    label = torch.eye(3)[[0, 0, 2, 1]]
    known = torch.ones(4, 3, dtype=torch.bool)
    known[3] = False
    count(counts, logits, label, known)
    count(counts, logits[:2], label[:2], known[:2])
    assert counts.tolist() == [[2, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_predictions_say_what_is_true_what_is_wrong_and_what_is_unknown():
    image = torch.zeros(3, 3, 4, 5, dtype=torch.uint8)
    label = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    known = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 0, 0]]).bool()
    logits = torch.log(torch.tensor([[8.0, 1, 1], [6, 3, 1], [1, 1, 2]]))
    found = predictions(image, label, known, logits, values=VALUES)
    assert [each.truth for each in found] == ["red, green", "green", ""]
    assert [each.predicted for each in found] == ["red", "red", "light blue"]
    assert [each.correct for each in found] == [True, False, None]
    assert [each.confidence for each in found] == pytest.approx([0.8, 0.6, 0.5])
    assert found[0].image.shape == (4, 5, 3)
    alone = predictions(image, label, known, logits, values=VALUES, is_sigmoid=True)
    assert alone[0].confidence == pytest.approx(8 / 9)


def is_red(picture):
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    return (red > 150) & (green < 80) & (blue < 80)


def grid_of(correct, *, is_known=True):
    image = torch.full((6, 3, 8, 8), 90, dtype=torch.uint8)
    label = F.one_hot(torch.tensor(correct) * 0, 3)
    logits = torch.eye(3)[[0 if right else 1 for right in correct]] * 5
    known = torch.full((6, 3), is_known)
    return render(
        prediction_grid(predictions(image, label, known, logits, values=VALUES), title="")
    )


def test_only_wrong_predictions_are_red():
    assert not is_red(grid_of([1, 1, 1, 1, 1, 1])).any()
    one, all_wrong = is_red(grid_of([1, 1, 0, 1, 1, 1])), is_red(grid_of([0] * 6))
    assert 0 < one.sum() < all_wrong.sum()
    columns = np.nonzero(one.any(axis=0))[0] / one.shape[1]
    assert columns.min() > 2 / 6 - 0.02
    assert columns.max() < 3 / 6 + 0.02  # under the third picture
    assert not is_red(grid_of([0] * 6, is_known=False)).any()


def test_the_confusion_matrix_is_dark_where_a_row_is_concentrated():
    diagonal = render(confusion_figure(np.eye(3, dtype=int) * 9, VALUES, title=""))
    spread_out = render(confusion_figure(np.full((3, 3), 3), VALUES, title=""))
    dark = [(picture.sum(axis=-1) < 300).mean() for picture in (diagonal, spread_out)]
    assert dark[0] > dark[1] + 0.1
    assert not is_red(diagonal).any()
    assert is_red(spread_out).any()


def test_figures_leave_pyplot_alone():
    import matplotlib
    from matplotlib import pyplot

    before = pyplot.get_fignums(), dict(matplotlib.rcParams)
    render(confusion_figure(np.eye(3, dtype=int), VALUES, title=""))
    assert (pyplot.get_fignums(), dict(matplotlib.rcParams)) == before
