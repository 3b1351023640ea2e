"""Weights from open_clip's hub: the cached file at once, no waiting where there is no network."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datamodules.errors import InputError

WEIGHTS_NAME = "open_clip_model.safetensors"
_PICKLED_NAME = "open_clip_pytorch_model.bin"


def download(name: str, tag_name: str, tag: dict[str, Any], *, quick_gelu: bool) -> Path:
    """The weight file of a pretrained tag, from the cache or the network.

    Args:
        name: architecture.
        tag_name: pretrained tag.
        tag: open_clip's entry for it.
        quick_gelu: activation, for the file name that the message suggests.

    Raises:
        InputError: if it cannot be had; the message says which file to put where.
    """
    from huggingface_hub.constants import ENDPOINT
    from open_clip.pretrained import download_pretrained

    repository, _, file = str(tag.get("hf_hub", "")).rpartition("/")
    if repository and (cached := _cached(repository, file)):
        return cached
    try:
        if _unreachable(ENDPOINT if repository else str(tag.get("url", ""))):
            raise ConnectionError("no network, or no route to the hub")
        return Path(download_pretrained(tag))
    except Exception as error:  # whatever the hub's client raises, the way out is the same
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        origin = f"the hub repository {repository}" if repository else str(tag.get("url"))
        # The file's name tells the activation when it is loaded.
        activation = "-quickgelu" if quick_gelu and "quickgelu" not in name else ""
        target = f"artifacts/weights/{name}{activation}-{tag_name}.safetensors"
        raise InputError(
            f"could not download the weights of {name} {tag_name!r} ({reason}). On a machine with "
            f"a network get {file or WEIGHTS_NAME} from {origin}, copy it to {target} here, then "
            f"run the command again with BACKBONE={name} PRETRAINED={target}."
        ) from error


def _cached(repository: str, file: str) -> Path | None:
    """A file downloaded before; asking the hub first means half a minute of retries offline."""
    from huggingface_hub import try_to_load_from_cache

    for name in (WEIGHTS_NAME, file or _PICKLED_NAME):
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _unreachable(url: str) -> bool:
    host = urlsplit(url).hostname
    if not host or urllib.request.getproxies():  # a proxy resolves names by itself
        return False
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return True
    return False
