"""Glyphs: the world this project draws for itself, so that a first run needs no download."""
