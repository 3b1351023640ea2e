"""Evidence about a model: heads, words, concepts; it explains, and changes nothing."""
