"""Closed word classes of general English that the rules look at; no data set's words.

Each is small because English adds few words to it. In the spelling of `normalize`.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Color terms, basic ones and those that name nothing but a color in most uses.
COLORS = _words("""
    amber aqua auburn azure beige black blond blonde blue bronze brown brunette burgundy caramel
    charcoal copper coral cream crimson cyan ebony emerald fuchsia gold golden gray green indigo
    ivory khaki lavender lilac lime magenta mahogany maroon mauve mustard navy ochre olive orange
    peach pink plum purple red rose rust salmon scarlet sepia silver tan taupe teal turquoise
    vermilion violet white yellow
    """)
# What shades a color.
MODIFIERS = _words("""
    baby bold bright brilliant burnt cool dark darker deep deeper drab dull electric faded
    faint fair forest hot ice jet light lighter lightest lightly medium midnight mostly muted navy
    neon off pale partially pastel pure rich royal sea shiny sky snow soft solid strong vivid warm
    """)
# Stems that "-ish" makes out of colors, as written: "reddish", "bluish", "grayish".
ISH_STEMS = {"redd": "red", "blu": "blue", "purpl": "purple", "orang": "orange", "whit": "white"}

COLORED = _words(
    "colored coloring colors color complexioned dyed hued hue shade shaded tinged tint tinted "
    "tone toned"
)
# Bodily traits that are told by their color: "dark haired", "fair skinned".
TRAITS = _words("bearded complexioned eyed feathered furred haired maned skinned")

PATTERNS = _words("""
    argyle banded brindle brindled camo camouflage camouflaged checked checker checkerboard
    checkered checks chevron dappled dot dots dotted floral flowered freckled gingham herringbone
    houndstooth marbled mottled paisley pattern patterned patterns pinstripe pinstriped pinstripes
    plaid print printed prints speckled spotted spots streaked stripe striped stripes tartan
    zigzag
    """)
TEXTURED = _words("finish finished grained surface surfaced texture textured")
SHAPED = _words("cornered edged shape shaped shapes sided")
SIZED = _words("height high length long scale size sized sizes tall thick wide width")
OVERLAID = _words("clad coated paneled plated")

# "up" of "rolled up", "off" of "turned off": with a participle they tell a state.
PARTICLES = _words("apart away closed down in off on open out over shut together up")
# Past participles without "-ed" that describe things.
PARTICIPLES = _words("""
    bent blown bound broken built burnt cast cut done drawn driven dug eaten fallen fed filled
    frozen grown hidden hung kept knit laid lit lost made mown open overgrown put rung sawn sewn
    shaven shown shut spilt split spread stuck sunk swept sworn taken thrown torn undone unmade
    woven worn wound written
    """)
# How far something has come: "half eaten", "freshly painted".
COMPLETION = _words("""
    almost barely completely freshly fully half halfway just mostly nearly newly partially partly
    poorly recently semi slightly tightly totally well
    """)

# Present participles of verbs that tell no activity but link to what follows.
STATIVE = _words("bearing containing featuring having including showing sporting wearing")

# Words in "-ing" that are no present participles of an activity: nouns, judgments, and what goes on
# of itself (light, growth, decay).
NOT_ACTIONS = _words("""
    aging amazing amusing annoying anything appealing awning blazing blinding blooming blossoming
    boiling boring bubbling building burning captivating ceiling charming clothing confusing darling
    dashing dazzling decaying disgusting drying during earring evening everything exciting existing
    fading fascinating fencing flickering flooring flowering following freezing frightening gleaming
    glimmering glistening glittering glowing herring interesting intimidating intriguing inviting
    lacking leading lighting lightning living loving matching melting missing morning nothing
    oncoming ongoing opening outgoing outstanding paving pleasing pudding railing refreshing
    relaxing remaining revolting ripening roofing rotting rusting sapling satisfying setting
    shilling shimmering shining shocking sibling siding something sparkling steaming sterling
    striking stunning surprising swelling terrifying thriving tiling towering trusting twinkling
    upcoming viking wedding welcoming willing wilting withering yearling
    """)
