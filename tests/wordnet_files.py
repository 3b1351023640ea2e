"""A small WordNet of our own: its database files, as wndb(5WN) describes them."""

from datamodules.dictionary.embed.wordnet.database import FILES

# Part of speech, words, type, pointers as (symbol, key), gloss; keys name synsets in pointers.
SYNSETS = {
    "thing": ("n", "entity", "n", [], "what there is"),
    "tint": ("n", "color hue", "n", [("@", "thing")], 'what the eye tells; "a warm color"'),
    "cloth": ("n", "fabric cloth", "n", [("@", "thing")], "something woven"),
    "denim": ("n", "denim jean", "n", [("@", "cloth")], "a strong fabric"),
    "wool": ("n", "wool", "n", [("@", "cloth")], "fabric of a sheep"),
    "chromatic": ("a", "chromatic", "a", [("=", "tint"), ("&", "teal")], "with a color"),
    "teal": ("a", "teal sea_green(a)", "s", [("&", "chromatic")], "blue and green"),
    "woolen": ("a", "woolen", "a", [("\\", "wool")], "made of wool"),
    "walk": ("v", "walk stroll", "v", [], 'go on foot; "walk slowly"'),
    "slowly": ("r", "slowly", "r", [], "without haste"),
}


def database(folder, synsets=SYNSETS):
    """Write index and data files in the format of wndb(5WN)."""
    lines = {part: ["  1 this is a licence\n"] for part in FILES}
    place = {}
    for key, (part, *_) in synsets.items():  # a line's length does not depend on its offsets
        place[key] = sum(map(len, lines[part]))
        lines[part].append(data_line(synsets, key, dict.fromkeys(synsets, 0), 0))
    for part, name in FILES.items():
        keys = [key for key in synsets if synsets[key][0] == part]
        data = "".join(data_line(synsets, key, place, place[key]) for key in keys)
        (folder / f"data.{name}").write_text(lines[part][0] + data)
        senses = {}
        for key in keys:
            for word in synsets[key][1].split():
                senses.setdefault(word.partition("(")[0], []).append(place[key])
        (folder / f"index.{name}").write_text(
            "  1 this is a licence\n"
            + "".join(
                f"{word} {part} {len(at)} 1 @ {len(at)} 0 {' '.join(f'{o:08d}' for o in at)}  \n"
                for word, at in sorted(senses.items())
            )
        )
    return folder


def data_line(synsets, key, place, offset):
    part, words, kind, pointers, gloss = synsets[key]
    count = len(words.split())
    named = " ".join(f"{word} 0" for word in words.split())
    links = " ".join(f"{symbol} {place[to]:08d} {synsets[to][0]} 0000" for symbol, to in pointers)
    frames = "01 + 02 00 " if part == "v" else ""
    start = f"{offset:08d} 07 {kind} {count:02x} {named}"
    return f"{start} {len(pointers):03d} {links} {frames}| {gloss}  \n"
