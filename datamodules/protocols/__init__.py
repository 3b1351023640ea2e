"""Protocols: which of the split rules to apply to a data set, and with what."""
