"""Downloads go on where they broke off, and never glue two files together."""

import pytest

from datamodules.prepare import transfer as transfer_module
from tests.file_server import (
    DATA,
    OTHER,
    SHA256,
    Asked,
    answer,
    by_hand,
    cut_after,
    fetch,
    interrupt,
    message,
    names,
    ranges,
)

pytestmark = pytest.mark.usefixtures("only_this_machine")


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
