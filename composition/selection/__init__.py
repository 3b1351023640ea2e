"""Which deltas a fit keeps under a budget."""

from composition.selection.reduction import Chosen, reduced
from composition.selection.selection import Select, check_choice, selected

__all__ = ["Chosen", "Select", "check_choice", "reduced", "selected"]
