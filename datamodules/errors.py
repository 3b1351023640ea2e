"""The one exception for mistakes a user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """A user's mistake: the message says what was expected, what came and what to do.

    Every command prints it as one line, ``error: <message>``, and exits with code 2.
    """
