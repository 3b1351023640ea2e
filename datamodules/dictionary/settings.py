"""What a person may turn: kinds of attribute with seed words, and the builder's thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from datamodules.dictionary.records import AnchorType, Mode
from datamodules.errors import InputError
from datamodules.normalize import normalize

DEFAULT_TYPES = Path(__file__).with_name("types.yaml")


def load_types(path: Path | None = None) -> tuple[AnchorType, ...]:
    """Read the kinds of attribute and their seed words; without `path`, the ones shipped here.

    Raises:
        InputError: if the file is missing, is not YAML, or a kind has no seed words, or two kinds
            share one.
    """
    import yaml

    path = path or DEFAULT_TYPES
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"--types: expected a YAML file at {path}, found none.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--types: expected YAML in {path}, got: {error}.") from None
    if not isinstance(raw, dict) or not raw:
        raise InputError(
            f"--types: expected `name: {{seeds: [word, ...]}}` lines in {path}, got {raw!r}."
        )
    kinds = tuple(_kind(str(name), entry, path) for name, entry in raw.items())
    _refuse_shared_seeds(kinds, path)
    return kinds


def _kind(name: str, entry: Any, path: Path) -> AnchorType:
    seeds = entry.get("seeds") if isinstance(entry, dict) else None
    # YAML 1.1 reads a bare yes/no/on/off as a Boolean, so those words must be quoted.
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, str) for seed in seeds):
        raise InputError(
            f"--types: expected `{name}: {{seeds: [word, ...]}}` in {path}, got {entry!r}. "
            'Give at least one seed word; write "yes", "no", "on" and "off" in quotes.'
        )
    unknown = sorted(set(entry) - {"seeds", "selected"})
    if unknown:
        raise InputError(
            f"--types: expected only `seeds` and `selected` under {name!r} in {path}, got "
            f"{', '.join(unknown)}."
        )
    words = tuple(dict.fromkeys(normalize(seed) for seed in seeds))
    return AnchorType(name=name, seeds=words, found=(), selected=bool(entry.get("selected", True)))


def _refuse_shared_seeds(kinds: tuple[AnchorType, ...], path: Path) -> None:
    owner: dict[str, str] = {}
    for kind in kinds:
        for seed in kind.seeds:
            if seed in owner:
                raise InputError(
                    f"--types: the seed word {seed!r} in {path} stands under {owner[seed]!r} and "
                    f"{kind.name!r}. Keep it under one."
                )
            owner[seed] = kind.name


@dataclass(frozen=True)
class Settings:
    """Thresholds of the builder, all in plain units.

    Args:
        mode: how words are typed: by seed words with HDBSCAN for the rest, or by HDBSCAN alone.
        min_count: smallest number of captions that mention a word.
        max_words: the most frequent words kept for clustering.
        min_lift: how many times more often than by chance a word must come back in another caption
            of the same image before it counts as saying something about the image. Scene words
            ("picture", "object") stay near 1, a value held by a share p of the images comes near 1
            / p.
        nearest: how many nearest seed words are averaged into a word's score.
        min_score: smallest score, a cosine from -1 to 1, that gives a word a type.
        min_margin: smallest lead of the best type over the second.
        exclusive_overlap: an attribute is exclusive when its values share an image at most this
            many times as often as independent words would.
        vector_size: width of the word vectors.
        window: words of context on either side; small, because neighbours tell a word's slot.
        epochs: fewest passes over the captions.
        updates: words read in training, at least: few captions get more passes, up to 100.
        pca: principal components kept before HDBSCAN.
        min_cluster_size: smallest HDBSCAN cluster, in words.
    """

    mode: Mode = "anchored"
    types: tuple[AnchorType, ...] = field(default_factory=load_types)
    min_count: int = 5
    max_words: int = 4000
    min_lift: float = 1.3
    nearest: int = 3
    min_score: float = 0.35
    min_margin: float = 0.1
    exclusive_overlap: float = 0.02
    vector_size: int = 48
    window: int = 2
    epochs: int = 5
    updates: int = 1_000_000
    pca: int = 10
    min_cluster_size: int = 3

    def thresholds(self) -> dict[str, Any]:
        """Every setting except the types, which the dictionary lists on their own."""
        known = asdict(self)
        return {entry.name: known[entry.name] for entry in fields(self) if entry.name != "types"}
