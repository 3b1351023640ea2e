"""Vectors on the disk: only new texts are embedded, broken files are made anew, runs wait."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datamodules.dictionary.embed import CachedVectors

ROOT = Path(__file__).parents[1]


class Counting:
    """A row is made of the letters; counts what it is asked for."""

    name = "counting"

    def __init__(self, content_hash="a" * 64):
        self.content_hash = content_hash
        self.asked = []

    def encode(self, texts):
        self.asked += texts
        return np.float32([[len(text), sum(map(ord, text)), 0.1] for text in texts]).reshape(-1, 3)

    def known(self, texts):
        return np.array(["x" not in text for text in texts], dtype=bool)


TEXTS = ["red", "dark blue", "naïve", "x", "red", "a\nb", "\ud800"]


def test_rows_are_the_sources_and_are_asked_for_once(tmp_path):
    source = Counting()
    for _ in range(2):  # a new object reads what the first one wrote
        cached = CachedVectors(source, tmp_path)
        np.testing.assert_array_equal(cached.encode(TEXTS), Counting().encode(TEXTS))
        assert cached.known(TEXTS).tolist() == [True, True, True, False, True, True, True]
        assert cached.encode(TEXTS).dtype == np.float32
    assert source.asked == list(dict.fromkeys(TEXTS))
    assert (cached.name, cached.content_hash) == ("counting", "a" * 64)


def test_a_rebuild_with_new_texts_embeds_only_these(tmp_path):
    source, old = Counting(), [f"word {number}" for number in range(200)]
    CachedVectors(source, tmp_path).encode(old)
    source.asked.clear()
    grown = [*old[50:], *(f"new {number}" for number in range(10))]
    rows = CachedVectors(source, tmp_path).encode(grown)
    assert source.asked == grown[150:]
    np.testing.assert_array_equal(rows, Counting().encode(grown))
    source.asked.clear()
    CachedVectors(source, tmp_path).encode(old + grown)
    assert source.asked == []


def test_each_source_has_its_own_file(tmp_path):
    CachedVectors(Counting(), tmp_path).encode(["red"])
    other = Counting("b" * 64)
    CachedVectors(other, tmp_path).encode(["red"])
    assert other.asked == ["red"]
    assert sorted(path.name for path in tmp_path.glob("[ab]*.npz")) == [
        f"{x * 64}.npz" for x in "ab"
    ]


def test_the_file_opens_without_pickle(tmp_path):
    cached = CachedVectors(Counting(), tmp_path)
    cached.encode(["red", "x"])
    with np.load(cached.path, allow_pickle=False) as parts:
        assert sorted(parts) == ["index", "known", "rows"]
        assert parts["rows"].shape == (2, 3)
        assert bytes(parts["index"]).decode().endswith('"texts": ["red", "x"]}')


def test_every_broken_byte_is_noticed_or_harmless(tmp_path, caplog):
    cached = CachedVectors(Counting(), tmp_path)
    texts = ["red", "dark blue", "x"]
    cached.encode(texts)
    whole = cached.path.read_bytes()
    places = np.random.default_rng(0).choice(len(whole), size=200, replace=False)
    caplog.set_level(logging.CRITICAL)
    for place in places.tolist():
        for bit in (1, 128):
            data = bytearray(whole)
            data[place] ^= bit
            cached.path.write_bytes(data)
            again = CachedVectors(Counting(), tmp_path)
            np.testing.assert_array_equal(again.encode(texts), Counting().encode(texts))
            assert again.known(texts).tolist() == [True, True, False]


def other_file(**changes):
    parts = {
        "index": np.frombuffer(b'{"hash": "%b", "texts": ["red"]}' % (b"a" * 64), np.uint8),
        "rows": np.ones((1, 3), np.float32),
        "known": np.ones(1, bool),
    }
    stream = io.BytesIO()
    np.savez(stream, **{**parts, **changes})
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        other_file()[:-30],
        other_file(rows=np.ones((2, 3), np.float32)),
        other_file(rows=np.ones((1, 3), np.float64)),
        other_file(known=np.ones(1, np.uint8)),
        other_file(known=np.array([object()], dtype=object)),
        other_file(index=np.frombuffer(b'{"hash": "b", "texts": ["red"]}', np.uint8)),
        other_file(index=np.frombuffer(b"[1]", np.uint8)),
    ],
)
def test_a_file_of_something_else_is_made_anew_with_a_warning(tmp_path, caplog, data):
    cached = CachedVectors(Counting(), tmp_path)
    cached.path.write_bytes(data)
    assert cached.encode(["red"]).tolist() == Counting().encode(["red"]).tolist()
    assert "its vectors are made anew" in caplog.text
    caplog.clear()
    CachedVectors(Counting(), tmp_path).encode(["red"])
    assert caplog.text == ""


def test_an_own_file_of_the_test_is_trusted(tmp_path):
    cached = CachedVectors(Counting(), tmp_path)
    cached.path.write_bytes(other_file())
    assert cached.encode(["red"]).tolist() == [[1, 1, 1]]


def test_a_source_that_fails_leaves_the_file_as_it_was(tmp_path):
    cached = CachedVectors(Counting(), tmp_path)
    cached.encode(["red"])
    before = cached.path.read_bytes()
    failing = Counting()
    failing.known = lambda texts: 1 / 0
    with pytest.raises(ZeroDivisionError):
        CachedVectors(failing, tmp_path).encode(["blue"])
    assert cached.path.read_bytes() == before


RUN = """
import sys, time
sys.path[:0] = ["tests", "."]
from pathlib import Path
from test_embed_cache import Counting
from datamodules.dictionary.embed import CachedVectors

class Slow(Counting):
    def encode(self, texts):
        if texts:
            with open(sys.argv[2], "a") as log:
                log.write("".join(text + "\\n" for text in texts))
            time.sleep(0.7)
        return super().encode(texts)

words = [f"w{number}" for number in range(int(sys.argv[3]), int(sys.argv[4]))]
rows = CachedVectors(Slow(), Path(sys.argv[1])).encode(words)
assert (rows == Counting().encode(words)).all()
"""


def test_two_processes_embed_each_text_once(tmp_path):
    log = tmp_path / "log"
    running = [
        subprocess.Popen([sys.executable, "-c", RUN, tmp_path / "kept", log, *span], cwd=ROOT)
        for span in (("0", "40"), ("20", "60"))
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    words = log.read_text().split()
    assert sorted(words) == sorted(f"w{number}" for number in range(60))
    source = Counting()
    CachedVectors(source, tmp_path / "kept").encode([f"w{number}" for number in range(60)])
    assert source.asked == []
