"""The words of a dictionary in TensorBoard's embedding projector.

`tensorboard --logdir FOLDER` finds `projector_config.pbtxt`, which names the other two files; the
stand-alone projector takes them one by one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datamodules.dictionary.lookup import spellings, word_key
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError
from datamodules.files import write_text
from datamodules.text_table import one_line

_COLUMNS = ("word", "attribute", "group", "count")
_CONFIG = """embeddings {
  tensor_name: "dictionary"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""

Vectors = Mapping[str, ArrayLike] | tuple[Sequence[str], ArrayLike]


def export_projector(dictionary: Dictionary, vectors: Vectors, folder: Path) -> int:
    """Write `vectors.tsv`, `metadata.tsv` and `projector_config.pbtxt`.

    Args:
        dictionary: the dictionary; its values and unassigned words are shown.
        vectors: word -> vector, or words and one row of an array each. Words match in any spelling;
            zeros alone are no vector.
        folder: where to write; other files in it are left alone.

    Returns:
        The number of words written: those that have a vector.

    Raises:
        InputError: if no word has a vector, the vectors are not finite or of one width, or the
            files cannot be written.
    """
    of = _by_word(vectors)
    rows: list[tuple[tuple[Any, ...], NDArray[np.float32]]] = []
    for cells, keys in _words(dictionary):
        vector = next((of[key] for key in keys if key in of), None)
        if vector is not None:
            rows.append((cells, vector))
    if not rows:
        raise InputError(
            f"expected vectors of words of the {dictionary.source} dictionary, got none for any of "
            "them. Give those that it was built with."
        )
    table = _table([vector for _, vector in rows])
    stream = io.StringIO()
    np.savetxt(stream, table, fmt="%.9g", delimiter="\t")  # nine digits keep a float32 exactly
    write_text(folder / "vectors.tsv", stream.getvalue())
    lines = ["\t".join(_COLUMNS), *("\t".join(map(one_line, cells)) for cells, _ in rows)]
    write_text(folder / "metadata.tsv", "\n".join(lines) + "\n")
    write_text(folder / "projector_config.pbtxt", _CONFIG)
    return len(rows)


def embedded_words(dictionary: Dictionary, embedder: str) -> Vectors:
    """The values and unassigned words with the vectors that an embedder gives them.

    Args:
        dictionary: the dictionary.
        embedder: as `--embedder` has it, such as "sentence".

    Raises:
        InputError: if the embedder is unknown or its files are missing.
    """
    from datamodules.dictionary.embed import features, open_embedder

    texts = [value.text for each in dictionary.attributes for value in each.values]
    texts = list(dict.fromkeys([*texts, *(each.text for each in dictionary.unassigned)]))
    return texts, features(open_embedder(embedder), texts)


def _words(dictionary: Dictionary) -> list[tuple[tuple[Any, ...], tuple[str, ...]]]:
    """Cells of the metadata, and the spellings to look for."""
    found: list[tuple[tuple[Any, ...], tuple[str, ...]]] = [
        ((value.text, attribute.name, value.group, value.count), spellings(value))
        for attribute in dictionary.attributes
        for value in attribute.values
    ]
    return found + [
        ((loose.text, "unassigned", "", loose.count), (word_key(loose.text),))
        for loose in dictionary.unassigned
    ]


def _by_word(vectors: Vectors) -> dict[str, NDArray[np.float32]]:
    if isinstance(vectors, Mapping):
        pairs = list(vectors.items())
    else:
        words, rows = vectors
        table = np.asarray(rows, dtype=np.float32)
        if len(words) != len(table):
            raise InputError(f"expected a vector a word, got {len(table)} for {len(words)} words.")
        pairs = list(zip(words, table, strict=True))
    found: dict[str, NDArray[np.float32]] = {}
    for word, vector in pairs:
        row = np.asarray(vector, dtype=np.float32)
        if row.any():
            found.setdefault(word_key(word), row)
    return found


def _table(vectors: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    widths = {vector.shape for vector in vectors}
    if len(widths) > 1 or len(next(iter(widths))) != 1:
        raise InputError(f"expected vectors of one width, got the shapes {sorted(widths)}.")
    table = np.stack(vectors)
    if not np.isfinite(table).all():
        raise InputError("expected finite vectors, got some that are not.")
    return table
