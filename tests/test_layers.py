"""The import contracts of pyproject.toml are kept, and would be noticed when broken."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("datamodules", "lightning_modules", "composition", "interpret")


def lint_imports(folder):
    code = "import sys, importlinter.cli as cli; sys.exit(cli.lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout


def empty_rooms(folder):
    for room in ROOMS:
        (folder / room).mkdir()
        (folder / room / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)


def test_each_room_imports_lower_rooms_only_and_has_no_cycles():
    code, output = lint_imports(ROOT)
    assert code == 0, output
    assert re.search(r"Contracts: 2 kept, 0 broken", output)


def test_an_import_of_a_higher_room_is_noticed(tmp_path):
    empty_rooms(tmp_path)
    (tmp_path / "datamodules/images.py").write_text("import interpret\n")
    code, output = lint_imports(tmp_path)
    assert code == 1
    assert "datamodules is not allowed to import interpret" in output


def test_a_cycle_inside_a_room_is_noticed(tmp_path):
    empty_rooms(tmp_path)
    (tmp_path / "interpret/heads.py").write_text("from interpret import taps\n")
    (tmp_path / "interpret/taps.py").write_text("from interpret import heads\n")
    code, output = lint_imports(tmp_path)
    assert code == 1
    assert "No cycles inside a room BROKEN" in output
