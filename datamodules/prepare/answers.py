"""What a server answers: a stream of bytes, a refusal, or an error that may pass."""

from __future__ import annotations

import http
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

_BLOCK = 1 << 18
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # codes that may be another one soon


class PassingError(Exception):
    """An error that another attempt may not meet.

    Args:
        reason: what happened.
        wait_seconds: pause that the server asks for.
    """

    def __init__(self, reason: object, wait_seconds: float = 0.0) -> None:
        text = str(reason) or type(reason).__name__
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in text[:200]))
        self.wait_seconds = wait_seconds


class RefusedError(Exception):
    """An answer that will not change.

    Args:
        reason: what the server, or this side, does not accept.
        code: the HTTP status.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code


def ask(
    opener: urllib.request.OpenerDirector,
    url: str,
    headers: Mapping[str, str],
    *,
    timeout_seconds: float,
) -> Any:
    """The server's answer, to be closed by the caller; `blocks_of` reads its bytes.

    Raises:
        PassingError: if the connection fails, or the server says that it is busy.
        RefusedError: if the server answers with another error, or cannot prove who it is.
        InputError: if the opener does not follow a redirect.
    """
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        return opener.open(request, timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in _PASSING:
            raise RefusedError(answered(error.code), error.code) from None
        pause = error.headers.get("Retry-After", "")
        wait_seconds = float(pause) if re.fullmatch(r"\d{1,9}", pause) else 0.0
        raise PassingError(answered(error.code), wait_seconds) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise RefusedError(
                f"its certificate cannot be trusted ({error.reason.verify_message})"
            ) from None
        raise PassingError(error.reason) from None
    except (http.client.HTTPException, OSError) as error:
        raise PassingError(error) from None


def answered(code: int) -> str:
    """A status in words; the server's own words are not repeated, they may hold anything."""
    phrases = {int(status): f" {status.phrase}" for status in http.HTTPStatus}
    return f"the server answered {code}{phrases.get(code, '')}"


def blocks_of(stream: Any) -> Iterator[bytes]:
    """An answer's bytes as they come, so that a server that falls silent takes none back.

    Raises:
        PassingError: if the connection breaks.
    """
    while True:
        try:
            block = stream.read1(_BLOCK)
        except (http.client.HTTPException, OSError) as error:
            raise PassingError(error) from None
        if not block:
            return
        yield block


def mark_of(headers: Any) -> str:
    """What tells this version of a file from others; empty where the server does not say."""
    tag = headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]*"', tag):  # weak tags (W/...) allow for other bytes
        return str(tag)
    return str(headers.get("Last-Modified", ""))


def range_of(headers: Any) -> tuple[int | None, int | None]:
    """First byte and length of the whole file of a partial answer; None where it does not say."""
    given = headers.get("Content-Range", "")
    if found := re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", given):
        return int(found[1]), None if found[2] == "*" else int(found[2])
    return None, None


def length_of(headers: Any) -> int | None:
    """Bytes of the answer; None where it does not say."""
    length = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not re.fullmatch(r"\d{1,18}", length):
        return None
    return int(length)
