"""What a person changes in a dictionary: `edits.yaml`, the only thing a person writes.

    types:   {expression: {names: [facial expression], seeds: [smiling, frowning]}}
    move:    {smiling: expression, furry: texture}   # word -> attribute; unassigned words too
    merge:   [[gray, grey], [multicolored, multi colored]]   # the first one stays
    split:   [[closed, close]]      # spellings that were made one word: each a value of its own
    rename:  {navy: dark blue, hue: color, "group:color/navy": blues}   # what is displayed
    drop:    [here, part, "for sale"]
    keep:    [crimson, color/scarlet]   # right as they are; with an attribute: right there
    select:  [color, shape, texture]    # exactly these get an adapter

The file says what the outcome should be, so the order of its lines does not matter and edits that
hold already change nothing. Words match in any spelling; "attribute/value" names a value whose word
other attributes have too.
"""

from datamodules.dictionary.edits.apply import apply_edits
from datamodules.dictionary.edits.merge import merge_edits
from datamodules.dictionary.edits.read import load_edits
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.edits.write import edits_text, write_edits

__all__ = ["Edits", "apply_edits", "edits_text", "load_edits", "merge_edits", "write_edits"]
