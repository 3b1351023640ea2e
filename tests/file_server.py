"""A server of one file on this machine, and downloads from it."""

import contextlib
import hashlib
import os
import re
import socketserver
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from datamodules.errors import InputError
from datamodules.prepare import download

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


@contextlib.contextmanager
def serving():
    """A server of `DATA` on this machine; tests change its attributes."""
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


def cut_after(num_bytes):
    return Step(None, {}, num_bytes)


def answer(status, **headers):
    return Step(status, {name.replace("_", "-"): value for name, value in headers.items()}, None)


def forget_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


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
