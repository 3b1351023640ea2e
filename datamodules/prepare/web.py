"""Opening an address: http and https only, certificates verified, redirects followed with care."""

from __future__ import annotations

import ssl
import string
import urllib.request
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from datamodules.errors import InputError

_AGENT = "aspectra"  # some sites turn the library's own name away


def check_address(url: str) -> None:
    """An address is http or https, names a host, and carries no password.

    Raises:
        InputError: if it is anything else.
    """
    if found := _fault(url):
        raise InputError(f"expected an http or https address, got {found}: {url!r}.")


def _fault(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "one that makes no sense"
    if parts.scheme not in ("http", "https"):
        return parts.scheme or "none"
    if not host:
        return "no host"
    if parts.username is not None:
        return "one with a user name"
    if any(not "!" <= letter <= "~" for letter in url):
        return "one with a blank or a letter that must be escaped"
    return ""


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    """Never leads to a file, to ftp, or from https back to http."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        """Look at where the redirect leads, then let the library follow it."""
        location = headers.get("location", headers.get("uri", ""))
        _check_redirect(req, quote(location, safe=string.punctuation, encoding="iso-8859-1"))
        # Python 3.10 knows no 308, which is to 301 what 307 is to 302.
        return super().http_error_302(req, fp, 307 if code == 308 else code, msg, headers)

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Look at the very address that is opened next."""
        _check_redirect(req, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _check_redirect(request: urllib.request.Request, location: str) -> None:
    try:
        url = urljoin(request.full_url, location)
    except ValueError:
        url = location
    found = _fault(url)
    if not found and request.type == "https" and urlsplit(url).scheme == "http":
        found = "http, which is not protected"
    if found:
        raise InputError(
            f"expected {request.full_url} to lead to another http or https address, got a redirect "
            f"to {found}: {url!r}. It was not followed."
        )


def default_opener() -> urllib.request.OpenerDirector:
    """Opens http and https and nothing else; proxies are taken from the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _CarefulRedirects(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", _AGENT), ("Accept-Encoding", "identity")]
    return opener
