"""Pools of texts that heads, directions and images are named with.

Texts that differ in case or blanks alone are one text to CLIP's tokenizer, so they count as one.

Shape letters: T texts of a pool, E embedding width.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from datamodules.dictionary import Attribute, Dictionary
from datamodules.errors import InputError
from datamodules.files import read_json
from datamodules.prompts import prompts
from datamodules.wording import templates_of
from lightning_modules.backbone import Backbone
from lightning_modules.value_text import value_embeddings

OnDuplicate = Literal["refuse", "drop", "keep"]
Form = Literal["values", "phrases", "both"]
_log = logging.getLogger(__name__)
_SHOWN = 3  # repeated texts that a message names


@dataclass(frozen=True)
class TextPool:
    """Texts, at least one.

    Args:
        name: where they come from, for messages and reports.
        texts: T texts.
        owners: for each, the attributes or classes that it belongs to; () where there are none.

    Raises:
        InputError: if there is no text.
    """

    name: str
    texts: tuple[str, ...]
    owners: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.texts:
            raise InputError(f"expected texts in {self.name}, got none. Give at least one text.")

    def __len__(self) -> int:
        return len(self.texts)


def read_pool(path: Path, on_duplicate: OnDuplicate = "refuse") -> TextPool:
    """Read a UTF-8 file of one text a line; blank lines and lines that open with "# " are skipped.

    Args:
        path: the file.
        on_duplicate: what to do with texts that come again: refuse the file, drop all but the
            first, or keep them.

    Raises:
        InputError: if the file cannot be read, has no text, or has one twice and may not.
    """
    if on_duplicate not in get_args(OnDuplicate):
        raise InputError(
            f"expected --on_duplicate {', '.join(get_args(OnDuplicate))}, got {on_duplicate!r}."
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"expected a file of texts at {path}, found none.") from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected UTF-8 text in {path}, got other bytes ({error}). Save it as UTF-8."
        ) from None
    texts = [
        (number, line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("# ")
    ]
    places: dict[str, list[int]] = {}
    for number, text in texts:
        places.setdefault(_key(text), []).append(number)
    again = {key: numbers for key, numbers in places.items() if len(numbers) > 1}
    if again and on_duplicate == "refuse":
        raise InputError(
            f"expected each text once in {path}, got {_repeated(lines, again)}. Remove them, or "
            "pass --on_duplicate drop."
        )
    if again and on_duplicate == "drop":
        texts = [(number, text) for number, text in texts if places[_key(text)][0] == number]
        _log.warning("%s: only the first is taken of %s.", path, _repeated(lines, again))
    return TextPool(str(path), tuple(text for _, text in texts))


def dictionary_pool(
    dictionary: Dictionary, attributes: Iterable[str] = (), form: Form = "both"
) -> TextPool:
    """The values of a dictionary's attributes, and the phrases they are asked in.

    Args:
        dictionary: the dictionary.
        attributes: which; those selected by default.
        form: "values" ("red"), "phrases" ("a red object", as the attribute's prompts are), or both.

    Returns:
        Each text once, with all attributes that have it.

    Raises:
        InputError: if an attribute is unknown, or there is no value.
    """
    pairs = [
        (text, entry.name)
        for entry in map(dictionary.attribute, tuple(attributes) or dictionary.names)
        for text in _texts_of(entry, form)
    ]
    return _owned(f"the dictionary of {dictionary.source}", pairs)


def descriptor_pool(path: Path) -> TextPool:
    """Descriptors of classes from a JSON file {class: [descriptor, ...]}.

    The layout of Menon and Vondrick (ICLR 2023, https://arxiv.org/abs/2210.07183).

    Returns:
        Each descriptor once, with all classes that have it.

    Raises:
        InputError: if the file is missing, of another layout, or without descriptors.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(
            f"expected {{class: [descriptor, ...]}} in {path}, got {type(content).__name__}."
        )
    for name, texts in content.items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError(
                f"expected a list of texts for the class {name!r} in {path}, got {texts!r:.60}."
            )
    pairs = [(text, name) for name, texts in content.items() for text in texts]
    return _owned(str(path), pairs)


@torch.no_grad()
def encode_pool(backbone: Backbone, pool: TextPool) -> Tensor:
    """Unit-norm embeddings (T, E) of the texts as they are, without any template; float32.

    Texts longer than the model's context are cut, as its tokenizer does.
    """
    return value_embeddings(backbone.model, backbone.tokenizer, [[text] for text in pool.texts])


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _repeated(lines: list[str], again: dict[str, list[int]]) -> str:
    shown = [
        f"{lines[numbers[0] - 1].strip()!r} in lines {', '.join(map(str, numbers))}"
        for numbers in list(again.values())[:_SHOWN]
    ]
    more = f" and {len(again) - _SHOWN} more" if len(again) > _SHOWN else ""
    return "; ".join(shown) + more


def _texts_of(entry: Attribute, form: Form) -> list[str]:
    values = [] if form == "phrases" else list(entry.texts)
    if form == "values":
        return values
    templates = templates_of(entry)
    return values + [phrase for text in entry.texts for phrase in prompts(text, templates)]


def _owned(name: str, pairs: Iterable[tuple[str, str]]) -> TextPool:
    """A pool of (text, owner): each text once, in its first spelling."""
    texts: dict[str, str] = {}
    owners: dict[str, dict[str, None]] = {}
    for text, owner in pairs:
        if text.strip():
            texts.setdefault(_key(text), text.strip())
            owners.setdefault(_key(text), {})[owner] = None
    return TextPool(name, tuple(texts.values()), tuple(map(tuple, owners.values())))
