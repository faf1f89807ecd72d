"""``helion-msl cache``: what it shows, trims and clears, and what it says of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import helion_msl
from helion_msl import _C, cache
from helion_msl.__main__ import main


@pytest.fixture
def root(tmp_path, monkeypatch):
    directory = tmp_path / "cache"
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", str(directory))
    return directory


def fill(count: int = 3) -> None:
    for number in range(count):
        _C.disk_cache_store("host", b"%d" % number, bytes(20_000))


def test_show(root, capsys):
    fill()
    assert main(["cache", "show"]) == 0
    said = capsys.readouterr().out
    assert f"directory: {root}\n" in said
    # Three entries of five blocks of data, one of the key and one of the directory, 4 KiB each.
    assert "host:      3 entries, 84.0 KiB\n" in said
    assert "in all:      3 entries, 84.0 KiB\n" in said
    assert "at most 512.0 MiB, and 90 days after the last use" in said


def test_show_as_json(root, capsys):
    fill()
    assert main(["cache", "show", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["directory"] == str(root)
    assert found["kinds"]["host"] == {"entries": 3, "bytes": 3 * 7 * 4096}
    assert (found["max_bytes"], found["max_age"]) == (512 << 20, 90 * 86400)


def test_show_says_why_the_cache_is_not_used(root, capsys, monkeypatch):
    fill()
    root.chmod(0o777)
    main(["cache", "show"])
    assert f"not used: other users can write to {root}" in capsys.readouterr().out
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", "")
    main(["cache", "show"])
    assert "turned off" in capsys.readouterr().out


def test_trim_and_clear(root, capsys):
    fill()
    assert main(["cache", "trim"]) == 0
    assert capsys.readouterr().out == "removed 0 entries, 0 bytes\n"
    assert main(["cache", "trim", "--max-size", "60K"]) == 0
    assert capsys.readouterr().out == "removed 1 entries, 28.0 KiB\n"
    assert cache.info().entries == 2
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == "removed 2 entries, 56.0 KiB\n"
    assert cache.info().entries == 0


def test_trim_by_age(root, capsys):
    fill()
    for entry in (root / "host").iterdir():
        os.utime(entry, (1e9, 1e9))
    assert main(["cache", "trim", "--max-age", "30"]) == 0
    assert "removed 3 entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["cache"], ["cache", "burn"], ["cache", "trim", "--max-size", "much"], ["cache", "trim", "--max-age", "-1"]],
)
def test_bad_arguments(root, capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: helion-msl" in capsys.readouterr().err


def test_bad_environment(root, capsys, monkeypatch):
    monkeypatch.setenv("HELION_MSL_CACHE_MAX_SIZE", "lots")
    assert main(["cache", "show"]) == 1
    assert "HELION_MSL_CACHE_MAX_SIZE must be" in capsys.readouterr().err


@pytest.mark.parametrize("limits", [{"max_bytes": -1}, {"max_age": -1}])
def test_negative_limits(root, limits):
    with pytest.raises(helion_msl.ArgumentError, match="not negative"):
        cache.trim(**limits)


def test_limits_beyond_64_bits_keep_everything(root):
    fill()
    assert cache.trim(1 << 80, 1 << 80) == cache.Removed(0, 0)


def test_module_is_a_program(root):
    command = [sys.executable, "-m", "helion_msl", "cache", "clear"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "removed 0 entries, 0 bytes\n"), result.stderr
