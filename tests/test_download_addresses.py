"""Which addresses are opened, and which redirects are followed."""

import os
import ssl
import urllib.error
import urllib.request

import pytest

from datamodules.errors import InputError
from datamodules.prepare import download
from datamodules.prepare.web import _CarefulRedirects, default_opener
from tests.file_server import (
    SHA256,
    answer,
    by_hand,
    fetch,
    message,
    names,
)

pytestmark = pytest.mark.usefixtures("only_this_machine")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_to_http_are_followed(server, target, status):
    server.steps = [answer(status, Location="/else/where")]
    fetch(server, target, sha256=SHA256)
    assert [asked.path for asked in server.asked] == ["/data.bin", "/else/where"]


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("file:///etc/passwd", "file: 'file:///etc/passwd'"),
        ("ftp://127.0.0.1/x", "ftp: 'ftp://127.0.0.1/x'"),
        ("data:text/plain,x", "data: 'data:text/plain,x'"),
        ("http://me:secret@127.0.0.1/", "one with a user name: 'http://me:secret@127.0.0.1/'"),
        ("http://[x", "one that makes no sense: 'http://[x'"),
    ],
)
@pytest.mark.parametrize("name", ["Location", "URI"])
def test_redirects_elsewhere_are_not_followed(server, target, location, found, name):
    server.steps = [answer(302, **{name: location})]
    assert message(server, target) == (
        f"expected {server.url} to lead to another http or https address, got a redirect to "
        f"{found}. It was not followed."
    )
    assert names(target) == set()


def test_a_redirect_to_a_name_with_blanks_and_umlauts_is_escaped(server, target):
    server.steps = [answer(302, Location="/a b/\u00c3\u00a4")]  # the bytes of an UTF-8 umlaut
    fetch(server, target, sha256=SHA256)
    assert server.asked[1].path == "/a%20b/%C3%A4"


def test_redirects_in_a_circle_end(server, target):
    server.steps = [answer(302, Location="/data.bin")] * 30
    assert message(server, target) == by_hand(server, target, "the server answered 302 Found")
    assert len(server.asked) < 12


def test_a_redirect_never_leaves_https_for_http():
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises(InputError) as caught:
        _CarefulRedirects().redirect_request(request, None, 302, "", {}, "http://example.org/a")
    assert str(caught.value) == (
        "expected https://example.org/a to lead to another http or https address, got a redirect "
        "to http, which is not protected: 'http://example.org/a'. It was not followed."
    )


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ftp://127.0.0.1/x", "ftp"),
        ("file:///etc/passwd", "file"),
        ("C:/data.zip", "c"),
        ("data.zip", "none"),
        ("http:///x", "no host"),
        ("http://[::1/x", "one that makes no sense"),
        ("http://127.0.0.1:port/x", "one that makes no sense"),
        ("http://me:secret@127.0.0.1/x", "one with a user name"),
        ("http://127.0.0.1/a b", "one with a blank or a letter that must be escaped"),
        ("http://127.0.0.1/x\r\nHost: y", "one with a blank or a letter that must be escaped"),
        ("http://127.0.0.1/ä", "one with a blank or a letter that must be escaped"),
    ],
)
def test_other_addresses_are_refused_before_anything_is_opened(target, url, found):
    with pytest.raises(InputError) as caught:
        download(url, target)
    assert str(caught.value) == f"expected an http or https address, got {found}: {url!r}."
    assert os.listdir(target.parent) == []


def test_the_opener_knows_http_and_https_only_and_verifies():
    opener = default_opener()
    assert set(opener.handle_open) == {"http", "https"}
    (https,) = (each for each in opener.handlers if type(each).__name__ == "HTTPSHandler")
    assert https._context.verify_mode == ssl.CERT_REQUIRED
    assert https._context.check_hostname


def test_a_certificate_that_nobody_vouches_for_ends_it_at_once(target):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"

    class Opener:
        calls = 0

        def open(self, *args, **kwargs):
            self.calls += 1
            raise urllib.error.URLError(error)

    opener = Opener()
    with pytest.raises(InputError) as caught:
        download("https://127.0.0.1/x", target, opener=opener)
    assert str(caught.value) == (
        "could not download https://127.0.0.1/x: its certificate cannot be trusted (self-signed "
        "certificate). Run the command again later, or fetch the file another way and put it by "
        f"hand at {target}."
    )
    assert opener.calls == 1
