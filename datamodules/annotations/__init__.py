"""The one table that every source yields: which image shows which value of which attribute."""

from datamodules.annotations.builder import Builder, annotations_of
from datamodules.annotations.csv_file import csv_text, read_csv
from datamodules.annotations.table import Annotation, Annotations, Box, Labels

__all__ = [
    "Annotation",
    "Annotations",
    "Box",
    "Builder",
    "Labels",
    "annotations_of",
    "csv_text",
    "read_csv",
]
