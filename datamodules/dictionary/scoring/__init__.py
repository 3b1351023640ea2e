"""A dictionary against words of known type."""
