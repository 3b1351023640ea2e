"""Masked scores of many attributes against scikit-learn on the labelled entries alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, recall_score

from datamodules.errors import InputError
from lightning_modules.metrics import MaskedAttributeScores, average_precision
from lightning_modules.metrics.masked import average_precision_of_entries, in_top

NUM_IMAGES, NUM_VALUES = 200, 40
GROUPS = {"color": [0, 3, 5, 38], "tail": [5, 39]}


@pytest.fixture
def labelled():
    """Logits with ties, a tenth of the labels known; 38 has no known positive, 39 no negative."""
    random = torch.Generator().manual_seed(0)
    label = (torch.rand(NUM_IMAGES, NUM_VALUES, generator=random) < 0.4).to(torch.int8)
    noise = torch.randn(NUM_IMAGES, NUM_VALUES, generator=random)
    logits = (noise + 1.5 * label - 0.5).mul(4).round() / 4
    known = torch.rand(NUM_IMAGES, NUM_VALUES, generator=random) < 0.1
    label[known[:, 38], 38], label[known[:, 39], 39] = 0, 1
    return logits, label, known


def in_batches(metric, arrays, size=64):
    for batch in zip(*(each.split(size) for each in arrays), strict=True):
        metric.update(*batch)
    return metric.compute()


def top_15(logits):
    """The 15 highest of each row, the first of equals first, one row at a time."""
    chosen = np.zeros(logits.shape, bool)
    for row, values in enumerate(logits.tolist()):
        ranked = sorted(range(len(values)), key=lambda column: (-values[column], column))
        chosen[row, ranked[:15]] = True
    return chosen


def expected(logits, label, known, values):
    """The four scores of some attributes by scikit-learn."""
    top, precision, recall, balanced = top_15(logits), [], [], []
    for value in values:
        rows = known[:, value]
        true, score = label[rows, value].numpy(), logits[rows, value].numpy()
        if 0 < true.sum() < len(true):
            precision.append(average_precision_score(true, score))
            balanced.append(balanced_accuracy_score(true, score > 0))
        if true.any():
            recall.append(recall_score(true, top[rows.numpy(), value]))
    some = known[:, values]
    f1 = f1_score(label[:, values][some], torch.from_numpy(top)[:, values][some])
    return [np.mean(precision), np.mean(recall), np.mean(balanced), f1]


NAMES = ("map", "mean_recall_at_15", "balanced_accuracy", "f1_at_15")


def test_scores_are_scikit_learns_on_labelled_entries(labelled):
    found = in_batches(MaskedAttributeScores(NUM_VALUES, groups=GROUPS), labelled)
    for group, values in {"": list(range(NUM_VALUES)), **GROUPS}.items():
        end = f"_{group}" if group else ""
        np.testing.assert_allclose(
            [found[f"{name}{end}"].item() for name in NAMES],
            expected(*labelled, values),
            rtol=1e-6,
            err_msg=group,
        )
    assert len(found) == 12


def test_what_unknown_labels_say_never_matters(labelled):
    logits, label, known = labelled
    one = in_batches(MaskedAttributeScores(NUM_VALUES), labelled)
    other = in_batches(
        MaskedAttributeScores(NUM_VALUES), (logits, torch.where(known, label, 1 - label), known)
    )
    assert one == other


def test_unknown_attributes_still_take_places_among_the_top():
    logits = torch.tensor([[3.0, 2.0, 1.0]])
    label, known = torch.tensor([[1, 1, 1]]), torch.tensor([[False, True, True]])
    metric = MaskedAttributeScores(3, top=2)
    metric.update(logits, label, known)
    assert metric.compute()["mean_recall_at_2"].item() == 0.5


def test_logits_below_zero_are_among_the_top_all_the_same():
    metric = MaskedAttributeScores(20)
    label = (torch.arange(20) < 10)[None]
    metric.update(-1.0 - torch.arange(20.0)[None], label, torch.ones(1, 20, dtype=torch.bool))
    found = metric.compute()
    assert found["mean_recall_at_15"].item() == 1.0
    assert found["f1_at_15"].item() == pytest.approx(2 * 10 / (2 * 10 + 5))
    assert found["map"].isnan()


def test_the_threshold_of_probabilities_is_a_half(labelled):
    logits, label, known = labelled
    on_logits = in_batches(MaskedAttributeScores(NUM_VALUES), labelled)
    on_shares = in_batches(
        MaskedAttributeScores(NUM_VALUES, threshold=0.5), (logits.sigmoid(), label, known)
    )
    assert on_logits["balanced_accuracy"] == on_shares["balanced_accuracy"]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.booleans()), max_size=30),
)
def test_precision_of_entries_is_that_of_a_dense_matrix(entries):
    value, score, positive = (torch.tensor([entry[i] for entry in entries]) for i in range(3))
    sparse = average_precision_of_entries(score.float(), value.long(), positive.bool(), 4)
    known = torch.zeros(len(entries), 4, dtype=torch.bool)
    known[torch.arange(len(entries)), value.long()] = True
    dense = average_precision(
        score.float()[:, None].expand(-1, 4), positive.bool()[:, None].expand(-1, 4), known
    )
    torch.testing.assert_close(sparse.float(), dense, equal_nan=True)


def test_only_labelled_entries_are_kept(labelled):
    metric = MaskedAttributeScores(NUM_VALUES)
    in_batches(metric, labelled)
    num_known = int(labelled[2].sum())
    assert len(metric.vector("scores")) == len(metric.vector("codes")) == num_known


def test_the_top_of_a_short_row_is_all_of_it():
    assert in_top(torch.zeros(2, 3), 15).all()


def test_no_label_no_score():
    metric = MaskedAttributeScores(4, groups={"none": []})
    metric.update(torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, 4))
    metric.update(torch.zeros(2, 4), torch.ones(2, 4), torch.zeros(2, 4, dtype=torch.bool))
    assert all(score.isnan() for score in metric.compute().values())


def test_without_a_known_positive_there_is_nothing_to_find():
    metric = MaskedAttributeScores(4, groups={"last": [3]})
    metric.update(torch.zeros(2, 4), torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool))
    assert all(score.isnan() for score in metric.compute().values())


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError) as caught:
        MaskedAttributeScores(4, groups={"color": [1, 4]})
    assert str(caught.value) == (
        "expected attributes from 0 to 3 in group 'color', got 4. Give the positions of its "
        "attributes among the logits."
    )
    with pytest.raises(InputError) as caught:
        MaskedAttributeScores(4).update(torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 3))
    assert str(caught.value) == (
        "expected logits, label and known (B, 4), got (2, 4), (2, 4) and (2, 3). Give one row an "
        "image and one column an attribute."
    )
