"""`LogDictionary`: the values of the attribute as a table (TensorBoard's TEXT tab)."""

from __future__ import annotations

import lightning as L

from datamodules.dictionary import Attribute
from lightning_modules.callbacks.surface import data_of, tensorboard

TAG = "dictionary"


class LogDictionary(L.Callback):
    """Write down what the dictionary says of the attribute, at the start of training."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table."""
        if (logger := tensorboard(trainer)) is None:
            return
        data = data_of(trainer)
        attribute = data.dictionary.attribute(data.attribute)
        text = attribute_markdown(attribute, source=data.dictionary.source)
        logger.experiment.add_text(TAG, text, global_step=trainer.global_step)


def attribute_markdown(attribute: Attribute, *, source: str) -> str:
    """The attribute's values, how many captions mention each, how they spell it, and one caption.

    Args:
        attribute: the attribute.
        source: name of the data set.
    """
    how_many = "at most one" if attribute.exclusive else "any number"
    lines = [
        f"**{_cell(attribute.name)}** in {_cell(source)}: {len(attribute.values)} values, "
        f"{how_many} of them in an image.",
        "",
        "| value | captions | spellings | example caption |",
        "| --- | ---: | --- | --- |",
    ]
    for value in attribute.values:
        spellings = ", ".join(value.spellings or (value.text,))
        example = value.examples[0] if value.examples else ""
        cells = (value.text, f"{value.count:,}", spellings, example)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that stays within one cell of a Markdown table, and is not read as HTML."""
    text = " ".join(text.split())
    for special, plain in {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|"}.items():
        text = text.replace(special, plain)
    return text
