"""What a fit has seen and what chose its result: the protocol field of everything it writes."""

from __future__ import annotations

from typing import Any

from composition.composer import Composer
from datamodules.tasks import TasksDataModule

_START_ALONE = {"images": "unlabelled training images", "gauss-newton": "labelled training images"}


def protocol(model: Composer, data: TasksDataModule) -> dict[str, Any]:
    """Which split selected, which are reported, and the class of information used.

    Args:
        model: after its fit.
        data: its tasks.
    """
    only_start = model.is_start_alone
    if only_start:
        information = _START_ALONE.get(model.hparams["start"], "no data")
        selected_on = "nothing: the start"
    else:
        information = model.objective.information
        selected_on = "validation" if model.objective.uses_labels else "nothing: the last epoch"
    splits = [split for task in data.tasks.values() for split in task.test_splits]
    return {
        "selected_on": selected_on,
        "reported_on": list(dict.fromkeys(splits)),
        "information": information,
    }
