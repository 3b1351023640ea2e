"""What is known of a data set before it is opened: where it comes from, what should lie where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Files:
    """Files that the official release has.

    Attributes:
        pattern: a path or glob below the root.
        count: how many there are.
        what: what they hold.
        required: whether the source cannot do without them.
        sha256: of a single file, with plain line ends, where it is known.
    """

    pattern: str
    count: int
    what: str
    required: bool = True
    sha256: str = ""


@dataclass(frozen=True)
class Download:
    """An archive or file with a stable public address.

    Attributes:
        url: its address.
        target: its path below the root; an archive is unpacked where it lies.
        sum: SHA-256 or MD5 as the official site or a library of record states it; "" if none does.
        size: bytes; 0 if not known.
    """

    url: str
    target: str
    sum: str = ""
    size: int = 0


@dataclass(frozen=True)
class About:
    """A data set.

    Attributes:
        name: on the command line.
        title: in full.
        homepage: where the official site is, or was.
        licence: its terms, in a few words.
        citation: authors, title, venue, year.
        get: how to get it, for messages: one sentence.
        files: what the official release holds.
        downloads: what can be fetched without asking anybody.
        class_attribute: the attribute that says what an image shows, such as the species; "" if
            there is none.
    """

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    get: str
    files: tuple[Files, ...] = ()
    downloads: tuple[Download, ...] = ()
    class_attribute: str = ""
