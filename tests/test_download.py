"""Downloads are whole and checked, or not there at all."""

import hashlib
import re
import threading
from collections import namedtuple

import pytest

from datamodules.prepare import transfer as transfer_module
from tests.file_server import (
    DATA,
    MD5,
    OTHER,
    SHA256,
    Asked,
    by_hand,
    cut_after,
    fetch,
    interrupt,
    message,
    names,
    ranges,
)

pytestmark = pytest.mark.usefixtures("only_this_machine")


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
