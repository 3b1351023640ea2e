"""Free captions of scenes: people name some attributes and leave out the others.

A caption is fixed by (values it mentions, style, filler): equal mentions in equal style give equal
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from datamodules.counter_random import uniform
from datamodules.sources.glyphs.world import ATTRIBUTES, Floats, Ints, Scenes

Mention = tuple[str, ...]  # attributes a caption names

FILLERS = ("object", "thing", "figure", "item")
WRAPPERS = (
    "{}",
    "a picture of {}",
    "{} on a mottled background",
    "there is {}",
    "a drawing of {}",
    "{} in the image",
)
NUM_STYLES = len(WRAPPERS) + 2  # the wrappers, then "the ... is ...", then "something ..."
# How often a caption names exactly these: color and shape often, size and texture seldom, as people
# do.
MENTIONS: dict[Mention, float] = {
    ("color",): 0.14, ("shape",): 0.14, ("texture",): 0.08, ("size",): 0.07,
    ("color", "shape"): 0.17, ("texture", "shape"): 0.07, ("size", "shape"): 0.07,
    ("size", "color"): 0.04, ("color", "texture"): 0.04,
    ("size", "color", "shape"): 0.06, ("color", "texture", "shape"): 0.06,
    ("size", "color", "texture", "shape"): 0.06,
}  # fmt: skip
_ORDER = ("size", "color", "texture")


def caption(values: Mapping[str, str], *, style: int, filler: int = 0) -> str:
    """One caption that names `values` and nothing else.

    Args:
        values: attribute -> value, at least one.
        style: 0 to `NUM_STYLES` - 1, the form of the sentence.
        filler: which general noun stands in for a shape that is not named.

    Example:
        >>> caption({"color": "orange", "shape": "star"}, style=1)
        'a picture of an orange star'
        >>> caption({"size": "large", "color": "blue"}, style=7)
        'something large and blue'
    """
    noun = values.get("shape", FILLERS[filler % len(FILLERS)])
    adjectives = [values[name] for name in _ORDER if name in values]
    if (
        style >= len(WRAPPERS)
        and adjectives
        and not (style == NUM_STYLES - 1 and "shape" in values)
    ):
        subject = f"the {noun} is" if style == len(WRAPPERS) else "something"
        return f"{subject} {' and '.join(adjectives)}"
    phrase = " ".join([*adjectives, noun])
    article = "an" if phrase[0] in "aeiou" else "a"
    return WRAPPERS[style % len(WRAPPERS)].format(f"{article} {phrase}")


def captions(
    scenes: Scenes, *, seed: int, stream: str, index: Ints, count: int = 5
) -> list[list[str]]:
    """`count` captions for each scene, a pure function of (seed, stream, index).

    Args:
        scenes: N scenes, those of (seed, stream, index).
        seed: seed of the world.
        stream: name of the stream.
        index: shape (N,), number of each scene in the stream.
        count: captions of each scene.
    """
    u = uniform(seed, f"{stream}/captions", index, 3 * count).reshape(len(scenes), count, 3)
    mentions = list(MENTIONS)
    chosen = np.searchsorted(np.cumsum(list(MENTIONS.values())), u[..., 0] * 0.999)
    labels = scenes.said()
    return [
        [
            caption(
                named(row, mentions[m]), style=int(s * NUM_STYLES), filler=int(f * len(FILLERS))
            )
            for m, s, f in zip(chosen[i], u[i, :, 1], u[i, :, 2], strict=True)
        ]
        for i, row in enumerate(labels)
    ]


def named(labels: Sequence[int], mention: Mention) -> dict[str, str]:
    """The values of the mentioned attributes, from one row of `Scenes.said()`."""
    return {
        name: ATTRIBUTES[name][labels[column]]
        for column, name in enumerate(ATTRIBUTES)
        if name in mention
    }


def same_mention(scenes: Scenes, mention: Mention, u: Floats) -> list[str]:
    """One caption a scene, all naming the same attributes in the same words.

    Two captions are then equal exactly when they are true of the same scenes, so that within a
    batch every other caption is a true negative.

    Args:
        scenes: N scenes.
        mention: the attributes every caption names.
        u: two numbers in [0, 1) that choose style and filler.
    """
    style, filler = int(u[0] * NUM_STYLES), int(u[1] * len(FILLERS))
    return [caption(named(row, mention), style=style, filler=filler) for row in scenes.said()]
