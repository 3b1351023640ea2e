"""A source, or lists of words -> dictionary and page on disk, with progress on stderr."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.dictionary.command.request import Request, check_request, edits_path
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.word_id import word_id
from datamodules.errors import InputError
from datamodules.files import check_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from datamodules.dictionary.edits import Edits
    from datamodules.dictionary.embed import Embedder
    from datamodules.dictionary.fronts import Front
    from datamodules.dictionary.settings import Settings
    from datamodules.dictionary.words.vocabulary import Vocabulary
    from datamodules.sources import Source

    Tell = Callable[[str], None]

_STAGES = ("reading words", "embedding words", "typing and clustering", "placing words on a map")


def build_file(
    path: Path, request: Request, *, source: Source | None = None
) -> tuple[Dictionary, Path]:
    """Build and write a dictionary and its page.

    A source that states its types is taken at its word. From any other, types are found: in its
    annotations where these hold words of no type, else in the captions of its training split.

    Args:
        path: the file; the page lies beside it.
        request: what the user asked for.
        source: the data set, if it is open already.

    Returns:
        The dictionary, and the path of the page.

    Raises:
        InputError: if the source or an option is unusable; nothing is written then.
    """
    from datamodules.dictionary.edits import Edits, load_edits
    from datamodules.dictionary.report import write_report

    check_request(request)
    page = path.with_suffix(".report.html")
    check_place(path)
    check_place(page)
    file = request.edits or edits_path(path)
    edits = load_edits(file) if request.edits or file.is_file() else Edits()
    with _no_collection():
        before = _before(path)
        with _stages() as tell:
            dictionary, points = _built(request, source, edits, before, tell)
        dictionary.save(path)
        write_report(dictionary, page, points)
    return dictionary, page


def _before(path: Path) -> Dictionary | None:
    """The dictionary that stands there, if it can be read."""
    try:
        return Dictionary.load(path) if path.is_file() else None
    except InputError:
        return None  # of an older schema, or broken: it is about to be replaced


def _built(
    request: Request,
    source: Source | None,
    edits: Edits,
    before: Dictionary | None,
    tell: Tell,
) -> tuple[Dictionary, dict[str, tuple[float, float]]]:
    from datamodules.dictionary.build import build
    from datamodules.dictionary.edits import apply_edits
    from datamodules.dictionary.settings import (
        GroupingSettings,
        LikenessSettings,
        Settings,
        load_types,
    )

    types = load_types(request.types, seeds=request.seeds)
    settings = Settings(
        mode=request.mode,
        types=types,
        likeness=LikenessSettings(rules=request.rules),
        grouping=GroupingSettings(groups=request.groups),
    )
    tell(_STAGES[0])
    if request.lists:
        from datamodules.dictionary.fronts import from_mentions
        from datamodules.dictionary.given import listed, listed_attributes

        vocabulary, data_hash = _listed(request)
        known = listed_attributes(vocabulary)
        if all(vocabulary.types):
            _refuse_text(request, "which states the types of its words")
            return apply_edits(listed(request.name, known, data_hash), edits), {}
        tell(_STAGES[1])
        front = from_mentions(vocabulary, settings, _embedder(request, vocabulary.texts))
    else:
        from datamodules.dictionary.given import stated, stated_attributes, words_hash
        from datamodules.sources import load_source

        source = source or load_source(request.source, request.root)
        data_hash = words_hash(source)
        if source.states_types and request.words != "captions":
            _refuse_text(request, "whose annotations state the types of their words")
            return apply_edits(stated(source), edits), {}
        front, known = _of_source(source, request, settings, tell), stated_attributes(source)
    tell(_STAGES[2])
    dictionary = build(
        request.name, front, data_hash=data_hash, settings=settings, seed=request.seed,
        edits=edits, before=before, stated=known, backbone=_backbone(request),
    )  # fmt: skip
    tell(_STAGES[3])
    return dictionary, _points(dictionary, front)


def _listed(request: Request) -> tuple[Vocabulary, str]:
    """The words of the lists, and the hash of the files."""
    from datamodules.dictionary.words.mention import read_list
    from datamodules.dictionary.words.vocabulary import count
    from datamodules.files import sha256_file, sha256_json

    vocabulary = count(chain.from_iterable(map(read_list, request.lists)))
    return vocabulary, sha256_json([sha256_file(path) for path in request.lists])


def _of_source(source: Source, request: Request, settings: Settings, tell: Tell) -> Front:
    from datamodules.dictionary.fronts import from_captions, from_mentions
    from datamodules.dictionary.given import words_of

    if (request.words or words_of(source)) == "captions":
        _refuse_text(request, "whose captions are what word2vec is trained on")
        embedder = _caption_embedder(request)
        tell(_STAGES[1])
        captions = source.captions("train")
        return from_captions(captions, settings, seed=request.seed, embedder=embedder)
    from datamodules.dictionary.words.vocabulary import count_table

    vocabulary = count_table(source)
    tell(_STAGES[1])
    embedder = _embedder(request, vocabulary.texts)
    return from_mentions(vocabulary, settings, embedder, table=source.annotations)


def _embedder(request: Request, phrases: Iterable[str]) -> Embedder:
    """What embeds words of no stated type; word2vec is trained on them and on running text."""
    from datamodules.dictionary.embed import Word2VecSettings, open_embedder, sources_of
    from datamodules.dictionary.embed.corpus import RUNNING_TEXT, read_text, shared_words

    spec = request.embedder or "sentence"
    sources = sources_of(spec)
    if request.text and "word2vec" not in sources:
        raise InputError(
            f"--text: expected word2vec, which is trained on it, in --embedder, got {spec!r}. Give "
            f"--embedder {spec}+0.5*word2vec, or leave --text out."
        )
    settings = RUNNING_TEXT if request.text or "wordnet" in sources else Word2VecSettings()
    text = shared_words(chain.from_iterable(map(read_text, request.text)))
    return open_embedder(
        spec,
        sentences=[*(phrase.split() for phrase in phrases), *text],
        word2vec=replace(settings, seed=request.seed),
    )


def _caption_embedder(request: Request) -> Embedder | None:
    """What embeds the words of captions; None trains word2vec on the captions."""
    from datamodules.dictionary.embed import open_embedder, sources_of

    spec = request.embedder or "word2vec"
    sources = sources_of(spec)
    if "word2vec" not in sources:
        return open_embedder(spec)
    if len(sources) > 1:
        raise InputError(
            f"--embedder: expected word2vec alone for the captions of {request.source}, or vectors "
            f"without it, got {spec!r}. Leave one of them out."
        )
    return None


def _refuse_text(request: Request, why: str) -> None:
    if request.text:
        raise InputError(
            "--text: expected --list FILE, or a source of words whose types are not known, got "
            f"{request.source}, {why}. Leave --text out."
        )


def _backbone(request: Request) -> Embedder | None:
    from datamodules.dictionary.embed import open_embedder

    return open_embedder(request.backbone) if request.backbone else None


def _points(dictionary: Dictionary, front: Front) -> dict[str, tuple[float, float]]:
    """Where the page draws each word that is frequent enough to be clustered."""
    from datamodules.dictionary.report.map import map_points

    row_of = {
        word_id(front.words[row].key): number for number, row in enumerate(front.rows[: front.head])
    }
    ids = [value.id for attribute in dictionary.attributes for value in attribute.values]
    ids += [loose.id for loose in dictionary.unassigned]
    ids = [each for each in dict.fromkeys(ids) if each in row_of]
    places = map_points(ids, front.features_CD[[row_of[each] for each in ids]])
    return {each: (x, y) for each, (x, y) in zip(ids, places.tolist(), strict=True)}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Records are made by the ten thousand and none is garbage: to look for it takes a tenth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _stages() -> Iterator[Tell]:
    """A progress bar that names the stage; on stderr, gone when it is done."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (
        *Progress.get_default_columns()[:2],
        TextColumn("{task.completed}/{task.total} stages"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(_STAGES))

        def tell(name: str) -> None:
            progress.update(task, description=name, completed=_STAGES.index(name))

        yield tell
