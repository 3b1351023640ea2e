"""British spelling -> American, word by word: "multicoloured" becomes "multicolored".

Rules only where English has no other word of that form, else a list: "glamour", "surprise",
"genre", "controlled" and "greyhound" stay. Standard library only.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Words that no rule below reaches; both numbers where the word has two.
_WORDS = {
    "aeroplane": "airplane", "aluminium": "aluminum", "anaemic": "anemic", "artefact": "artifact",
    "ax": "axe", "biassed": "biased", "carburettor": "carburetor", "catalogue": "catalog",
    "chequer": "checker", "chequerboard": "checkerboard", "chequered": "checkered",
    "chilli": "chili", "cosy": "cozy", "defence": "defense", "doughnut": "donut",
    "draughty": "drafty", "focussed": "focused", "jewellery": "jewelry", "kerb": "curb",
    "licence": "license", "liquorice": "licorice", "louvred": "louvered", "manoeuvre": "maneuver",
    "marvellous": "marvelous", "mediaeval": "medieval", "moustache": "mustache",
    "moustached": "mustached", "moustachioed": "mustachioed", "ocher": "ochre",
    "offence": "offense", "omelette": "omelet", "orthopaedic": "orthopedic", "plough": "plow",
    "ploughed": "plowed", "practise": "practice", "practised": "practiced",
    "practising": "practicing", "programme": "program", "pyjama": "pajama", "racoon": "raccoon",
    "sceptical": "skeptical", "skilful": "skillful", "snowplough": "snowplow", "storey": "story",
    "storeyed": "storied", "storeys": "stories", "sulphur": "sulfur", "tyre": "tire",
    "unfocussed": "unfocused", "waggon": "wagon", "woollen": "woolen", "wooly": "woolly",
    "yoghurt": "yogurt",
}  # fmt: skip
_OUR = (
    "arb|ard|arm|behavi|cand|clam|col|demean|enam|endeav|fav|ferv|flav|harb|hon|hum|lab|neighb|"
    "parl|ranc|rig|rum|savi?|splend|succ|tum|val|vap|vig"
)
_RE = (
    r"\w*cent|\w*fib|\w*lit|\w*met|\w*theat|(?:lack)?lust|calib|goit|meag|mit|sab|scept|"
    "sepulch|somb|spect"
)
# The ending before -ise; two letters or more go before it, for "arise", "cerise" and "anise".
_ISE = r"\w{2,}(?:al|an|ar|el|en|er|et|ic|il|im|in|it|log|mat|ol|on|or|ot|rn|ur|yl)"
_ISE_WORDS = (
    "(?:re|un)?recogn|anod|atom|bapt|crystall|custom|econom|emphas|energ|epitom|fantas|ion|"
    "jeopard|metall|oxid|privat|random|standard|subsid|sympath|synthes|tranquill|item"
)
_LL = (
    "barre|beve|cance|caro|channe|chise|counse|dia|disheve|due|ename|equa|flanne|fue|funne|grave|"
    "initia|jewe|kenne|labe|leve|marve|meda|meta|mode|pane|parce|peda|penci|peta|pumme|quarre|"
    "riva|shove|shrive|signa|spira|stenci|swive|tasse|tinse|tota|towe|trave|trowe|tunne|unrave"
)
_MARK = re.compile("our|re|is|lys|ll|grey|oul")  # a word without any of them meets no rule
_RULES = (
    (re.compile(rf"({_OUR}|\b(?:mal)?od)our"), r"\1or"),
    (re.compile(rf"^({_RE})re(s?)$"), r"\1er\2"),
    (re.compile(rf"^({_RE})red$"), r"\1ered"),
    (re.compile(r"^(cent|fib)re(?=(?:board|field|fold|glass|line|piece|stage)s?$)"), r"\1er"),
    (re.compile(rf"^({_ISE}|{_ISE_WORDS})is(e|ed|ing|ers?|able|ations?)$"), r"\1iz\2"),
    (re.compile(r"^(ana|breatha|cata|para)lys(e|ed|ing|ers?)$"), r"\1lyz\2"),
    (re.compile(rf"^((?:be|mis|re|un)?(?:{_LL}))ll(ed|ings?|ers?)$"), r"\1l\2"),
    (re.compile(r"^(\w*)grey(s|ed|er|est|ing|ish|scale|ness)?$"), r"\1gray\2"),
    (re.compile(r"^(\w*m)ould(s|ed|er|ered|ering|ings?|y)?$"), r"\1old\2"),
    (re.compile(r"^moult(s|ed|ing)?$"), r"molt\1"),
)


@lru_cache(maxsize=1 << 16)
def american(word: str) -> str:
    """The American spelling of a word in lower case; a word that has no other stays as it is.

    Example:
        >>> [american(word) for word in ("grey", "multicoloured", "fibreglass", "turquoise")]
        ['gray', 'multicolored', 'fiberglass', 'turquoise']
    """
    if word in _WORDS:
        return _WORDS[word]
    if word.endswith("s") and word[:-1] in _WORDS:
        return _WORDS[word[:-1]] + "s"
    if _MARK.search(word):
        for pattern, spelling in _RULES:
            word = pattern.sub(spelling, word)
    return word
