"""Getting a data set onto the disk: download, unpack, check.

    address -> `download` -> archive -> `extract` -> folder -> `compare`

Nothing here trusts what it reads: addresses stay http and https, sums are checked before a file
gets its name, and an archive is unpacked whole or not at all. Importing this package is quick; what
speaks http and reads archives is loaded when it is needed.
"""

from __future__ import annotations

from datamodules.prepare.archives import extract
from datamodules.prepare.checksums import Differences, compare, file_digest
from datamodules.prepare.download import download

__all__ = ["Differences", "compare", "download", "extract", "file_digest"]
