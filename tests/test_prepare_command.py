"""`python -m datamodules prepare`: what is missing, what is in it, and fetching it."""

import functools
import http.server
import io
import json
import os
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.__main__ import main
from datamodules.errors import InputError
from datamodules.files import sha256_file
from datamodules.prepare.command import fetch
from datamodules.sources import SOURCES, about_source
from datamodules.sources.about import Download


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "own"
    root.mkdir()
    lines = ["image,split,attribute,value"]
    for number, split in enumerate(("train", "train", "validation", "test")):
        Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(root / f"{number}.png")
        lines.append(f"{number}.png,{split},color,red")
    (root / "annotations.csv").write_text("\n".join(lines))
    return root


def test_it_counts_verifies_and_fills_the_cache(root, capsys):
    words = ["prepare", "--source", "folder", "--root", str(root), "--image_size", "8", "--json"]
    assert main(words) == 0
    out = capsys.readouterr().out
    found = json.loads(out.splitlines()[-1])
    assert (found["images"], found["annotations"], found["items of train"]) == (4, 4, 2)
    assert found["files"] == {"annotations.csv": 1, "captions.csv": 0}
    assert "pixels  4 items of 8 x 8" in out
    (cache,) = root.parent.glob("artifacts/data/folder/images-8-*.npy")
    assert np.load(cache)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_annotations_alone_can_be_checked(root, capsys):
    (root / "0.png").unlink()
    words = ["prepare", "--source", "folder", "--root", str(root)]
    assert main([*words, "--no_pixels"]) == 0
    assert main(words) == 2
    assert f"expected an image at {root / '0.png'}, found no such file." in capsys.readouterr().err


def test_what_is_missing_is_named_with_the_place_to_get_it(tmp_path, capsys):
    assert main(["prepare", "--source", "waterbirds", "--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: expected {about_source('waterbirds').title} in {tmp_path}, ")
    assert "metadata.csv" in error
    assert about_source("waterbirds").get in error


def test_what_has_no_address_cannot_be_fetched(tmp_path, capsys):
    words = ["prepare", "--source", "folder", "--root", str(tmp_path), "--download"]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        "error: --download: expected a public address of your own images, there is none. It holds "
        "annotations.csv (image, split, attribute, value) and the images named there.\n"
    )


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("inner/a.txt", "inner")
    return stream.getvalue()


@pytest.fixture
def server(tmp_path):
    """A server of one archive, on this machine only."""
    folder = tmp_path / "served"
    folder.mkdir()
    with tarfile.open(folder / "set.tgz", "w:gz") as archive:
        for name, content in (
            ("set/annotations.csv", b"image"), ("names.txt", b"text"), ("set/more.zip", zipped()),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder / "set.tgz", f"http://127.0.0.1:{running.server_address[1]}/set.tgz"
        running.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_an_archive_is_fetched_checked_and_unpacked_once(server, tmp_path):
    archive, url = server
    each = Download(url, "set.tgz", sha256_file(archive), archive.stat().st_size)
    about = replace(about_source("folder"), downloads=(each,))
    root = tmp_path / "root"
    for _ in range(2):
        fetch(about, root)
        assert (root / "set/annotations.csv").read_bytes() == b"image"
        assert (root / "names.txt").read_bytes() == b"text"
        assert (root / "set/inner/a.txt").read_bytes() == b"inner"
        archive.unlink(missing_ok=True)  # what is there is not asked for again
    assert not list(root.rglob(".[!l]*.unpacking"))


def test_unpacking_replaces_nothing(server, tmp_path):
    _, url = server
    about = replace(about_source("folder"), downloads=(Download(url, "set.tgz"),))
    root = tmp_path / "root"
    root.mkdir()
    (root / "names.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        fetch(about, root)
    assert str(caught.value) == (
        f"expected no names.txt in {root} before set.tgz is unpacked there, found one. Nothing was "
        "changed. Move it away, or unpack the archive by hand."
    )
    assert (root / "names.txt").read_text() == "mine"
    assert not (root / "set").exists()
    (root / "names.txt").unlink()
    fetch(about, root)
    assert (root / "set/inner/a.txt").is_file()


def test_unpacking_goes_on_where_it_was_interrupted(server, tmp_path, monkeypatch):
    _, url = server
    about = replace(about_source("folder"), downloads=(Download(url, "set.tgz"),))
    root = tmp_path / "root"
    original = os.replace

    def killed(source, target):
        if Path(target) == root / "set":  # the second of the two moves
            raise KeyboardInterrupt
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(about, root)
    assert (root / "names.txt").is_file()
    assert not (root / "set").exists()
    fetch(about, root)
    assert (root / "names.txt").read_bytes() == b"text"
    assert (root / "set/inner/a.txt").read_bytes() == b"inner"
    assert not list(root.rglob(".[!l]*.unpacking"))


def test_an_archive_with_another_sum_leaves_nothing(server, tmp_path):
    _, url = server
    about = replace(about_source("folder"), downloads=(Download(url, "set.tgz", "0" * 64),))
    with pytest.raises(InputError, match="expected SHA-256 0000"):
        fetch(about, tmp_path / "root")
    assert not (tmp_path / "root/set").exists()
    assert not (tmp_path / "root/set.tgz").exists()


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_where_it_comes_from(name):
    about = about_source(name)
    assert about.name == name
    assert about.title
    assert about.licence
    assert about.get.endswith(".")
    if name not in {"folder", "glyphs"}:
        assert about.homepage.startswith("http")
        assert about.citation
        assert about.files
