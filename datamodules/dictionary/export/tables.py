"""A dictionary for other programs: tables, training configs and word lists."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from datamodules.dictionary.schema import Dictionary
from datamodules.normalize import normalize

CSV_COLUMNS = ("word", "attribute", "value", "group", "count", "evidence", "status")


def csv_text(dictionary: Dictionary) -> str:
    """A CSV table with one row a spelling, and how often it is written."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for attribute in dictionary.attributes:
        for value in attribute.values:
            for word in value.spellings or (value.text,):
                count = value.forms.get(word, value.count)
                writer.writerow(
                    [
                        word,
                        attribute.name,
                        value.text,
                        value.group,
                        count,
                        value.evidence,
                        value.status,
                    ]
                )
    return stream.getvalue()


def config_text(
    dictionary: Dictionary, path: Path, attribute: str, *, root: Path | None = None
) -> str:
    """The YAML that trains one attribute: `make train ATTR=<attribute> ARGS="--config FILE"`.

    Args:
        dictionary: the dictionary.
        path: where it is saved.
        attribute: the attribute.
        root: folder of the data set, where it is not the default one.

    Raises:
        InputError: if the dictionary does not hold the attribute.
    """
    import yaml

    name = dictionary.attribute(attribute).name
    data = {"attribute": name, "source": dictionary.source, "dictionary": str(path)}
    if root is not None:
        data["root"] = str(root)
    text: str = yaml.safe_dump({"data": data}, sort_keys=False, allow_unicode=True, width=1000)
    return f'# One attribute of a dictionary.   make train ATTR=... ARGS="--config FILE"\n{text}'


def word_types(dictionary: Dictionary) -> tuple[dict[str, str], list[str]]:
    """Every spelling with its attribute: as JSON, a reference for `dictionary evaluate`.

    Returns:
        Word -> attribute, and the words left out since they are values of several attributes.
    """
    found: dict[str, dict[str, None]] = {}
    for attribute in dictionary.attributes:
        for value in attribute.values:
            for word in (value.text, *value.forms):
                # As a reference is read: without digits and signs.
                if plain := normalize(word):
                    found.setdefault(plain, {})[attribute.name] = None
    alone = {word: next(iter(names)) for word, names in sorted(found.items()) if len(names) == 1}
    return alone, sorted(word for word, names in found.items() if len(names) > 1)
