"""Evidence about a model: heads, words, concepts.

Empty so far: this room opens after composition.
"""
