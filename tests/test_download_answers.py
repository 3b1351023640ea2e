"""Servers that are busy, silent, gone or talk nonsense."""

import contextlib
import hashlib
import logging
import re
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.prepare import download
from datamodules.prepare import transfer as transfer_module
from tests.file_server import (
    DATA,
    SHA256,
    Step,
    answer,
    by_hand,
    fetch,
    message,
    names,
    ranges,
    saying,
)

pytestmark = pytest.mark.usefixtures("only_this_machine")


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


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "404 Not Found"), (403, "403 Forbidden"), (204, "204 No Content"), (299, "299")],
)
def test_other_answers_end_it_at_once(server, target, status, words):
    server.steps = [answer(status)]
    assert message(server, target) == by_hand(server, target, f"the server answered {words}")
    assert len(server.asked) == 1
    assert names(target) == set()


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
