"""The attributes that a command asks of images: their values as texts, and what is true."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.adapters import Question as Labelled
from interpret.parts import Asked, PartScores, score_parts
from interpret.subject import Items, Subject


@dataclass(frozen=True)
class Question:
    """All values of some attributes.

    Args:
        attributes: names.
        names: of the texts: "color: red".
        texts_TE: unit embeddings of the texts.
    """

    attributes: dict[str, tuple[str, ...]]
    names: tuple[str, ...]
    texts_TE: Tensor


def add_attributes(command: argparse.ArgumentParser) -> None:
    """The flag that chooses attributes."""
    command.add_argument(
        "--attributes", nargs="+", default=[],
        help="to ask about (default: all that the source annotates)",
    )  # fmt: skip


def question(subject: Subject, asked: list[str]) -> Question:
    """The texts of some attributes, all annotated ones by default.

    Raises:
        InputError: if an attribute is not annotated.
    """
    names = tuple(asked) or subject.annotated
    if missing := [name for name in names if name not in subject.annotated]:
        raise InputError(
            f"--attributes: expected some of {', '.join(subject.annotated) or 'none'}, which "
            f"{subject.data.source_name} annotates, got {missing[0]!r}."
        )
    values = {name: subject.data.dictionary.attribute(name).texts for name in names}
    texts = [f"{name}: {value}" for name in names for value in values[name]]
    return Question(values, tuple(texts), torch.cat([subject.value_texts(n) for n in names]))


def scores_of(
    subject: Subject, asked: Question, items: Items, text: str
) -> tuple[PartScores, list[Asked]]:
    """Scores of all parts of some images, and what is true of these images.

    Attributes of which no image is known are left out.
    """
    batches = subject.batches(items, text)
    scores = score_parts(subject.tower, batches, asked.texts_TE, asked.names)
    found = []
    for name, values in asked.attributes.items():
        label = subject.labels(name, items)
        if (label >= 0).any():
            found.append(Asked.of(name, scores, [f"{name}: {value}" for value in values], label))
    return scores, found


def labelled(subject: Subject, names: Sequence[str], items: Items) -> dict[str, Labelled]:
    """Attributes asked of some images, one by one.

    Args:
        subject: model and data.
        names: of annotated attributes.
        items: image numbers.
    """
    return {
        name: Labelled(
            name,
            subject.data.dictionary.attribute(name).texts,
            subject.value_texts(name),
            subject.labels(name, items),
        )
        for name in names
    }
