"""Where a fit of coefficients starts: plain numbers, closed forms, second-order steps."""

from composition.starts.from_data import check_settings, check_start, start_from_data
from composition.starts.start import FROM_DATA, Start, plain_sum, start

__all__ = [
    "FROM_DATA",
    "Start",
    "check_settings",
    "check_start",
    "plain_sum",
    "start",
    "start_from_data",
]
