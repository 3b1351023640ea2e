"""A dictionary for other programs."""
