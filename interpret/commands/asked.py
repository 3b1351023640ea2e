"""The attributes that a command asks of images: their values as texts, and what is true."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.adapters import Question
from interpret.flags import Once
from interpret.parts import Asked, PartScores, score_parts
from interpret.subject import Items, Subject

_LEAST = 15  # with fewer, images drawn anew for an interval may all show one value


@dataclass(frozen=True)
class AttributeTexts:
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
        "--attributes", nargs="+", action=Once, default=[],
        help="to ask about (default: all that the source annotates)",
    )  # fmt: skip


def attribute_texts(subject: Subject, asked: list[str]) -> AttributeTexts:
    """The texts of some attributes, all annotated ones by default.

    Raises:
        InputError: if an attribute is not annotated.
    """
    names = annotated(subject, asked)
    values = {name: subject.data.dictionary.attribute(name).texts for name in names}
    texts = [f"{name}: {value}" for name in names for value in values[name]]
    return AttributeTexts(values, tuple(texts), torch.cat([subject.value_texts(n) for n in names]))


def annotated(subject: Subject, asked: Sequence[str]) -> tuple[str, ...]:
    """The attributes asked for: by default all annotated ones of two values or more.

    Raises:
        InputError: if one is not annotated, or has a single value, which tells nothing apart.
    """
    count = {name: len(subject.data.dictionary.attribute(name).texts) for name in subject.annotated}
    if missing := [name for name in asked if name not in subject.annotated]:
        raise InputError(
            f"--attributes: expected some of {', '.join(subject.annotated) or 'none'}, which "
            f"{subject.data.source_name} annotates, got {missing[0]!r}."
        )
    if single := [name for name in asked if count[name] < 2]:
        raise InputError(
            f"--attributes: expected two values or more of {single[0]!r} in the dictionary, got "
            "a single one. Ask for another attribute, or add values."
        )
    found = tuple(asked) or tuple(name for name in count if count[name] > 1)
    if not found:
        raise InputError(
            f"expected an attribute that {subject.data.source_name} annotates, with two values or "
            f"more in the dictionary, got none: it annotates {', '.join(count) or 'none'} of it."
        )
    return found


def told_apart(subject: Subject, asked: Sequence[str], items: Items) -> tuple[str, ...]:
    """The attributes, as of `annotated`, of which images show two values or more.

    Raises:
        InputError: if the images do not show that of an attribute that was asked for.
    """
    found = []
    for name in annotated(subject, asked):
        label_N = subject.labels(name, items)
        count_V = np.bincount(label_N[label_N >= 0], minlength=1)
        others = int(count_V.sum() - count_V.max())
        if others >= _LEAST:
            found.append(name)
        elif asked:
            raise InputError(
                f"--attributes: expected {_LEAST} images or more that show another {name} than "
                f"the commonest, got {others} of {len(items)}. Use more images, or ask for another "
                "attribute."
            )
    return tuple(found)


def scores_of(
    subject: Subject, asked: AttributeTexts, items: Items, text: str
) -> tuple[PartScores, list[Asked]]:
    """Scores of all parts of some images, and what is true of these images.

    Attributes of which no image is known are left out.
    """
    batches = subject.batches(items, text)
    scores = score_parts(subject.headed, batches, asked.texts_TE, asked.names)
    found = []
    for name, values in asked.attributes.items():
        label = subject.labels(name, items)
        if (label >= 0).any():
            found.append(Asked.of(name, scores, [f"{name}: {value}" for value in values], label))
    return scores, found


def labelled(subject: Subject, names: Sequence[str], items: Items) -> dict[str, Question]:
    """Attributes asked of some images, one by one.

    Args:
        subject: model and data.
        names: of annotated attributes.
        items: image numbers.
    """
    return {
        name: Question(
            name,
            subject.data.dictionary.attribute(name).texts,
            subject.value_texts(name),
            subject.labels(name, items),
        )
        for name in names
    }
