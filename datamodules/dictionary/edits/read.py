"""`edits.yaml` -> `Edits`, with the line of whatever is wrong.

The nodes are read, not the objects that YAML makes of them: these have no lines, a key that stands
twice has lost its first value, and `no` has become False.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from datamodules.dictionary.edits.check import check
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.edits.words import tidy
from datamodules.dictionary.lookup import word_key
from datamodules.dictionary.records import AnchorType
from datamodules.dictionary.yaml_file import read_yaml
from datamodules.errors import InputError

_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_BOOLEAN = "tag:yaml.org,2002:bool"


def load_edits(path: Path) -> Edits:
    """Read a file of edits. An empty file is no edits.

    Raises:
        InputError: if the file is missing or is not YAML, or an entry is unknown, of the wrong
            shape, or contradicts another one; the message names file and line.
    """
    reader = _Reader(Path(path))
    sections: dict[str, Callable[[Node], Any]] = {
        "types": reader.kinds,
        "move": lambda node: reader.texts("move", node, "word: attribute"),
        "merge": lambda node: reader.families("merge", node),
        "split": lambda node: reader.families("split", node),
        "rename": lambda node: reader.texts("rename", node, "word: display name"),
        "drop": lambda node: reader.words("drop", node),
        "keep": lambda node: reader.words("keep", node),
        "select": lambda node: reader.words("select", node),
    }
    found: dict[str, Any] = {}
    for name, key, node in reader.top():
        if name not in sections:
            raise reader.wrong(key, f"one of {', '.join(sections)}", repr(name))
        if node.tag != _NULL:  # a section whose lines are all commented out
            found[name] = sections[name](node)
    edits = Edits(**found, places=reader.places)
    check(edits)
    return edits


def _shape(node: Node) -> str:
    shapes = {MappingNode: "a mapping", SequenceNode: "a list", ScalarNode: "a word"}
    return shapes[type(node)] if node.value else "nothing"


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[str, str] = {}

    def top(self) -> list[tuple[str, Node, Node]]:
        """The sections of the file."""
        root = read_yaml(self.path, "edits", lambda text: yaml.compose(text, yaml.SafeLoader))
        return [] if root is None else self.pairs(root, "move, merge, drop and so on")

    def place(self, node: Node) -> str:
        return f"{self.path}, line {node.start_mark.line + 1}"

    def wrong(self, node: Node, expected: str, got: str) -> InputError:
        return InputError(f"{self.place(node)}: expected {expected}, got {got}. Correct the line.")

    def note(self, section: str, entry: str, node: Node) -> None:
        self.places.setdefault(f"{section} {entry}", self.place(node))

    def pairs(self, node: Node, what: str) -> list[tuple[str, Node, Node]]:
        """Keys and values of a mapping, each key once."""
        if not isinstance(node, MappingNode):
            raise self.wrong(node, f"a mapping of {what}", _shape(node))
        found: dict[str, tuple[str, Node, Node]] = {}
        for key, value in node.value:
            text = self.text(key)
            if text in found:
                first = found[text][1].start_mark.line + 1
                raise self.wrong(key, "each key once", f"{text!r} again, after line {first}")
            found[text] = (text, key, value)
        return list(found.values())

    def items(self, node: Node, what: str) -> list[Node]:
        if not isinstance(node, SequenceNode) or not node.value:
            raise self.wrong(node, f"a list of {what}", _shape(node))
        children: list[Node] = node.value
        return children

    def text(self, node: Node) -> str:
        """A word or name: text that is not empty and fits on a line."""
        if not isinstance(node, ScalarNode):
            raise self.wrong(node, "a word", _shape(node))
        if node.tag != _TEXT:
            why = ""
            if node.value:
                kind = "yes or no" if node.tag == _BOOLEAN else "something other than text"
                why = f", which YAML reads as {kind}: write it in quotes"
            raise self.wrong(node, "a word", f"{node.value or 'nothing'}{why}")
        try:
            return tidy(node.value)
        except ValueError as error:
            raise self.wrong(node, "a word", str(error)) from None

    def texts(self, section: str, node: Node, what: str) -> dict[str, str]:
        found = {}
        for key, at, value in self.pairs(node, f"`{what}`"):
            found[key] = self.text(value)
            self.note(section, key, at)
        return found

    def words(self, section: str, node: Node) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for item in self.items(node, "words"):
            found[self.text(item)] = None
            self.note(section, self.text(item), item)
        return tuple(found)

    def families(self, section: str, node: Node) -> tuple[tuple[str, ...], ...]:
        """Lists of two or more different words."""
        found = []
        for item in self.items(node, "lists of words"):
            words = tuple(self.text(word) for word in self.items(item, "words"))
            if len(words) < 2 or len(set(map(str.casefold, words))) < len(words):
                raise self.wrong(item, "two or more different words", f"[{', '.join(words)}]")
            self.note(section, words[0], item)
            found.append(words)
        return tuple(dict.fromkeys(found))

    def kinds(self, node: Node) -> tuple[AnchorType, ...]:
        found: dict[str, AnchorType] = {}
        for name, key, fields in self.pairs(node, "`name: {seeds: [word, ...]}`"):
            if word_key(name) in found:
                raise self.wrong(key, "each kind once", f"{name!r} again")
            found[word_key(name)] = self._kind(name, fields)
            self.note("types", name, key)
        return tuple(found.values())

    def _kind(self, name: str, node: Node) -> AnchorType:
        seeds: dict[str, None] = {}
        selected = True
        for field, key, value in self.pairs(node, "`seeds: [word, ...]`"):
            if field in ("seeds", "names"):
                for item in self.items(value, "words"):
                    seeds[word_key(self.text(item))] = None
            elif field == "selected" and value.tag == _BOOLEAN:
                selected = value.value.casefold() in ("yes", "true", "on")
            else:
                expected = "names, seeds or selected (true or false)"
                raise self.wrong(key, f"{expected} under {name!r}", field)
        if not seeds:
            raise self.wrong(node, f"seeds or names of the kind {name!r}", "none")
        return AnchorType(name, tuple(seeds), selected=selected)
