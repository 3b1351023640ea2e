"""Downloads against a server of our own on this machine: whole and checked, or not there at all."""

import contextlib
import hashlib
import logging
import os
import re
import socket
import socketserver
import ssl
import tempfile
import threading
import urllib.error
import urllib.request
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.prepare import download
from datamodules.prepare import transfer as transfer_module
from datamodules.prepare.web import _CarefulRedirects, default_opener

DATA = bytes(range(251)) * 2000  # half a megabyte
OTHER = DATA[::-1]
SHA256, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()
Step = namedtuple("Step", "status headers send")
Asked = namedtuple("Asked", "path range if_range")


class Handler(BaseHTTPRequestHandler):
    """Serves one file with ranges; `server.steps` says how each request in turn goes wrong."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = Asked(self.path, self.headers["Range"], self.headers["If-Range"])
        server.asked.append(asked)
        step = server.steps.pop(0) if server.steps else Step(None, {}, None)
        if step.status:
            self.send_response(step.status)
            for name, value in step.headers.items():
                self.send_header(name, value)
            if "Transfer-Encoding" not in step.headers:
                self.send_header("Content-Length", "0")
            self.end_headers()
            self.wfile.write(step.send or b"")
            self.close_connection = True
            return
        data, mark = server.data, server.marks.get("ETag") or server.marks.get("Last-Modified")
        begin = 0
        in_range = server.ranges and asked.range
        if in_range and (asked.if_range == mark or server.ignores_if_range):
            begin = int(re.fullmatch(r"bytes=(\d+)-", asked.range)[1])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        for name, value in (server.marks | step.headers).items():
            self.send_header(name, value)
        if server.says_length:
            self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        self.wfile.write(data[begin:][: step.send])
        self.close_connection = True


def cut_after(num_bytes):
    return Step(None, {}, num_bytes)


def answer(status, **headers):
    return Step(status, {name.replace("_", "-"): value for name, value in headers.items()}, None)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.data, server.marks, server.ranges = DATA, {"ETag": '"one"'}, True
    server.ignores_if_range, server.says_length = False, True
    server.steps, server.asked = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/data.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data.bin"


def fetch(server, target, **kwargs):
    return download(server.url, target, **{"wait_seconds": 0, "timeout_seconds": 5} | kwargs)


def message(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        fetch(*args, **kwargs)
    return str(caught.value)


def by_hand(server, target, reason):
    return (
        f"could not download {server.url}: {reason}. Run the command again later, or fetch the "
        f"file another way and put it by hand at {target}."
    )


def names(target):
    """What lies beside the target, but for the lock."""
    return {name for name in os.listdir(target.parent) if not name.startswith(".lock-")}


def ranges(server):
    return [asked.range for asked in server.asked]


def interrupt(server, target, after=100_000):
    """A run that ends with part of the file."""
    server.steps = [cut_after(after)]
    with pytest.raises(InputError):
        fetch(server, target, attempts=1)
    assert (target.parent / ".partial-data.bin").read_bytes() == server.data[:after]
    server.asked.clear()


def test_a_file_arrives_whole_and_nothing_else_with_it(server, tmp_path):
    target = tmp_path / "new/folder/data.bin"
    assert fetch(server, target, sha256=SHA256.upper(), md5=MD5, size=len(DATA)) == target
    assert target.read_bytes() == DATA
    assert names(target) == {"data.bin"}
    assert server.asked == [Asked("/data.bin", None, None)]


def test_a_file_that_is_there_is_checked_and_not_asked_for(server, target):
    target.write_bytes(DATA)
    fetch(server, target, sha256=SHA256, size=len(DATA))
    fetch(server, target)
    assert server.asked == []


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"sha256": SHA256}, f"expected SHA-256 {SHA256}, got {hashlib.sha256(b'x').hexdigest()}"),
        ({"md5": MD5}, f"expected MD5 {MD5}, got {hashlib.md5(b'x').hexdigest()}"),
        ({"size": len(DATA)}, "expected 502,000 bytes, got 1"),
    ],
)
def test_a_file_put_there_by_hand_is_never_removed(server, target, wanted, wrong):
    target.write_bytes(b"x")
    assert message(server, target, **wanted) == (
        f"{target}: {wrong}. Remove the file to have it downloaded again from {server.url}, or put "
        "the right one in its place."
    )
    assert target.read_bytes() == b"x"
    assert server.asked == []


def test_a_connection_cut_in_the_middle_is_continued_where_it_broke(server, target):
    server.steps = [cut_after(100_000), cut_after(0), cut_after(300_000)]
    fetch(server, target, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=100000-", "bytes=400000-"]
    assert {asked.if_range for asked in server.asked[1:]} == {'"one"'}
    assert names(target) == {"data.bin"}


def test_a_later_run_continues_what_an_earlier_one_kept(server, target):
    interrupt(server, target)
    fetch(server, target, sha256=SHA256)
    assert ranges(server) == ["bytes=100000-"]
    assert target.read_bytes() == DATA
    assert names(target) == {"data.bin"}


def test_a_run_killed_after_the_last_byte_asks_for_nothing(server, target):
    interrupt(server, target)
    (target.parent / ".partial-data.bin").write_bytes(DATA)
    fetch(server, target, sha256=SHA256)
    assert server.asked == []
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("ignores_if_range", [False, True])
def test_a_file_that_changed_is_not_glued_to_the_old_beginning(server, target, ignores_if_range):
    interrupt(server, target)
    server.data, server.marks, server.ignores_if_range = OTHER, {"ETag": '"two"'}, ignores_if_range
    fetch(server, target)
    assert target.read_bytes() == OTHER
    assert ranges(server) == (["bytes=100000-", None] if ignores_if_range else ["bytes=100000-"])


def test_a_file_that_became_longer_under_the_same_mark_is_fetched_from_zero(server, target):
    interrupt(server, target)
    server.data = DATA + b"more"
    fetch(server, target)
    assert ranges(server) == ["bytes=100000-", None]
    assert target.read_bytes() == DATA + b"more"


def test_a_date_serves_as_mark_where_there_is_no_strong_tag(server, target):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.marks = {"Last-Modified": date}
    interrupt(server, target)
    fetch(server, target)
    assert server.asked == [Asked("/data.bin", "bytes=100000-", date)]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("marks", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_mark_nothing_is_continued(server, target, marks):
    server.marks = marks
    server.steps = [cut_after(100_000)]
    fetch(server, target, sha256=SHA256)
    assert ranges(server) == [None, None]
    assert target.read_bytes() == DATA


def test_a_server_that_knows_no_ranges_begins_from_zero(server, target):
    server.ranges = False
    server.steps = [cut_after(100_000)]
    fetch(server, target, sha256=SHA256)
    assert ranges(server) == [None, "bytes=100000-"]
    assert target.read_bytes() == DATA


def test_a_range_that_the_server_does_not_have_begins_from_zero(server, target):
    interrupt(server, target)
    server.steps = [answer(416)]
    fetch(server, target, sha256=SHA256)
    assert ranges(server) == ["bytes=100000-", None]
    assert target.read_bytes() == DATA


def test_the_beginning_of_another_address_is_not_continued(server, target):
    interrupt(server, target)
    server.url = server.url.replace("data.bin", "other.bin")
    fetch(server, target, sha256=SHA256)
    assert server.asked == [Asked("/other.bin", None, None)]


@pytest.mark.parametrize(
    "resume",
    ["", "[]", "{}", '{"mark": 3, "total": 5, "url": "%s"}', "\xff", '{"mark": "", "total"'],
)
def test_a_note_of_the_last_run_that_makes_no_sense_begins_from_zero(server, target, resume):
    interrupt(server, target)
    note = resume.replace("%s", server.url)
    (target.parent / ".resume-data.bin").write_text(note, encoding="latin-1")
    fetch(server, target, sha256=SHA256)
    assert ranges(server) == [None]
    assert target.read_bytes() == DATA


def test_a_wrong_checksum_leaves_nothing_and_says_both(server, target):
    server.data = OTHER
    got = hashlib.sha256(OTHER).hexdigest()
    assert message(server, target, sha256=SHA256) == by_hand(
        server, target, f"expected SHA-256 {SHA256}, got {got}; what came was removed"
    )
    assert names(target) == set()
    got = hashlib.md5(OTHER).hexdigest()
    assert message(server, target, md5=MD5) == by_hand(
        server, target, f"expected MD5 {MD5}, got {got}; what came was removed"
    )
    assert names(target) == set()


def test_a_wrong_length_is_told_before_anything_is_fetched(server, target):
    assert message(server, target, size=7) == by_hand(
        server, target, "expected 7 bytes, the server has 502,000"
    )
    assert names(target) == set()


def test_a_server_that_does_not_say_the_length_is_stopped_at_the_expected_one(server, target):
    server.says_length = False
    assert message(server, target, size=1000) == by_hand(
        server, target, "expected 1,000 bytes, the server sends more"
    )
    assert names(target) == set()
    assert fetch(server, target, size=len(DATA)).read_bytes() == DATA


def test_a_short_file_without_length_is_noticed_by_the_expected_one(server, target):
    server.says_length = False
    server.steps = [cut_after(1000)]
    assert fetch(server, target, size=len(DATA)).read_bytes() == DATA
    assert ranges(server) == [None, "bytes=1000-"]


def test_a_stream_of_chunks_that_breaks_is_fetched_again(server, target):
    chunked = {"Transfer-Encoding": "chunked"}
    whole = b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
    server.steps = [Step(200, chunked, whole[:16]), Step(200, chunked, whole)]
    assert fetch(server, target).read_bytes() == b"firstsecond"
    assert ranges(server) == [None, None]


def test_a_busy_server_is_asked_again_after_growing_pauses(server, target, monkeypatch, caplog):
    pauses = []
    monkeypatch.setattr(transfer_module.time, "sleep", pauses.append)
    server.steps = [
        answer(503), answer(500), answer(429, Retry_After="7"), answer(503, Retry_After="9999")
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        fetch(server, target, sha256=SHA256, wait_seconds=1)
    assert pauses == [1, 2, 7, 60]
    assert caplog.messages[0] == (
        f"{server.url}: the server answered 503 Service Unavailable; trying again in 1 s"
    )
    assert target.read_bytes() == DATA


def test_a_server_that_stays_busy_is_given_up(server, target):
    server.steps = [answer(503)] * 9
    assert message(server, target, attempts=3) == by_hand(
        server, target, "the server answered 503 Service Unavailable (attempt 3 of 3)"
    )
    assert len(server.asked) == 3
    assert names(target) == set()


def test_what_came_before_giving_up_is_kept_and_said(server, target):
    server.steps = [cut_after(100_000), cut_after(0)]
    assert message(server, target, attempts=2) == by_hand(
        server,
        target,
        "the connection ended after 100,000 of 502,000 bytes (attempt 2 of 2); 100,000 bytes are "
        "kept for the next run",
    )
    assert names(target) == {".partial-data.bin", ".resume-data.bin"}


def test_attempts_that_bring_a_lot_are_no_failures(server, target, monkeypatch):
    monkeypatch.setattr(transfer_module, "_ENOUGH", 50_000)
    server.steps = [cut_after(50_000) for _ in range(8)]
    fetch(server, target, sha256=SHA256, attempts=2)
    assert len(server.asked) == 9


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "404 Not Found"), (403, "403 Forbidden"), (204, "204 No Content"), (299, "299")],
)
def test_other_answers_end_it_at_once(server, target, status, words):
    server.steps = [answer(status)]
    assert message(server, target) == by_hand(server, target, f"the server answered {words}")
    assert len(server.asked) == 1
    assert names(target) == set()


@contextlib.contextmanager
def saying(reply, until=None):
    """The address of a server that says these bytes to everyone, then waits for an event."""

    class Talker(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(reply)
            if until:
                until.wait(10)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Talker) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/x"
        server.shutdown()
        thread.join()


def test_a_server_that_talks_nonsense_cannot_write_to_the_screen(target):
    with saying(b"\x1b[31mred\r\n\r\n") as url, pytest.raises(InputError) as caught:
        download(url, target, attempts=1, timeout_seconds=5)
    assert str(caught.value) == (
        f"could not download {url}: ?[31mred?? (attempt 1 of 1). Run the command again later, or "
        f"fetch the file another way and put it by hand at {target}."
    )


REPLY = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: "a"\r\n'
    b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\nsome data"
)
PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([b"\r\n", b"206", b"302", b"Location: file:///x\r\n", b"99999999999999999999",
                     b"Transfer-Encoding: chunked\r\n", b"Content-Range: bytes 3-4/5\r\n"]),
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(begin=st.integers(0, len(REPLY)), length=st.integers(0, 12), piece=PIECES)
def test_whatever_a_server_says_the_file_is_right_or_not_there(begin, length, piece):
    reply = REPLY[:begin] + piece + REPLY[begin + length :]
    with tempfile.TemporaryDirectory() as folder, saying(reply) as url:
        target, found = Path(folder) / "x", ""
        try:
            download(
                url, target, md5=hashlib.md5(b"some data").hexdigest(), attempts=2, wait_seconds=0,
                timeout_seconds=0.5,
            )  # fmt: skip
        except InputError as error:
            found = str(error)
        assert found.isprintable()
        assert (target.read_bytes() == b"some data") if not found else not target.exists()


def test_a_server_that_falls_silent_takes_nothing_back(target):
    silence = threading.Event()
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: "a"\r\n\r\nsome'
    with saying(head, silence) as url, contextlib.ExitStack() as stack:
        stack.callback(silence.set)
        with pytest.raises(InputError) as caught:
            download(url, target, attempts=1, timeout_seconds=0.2)
    assert str(caught.value) == (
        f"could not download {url}: timed out (attempt 1 of 1); 4 bytes are kept for the next run. "
        "Run the command again later, or fetch the file another way and put it by hand at "
        f"{target}."
    )


def test_a_silent_server_is_given_up_after_the_timeout(target):
    with socket.create_server(("127.0.0.1", 0)) as listening:  # accepts, and says nothing
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(InputError, match=re.escape(f"{url}: timed out (attempt 2 of 2). Run")):
            download(url, target, attempts=2, wait_seconds=0, timeout_seconds=0.1)


def test_a_server_that_is_not_there_is_named(server, target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        assert message(server, target, attempts=2) == by_hand(
            server, target, "[Errno 111] Connection refused (attempt 2 of 2)"
        )


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


def test_a_disk_with_too_little_space_is_told_before_the_first_byte(server, target, monkeypatch):
    interrupt(server, target)
    usage = namedtuple("Usage", "free")
    monkeypatch.setattr(transfer_module.shutil, "disk_usage", lambda path: usage(401_999))
    assert message(server, target) == (
        f"expected 402,000 bytes of free space in {target.parent} for data.bin, found 401,999. "
        "Free space or choose another folder."
    )
    monkeypatch.setattr(transfer_module.shutil, "disk_usage", lambda path: usage(402_000))
    fetch(server, target, sha256=SHA256)


def test_a_full_disk_is_told(server, target):
    (target.parent / ".partial-data.bin").mkdir()  # stands for any folder that cannot be written
    (target.parent / ".partial-data.bin/x").touch()
    assert re.fullmatch(
        rf"could not write {re.escape(str(target.parent))}/\.partial-data\.bin: Is a directory\. "
        r"Nothing that was there before is lost\. Free space or choose a folder you may write to, "
        r"then run the command again\.",
        message(server, target),
    )
    assert not target.exists()


def test_an_empty_file_is_a_file(server, target):
    server.data = b""
    assert fetch(server, target, size=0).read_bytes() == b""


def test_two_downloads_of_one_file_at_once_ask_the_server_once(server, target):
    threads = [threading.Thread(target=fetch, args=(server, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == DATA
    assert len(server.asked) == 1
