"""The dictionary as one HTML page: search, map and tables; no network, no library.

words + coordinates -> JSON columns -> one file with its own style and script
"""

from datamodules.dictionary.report.page import render, write_report

__all__ = ["render", "write_report"]
