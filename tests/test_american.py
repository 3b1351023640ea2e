"""British spelling becomes American, and no other word changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.american import american
from datamodules.normalize import normalize

_PAIRS = """
grey gray, greyish grayish, darkgrey darkgray, greyscale grayscale, colour color, coloured colored,
multicoloured multicolored, discolouration discoloration, watercolours watercolors, armour armor,
armoured armored, odourless odorless, savoury savory, neighbourhood neighborhood, centre center,
centred centered, fibre fiber, fibreglass fiberglass, centrepiece centerpiece, sombre somber,
theatre theater, centimetres centimeters, louvred louvered, organised organized, caramelised
caramelized, galvanised galvanized, stylised stylized, anodised anodized, polarising polarizing,
fertiliser fertilizer, customisable customizable, crystallised crystallized, unrecognised
unrecognized, vapourised vaporized, analysed analyzed, bevelled beveled, bejewelled bejeweled,
unlabelled unlabeled, panelling paneling, traveller traveler, mould mold, mouldy moldy, smouldering
smoldering, tyre tire, tyres tires, aluminium aluminum, pyjamas pajamas, chequered checkered,
moustache mustache, jewellery jewelry, woollen woolen, storeys stories, ploughed plowed
"""
_SAME = """
glamour contour velour detour hour four sour pour flour tour pompadour genre ombre acre macabre
mediocre massacre timbre padre nacre hundred sacred hatred surprised promised advertised revised
raised braised bruised disguised exercised improvised supervised compromised merchandise rise arise
sunrise uprising cerise anise valise chemise turquoise tortoise porpoise precise concise exercise
franchise paradise treatise expertise practice premise noise poise wise trellised rolled controlled
filled walled called pulled installed propeller swollen bell smaller taller greyhound would could
should shoulder boulder metallic s grass glasses glass dress stairs ourselves blond blonde
"""


@pytest.mark.parametrize(("british", "expected"), [pair.split() for pair in _PAIRS.split(",")])
def test_british_spelling_becomes_american(british, expected):
    assert american(british) == expected
    assert american(expected) == expected


def test_words_without_an_american_spelling_stay():
    same = _SAME.split()
    assert [american(word) for word in same] == same


@given(
    st.from_regex(
        r"[a-z]{0,6}(our|re|red|is|ise|ised|lysed|lling|ller|grey|ould|s|ed)", fullmatch=True
    )
)
def test_a_spelling_is_final(word):
    assert american(american(word)) == american(word)


def test_phrases_are_spelt_word_by_word():
    assert normalize("Light-GREY, moulded fibreglass") == "light gray molded fiberglass"
