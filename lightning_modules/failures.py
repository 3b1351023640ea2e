"""Errors a user can mend -> one sentence. What is left is a bug of ours and keeps its traceback."""

from __future__ import annotations

import errno

from datamodules.errors import InputError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def explain(error: BaseException) -> str | None:
    """The sentence to print after `error: `; None for a bug.

    Example:
        >>> explain(OSError(28, "No space left on device", "runs/x"))[:46]
        'could not write runs/x: No space left on devic'
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _DISK:
        path = f" {error.filename}" if error.filename else ""
        return (
            f"could not write{path}: {error.strerror}. What was saved before is whole. Free space "
            "or choose a folder you may write to, then go on with --ckpt_path last."
        )
    return _from_libraries(error)


def _from_libraries(error: BaseException) -> str | None:
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, MisconfigurationException):
        return " ".join(str(error).split())
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return (
            f"the GPU is out of memory ({str(error).split('. ')[0]}). Lower --data.batch_size, "
            "or use more devices."
        )
    return None
