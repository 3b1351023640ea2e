"""Every YAML in configs/ parses, and says nothing that the code does not know."""

import contextlib
import io
from pathlib import Path

import pytest
import yaml

from composition.__main__ import main as compose
from lightning_modules.__main__ import main

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def printed(words):
    out, err = io.StringIO(), io.StringIO()
    streams = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
    front_door = compose if Path(words[2]).name == "compose.yaml" else main
    with streams[0], streams[1], pytest.raises(SystemExit) as leave:
        front_door([*map(str, words), "--print_config"])
    assert leave.value.code == 0, err.getvalue()
    return yaml.safe_load(out.getvalue())


def words_of(path):
    """The command that a config belongs to; a new one must be named here."""
    commands = {
        "base.yaml": ["base", "--config", path],
        "compose.yaml": [
            "fit",
            "--config",
            path,
            "--model.deltas=[color]",
            '--data.tasks=[{"attribute": "color"}]',
        ],
        "train.yaml": ["fit", "--config", path, "--data.attribute=color"],
    }
    assert path.name in commands, f"{path} has no command: add it to this test"
    return commands[path.name]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_parses_and_its_settings_arrive(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = printed(words_of(path))

    def check(written, arrived, where):
        for key, value in written.items():
            assert key in arrived, f"{where}{key}"
            if isinstance(value, dict):
                check(value, arrived[key], f"{where}{key}.")
            else:
                assert arrived[key] == value, f"{where}{key}"

    check(yaml.safe_load(path.read_text()), found, "")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_begins_with_what_it_is_for_and_the_command(path):
    assert "make " in path.read_text().splitlines()[0]


def test_there_are_configs():
    assert {"base.yaml", "train.yaml"} <= {path.name for path in CONFIGS}
