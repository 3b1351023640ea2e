"""What the real `fit` leaves for TensorBoard: the tags that README and design promise."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCALARS = {
    "loss/train", "loss/val", "accuracy/val", "accuracy_macro/val", "score/val", "keep/train",
    "lr-AdamW", "time/throughput (images/s)", "hp/score", "epoch",
}  # fmt: skip


@pytest.fixture(scope="module")
def events(fitted):
    accumulator = EventAccumulator(str(fitted.run), size_guidance={"scalars": 0})
    accumulator.Reload()
    return accumulator


def test_scalars_are_those_promised(events):
    assert set(events.Tags()["scalars"]) == SCALARS


def test_each_epoch_has_one_validation_and_each_step_a_loss(events):
    assert len(events.Scalars("score/val")) == 4
    assert [each.step for each in events.Scalars("loss/train")] == list(range(4 * 4))


def test_best_score_stands_beside_the_settings(events):
    best = max(each.value for each in events.Scalars("score/val"))
    assert events.Scalars("hp/score")[-1].value == pytest.approx(best)
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for setting in (b"attribute", b"lora_alpha", b"keep_weight"):
        assert setting in content


def test_rate_warms_up_and_falls(events):
    rates = [each.value for each in events.Scalars("lr-AdamW")]
    assert rates[0] < max(rates)
    assert rates[-1] < 0.1 * max(rates)


def test_predictions_confusion_and_dictionary_are_drawn(events):
    assert {"predictions/val", "confusion/val"} <= set(events.Tags()["images"])
    text = events.Tensors("dictionary/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| red |" in text


def test_value_embeddings_open_in_the_projector(fitted):
    config = (fitted.run / "projector_config.pbtxt").read_text()
    assert "values_and_images" in config
    metadata = next(fitted.run.rglob("metadata.tsv")).read_text().splitlines()
    assert sum(line.endswith("\tvalue") for line in metadata) == 12
    assert sum(line.endswith("\timage") for line in metadata) == 60
