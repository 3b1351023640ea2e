"""Archives made in memory, whole or hostile, and what unpacking them must leave behind."""

import gzip
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from datamodules.errors import InputError
from datamodules.prepare import extract

NOTHING = "Nothing was unpacked. Get the archive again from its official address."
FILES = {"top/a.txt": b"first", "top/lists/b.txt": b"", "top/lists/deep/c.bin": bytes(range(256))}
ENDINGS = ("zip", "tar", "tar.gz", "tgz")


def entry(name, data=b"", *, type=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), type
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar_bytes(entries, *, format=tarfile.PAX_FORMAT, ending="tar"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(stream.getvalue()) if ending.endswith("gz") else stream.getvalue()


def zip_bytes(members, *, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, data); names are written as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo("x")
            if info is not name:
                info.filename, info.compress_type = name, method
            archive.writestr(info, data)
    return stream.getvalue()


def archive_bytes(files, ending):
    if ending == "zip":
        return zip_bytes(files)
    return tar_bytes([entry(name, data) for name, data in files], ending=ending)


def written(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def put(tmp_path, ending, data):
    path = tmp_path / f"archive.{ending}"
    path.write_bytes(data)
    return path


def refusal(archive, **kwargs):
    """The message, once it is sure that nothing came of the archive anywhere."""
    before = sorted(path for path in archive.parent.rglob("*") if path.name != ".lock-out")
    with pytest.raises(InputError) as caught:
        extract(archive, archive.parent / "out", **kwargs)
    after = sorted(path for path in archive.parent.rglob("*") if path.name != ".lock-out")
    assert after == before
    return str(caught.value)


def about(archive, name, expected, got):
    return f"{archive}, member {name!r}: expected {expected}, got {got}. {NOTHING}"


def damaged(archive, reason):
    return (
        f"expected a whole archive in {archive}, got a file that is cut short, damaged or of "
        f"another kind ({reason}). {NOTHING}"
    )


def unpack_safely(ending, data):
    """Unpack; only an InputError may come of it, and nothing may lie anywhere but in the folder."""
    with tempfile.TemporaryDirectory() as top:
        inner = Path(top).resolve() / "1/2/3"
        inner.mkdir(parents=True)
        archive = put(inner, ending, data)
        out, error = inner / "out", None
        try:
            paths = extract(archive, out, max_bytes=10_000_000)
        except InputError as caught:
            error = caught
        outside = {
            path.relative_to(inner).as_posix() if path.is_relative_to(inner) else str(path)
            for path in Path(top).resolve().rglob("*")
            if path not in (inner, *inner.parents) and out not in (path, *path.parents)
        }
        assert outside <= {archive.name, ".lock-out"}
        if error:
            assert str(error).isprintable()
            assert not out.exists()
            return None
        assert set(written(out)) == set(paths)
        assert not any(path.is_symlink() for path in out.rglob("*"))
        return written(out)
