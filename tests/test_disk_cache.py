"""The disk cache itself: what is found again, what is refused, what goes when it is full, and many users at once."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helion_msl import _C

if TYPE_CHECKING:
    from pathlib import Path

KIND = "translations"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A cache directory of this test alone, which does not exist yet."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", str(directory))
    monkeypatch.delenv("HELION_MSL_CACHE_MAX_SIZE", raising=False)
    monkeypatch.delenv("HELION_MSL_CACHE_MAX_AGE", raising=False)
    return directory


def store(key: bytes, data: bytes, kind: str = KIND) -> None:
    _C.disk_cache_store(kind, key, data)


def find(key: bytes, kind: str = KIND) -> bytes | None:
    return _C.disk_cache_find(kind, key)


def entry_of(root: Path, key: bytes, kind: str = KIND) -> Path:
    """Where the documented layout has the entry: named by the SHA-256 of its key."""
    return root / kind / hashlib.sha256(key).hexdigest()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_stored_is_found(root):
    assert find(b"key") is None
    assert not root.exists()
    store(b"key", b"data")
    assert find(b"key") == b"data"
    assert find(b"other") is None
    assert find(b"key", "host") is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.binary(max_size=300), data=st.binary(max_size=300))
def test_any_bytes_are_found_again_under_the_standard_hash(root, key, data):
    _C.disk_cache_remove(KIND, key)
    store(key, data)
    assert find(key) == data
    entry = entry_of(root, key)
    assert sorted(path.name for path in entry.iterdir()) == ["data", "key"]
    assert (entry / "data").read_bytes() == data
    # The key file: SHA-256 and size of the data on a line, then the key.
    head = f"{hashlib.sha256(data).hexdigest()} {len(data)}\n".encode()
    assert (entry / "key").read_bytes() == head + key


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_000])
def test_checksums_are_sha256_for_every_length_of_padding(root, length):
    data = bytes(i * 7 % 251 for i in range(length))
    store(b"padding", data)
    assert (entry_of(root, b"padding") / "key").read_bytes().startswith(hashlib.sha256(data).hexdigest().encode())


def test_everything_is_private(root):
    before = os.umask(0)
    try:
        store(b"key", b"data")
    finally:
        os.umask(before)
    entry = entry_of(root, b"key")
    assert [mode_of(path) for path in (root, root / KIND, entry)] == [0o700] * 3
    assert [mode_of(path) for path in (entry / "key", entry / "data")] == [0o600] * 2


def test_backup_programs_are_told(root):
    store(b"key", b"data")
    # Cache Directory Tagging Specification: the first 43 bytes.
    assert (root / "CACHEDIR.TAG").read_bytes()[:43] == b"Signature: 8a477f597d28d172789f06886806bc55"


def test_first_entry_stays(root):
    store(b"key", b"first")
    store(b"key", b"second")
    assert find(b"key") == b"first"
    assert [path.name for path in (root / KIND).iterdir()] == [entry_of(root, b"key").name]


# ---- Damage ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_or_a_cut_is_never_read(root, data):
    store(b"a key", b"some data that matter")
    file = entry_of(root, b"a key") / data.draw(st.sampled_from(["key", "data"]))
    content = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[position:]
    file.write_bytes(content)
    assert find(b"a key") is None
    assert not entry_of(root, b"a key").exists()
    store(b"a key", b"some data that matter")
    assert find(b"a key") == b"some data that matter"


def test_entry_of_another_key_is_not_taken(root):
    store(b"one", b"of one")
    store(b"two", b"of two")
    entry_of(root, b"two").rename(root / "aside")
    entry_of(root, b"one").rename(entry_of(root, b"two"))  # as if the two keys had one hash
    assert find(b"two") is None


@pytest.mark.parametrize("name", ["key", "data"])
def test_missing_file_is_a_miss(root, name):
    store(b"key", b"data")
    (entry_of(root, b"key") / name).unlink()
    assert find(b"key") is None


@pytest.mark.parametrize("name", ["key", "data"])
def test_files_are_not_read_through_symbolic_links(root, name, tmp_path):
    store(b"key", b"data")
    file = entry_of(root, b"key") / name
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert find(b"key") is None
    assert elsewhere.exists()


def test_a_pipe_in_place_of_a_file_blocks_nobody(root):
    store(b"key", b"data")
    file = entry_of(root, b"key") / "data"
    file.unlink()
    os.mkfifo(file)
    assert find(b"key") is None


# ---- Directories that are not trusted -------------------------------------------------------------------------------


def refusal() -> str:
    return _C.disk_cache_info()["refusal"]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_directory_that_others_can_write_to_is_not_used(root, mode):
    store(b"key", b"data")
    root.chmod(mode)
    assert find(b"key") is None
    store(b"new", b"data")
    assert "other users can write to" in refusal()
    root.chmod(0o700)
    assert find(b"key") == b"data"
    assert find(b"new") is None


@pytest.mark.parametrize("level", ["kind", "entry", "data"])
def test_what_others_can_write_to_inside_is_not_used(root, level):
    store(b"key", b"data")
    entry = entry_of(root, b"key")
    {"kind": root / KIND, "entry": entry, "data": entry / "data"}[level].chmod(0o777)
    assert find(b"key") is None


def test_symbolic_link_in_place_of_the_directory_is_not_used(root, tmp_path):
    store(b"key", b"data")
    root.rename(tmp_path / "real")
    root.symlink_to(tmp_path / "real")
    assert find(b"key") is None
    assert "symbolic link" in refusal()


def test_file_in_place_of_the_directory(root):
    root.write_text("not a directory")
    store(b"key", b"data")
    assert find(b"key") is None
    assert "is no directory" in refusal()
    assert root.read_text() == "not a directory"


def test_directory_below_one_where_anybody_can_replace_it(root):
    store(b"key", b"data")
    root.parent.chmod(0o777)
    try:
        assert find(b"key") is None
        assert "can replace" in refusal()
        root.parent.chmod(0o1777)  # as /tmp is: nobody can replace what others own
        assert find(b"key") == b"data"
    finally:
        root.parent.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
@pytest.mark.parametrize("level", ["root", "kind", "entry", "key", "data"])
def test_what_belongs_to_another_user_is_not_used(root, level):
    store(b"key", b"data")
    entry = entry_of(root, b"key")
    paths = {"root": root, "kind": root / KIND, "entry": entry, "key": entry / "key", "data": entry / "data"}
    os.chown(paths[level], 4321, 4321)
    assert find(b"key") is None
    if level == "root":
        assert "belongs to user 4321" in refusal()
        store(b"new", b"data")
        assert {path.name for path in (root / KIND).iterdir()} == {entry.name}


def in_another_process(code: str, **environment: str) -> str:
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
                            env={**os.environ, **environment})  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_directory_that_cannot_be_written(root):
    store(b"key", b"data")
    # Root can write anywhere, and so this runs as nobody where it can.
    code = """
        import os
        from helion_msl import _C
        if os.geteuid() == 0:
            for directory, names, files in os.walk(os.environ["HELION_MSL_CACHE_DIR"]):
                for name in [".", *names, *files]:
                    os.chown(os.path.join(directory, name), 65534, 65534)
            os.chown(os.path.dirname(os.environ["HELION_MSL_CACHE_DIR"]), 65534, 65534)
            os.seteuid(65534)
        root = os.environ["HELION_MSL_CACHE_DIR"]
        for name in ["translations", "."]:
            os.chmod(os.path.join(root, name), 0o500)
        print(_C.disk_cache_find("translations", b"key"))
        _C.disk_cache_store("translations", b"new", b"data")
        _C.disk_cache_store("host", b"new", b"data")
        print(_C.disk_cache_find("translations", b"new"), _C.disk_cache_find("host", b"new"))
        for name in [".", "translations"]:
            os.chmod(os.path.join(root, name), 0o700)
    """
    for directory in (root.parent, *list(root.parent.parents)[: 3 if "PYTEST_XDIST_WORKER" in os.environ else 2]):
        directory.chmod(directory.stat().st_mode | 0o055)  # pytest's own are for this user alone
    assert in_another_process(code) == "b'data'\nNone None\n"


def test_no_directory_at_all(monkeypatch):
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", "")
    store(b"key", b"data")
    assert find(b"key") is None
    assert _C.disk_cache_info()["directory"] == ""


@pytest.mark.parametrize("parent", ["/proc/none", "/dev/null/none"])
def test_directory_that_cannot_be_made(monkeypatch, parent):
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", f"{parent}/cache")
    store(b"key", b"data")
    assert find(b"key") is None


def test_full_disk(root):
    # The largest file that the process may write stands for a disk with that much room.
    code = """
        import resource, signal
        from helion_msl import _C
        _C.disk_cache_store("translations", b"before", b"data")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        _C.disk_cache_store("translations", b"key", b"x" * 100)
        print(_C.disk_cache_find("translations", b"key"), _C.disk_cache_find("translations", b"before"))
    """
    assert in_another_process(code) == "None b'data'\n"
    assert [path.name for path in (root / KIND).iterdir()] == [entry_of(root, b"before").name]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/helion-msl"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/helion-msl"),
        ({"HOME": "/home/me"}, "/home/me/.cache/helion-msl"),
        ({"HOME": ""}, ""),
        ({"HOME": "/home/me", "HELION_MSL_CACHE_DIR": "/elsewhere/"}, "/elsewhere"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac's caches are in ~/Library/Caches")
def test_default_directory_follows_the_xdg_specification(monkeypatch, environment, expected):
    for name in ("XDG_CACHE_HOME", "HOME", "HELION_MSL_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _C.disk_cache_info()["directory"] == expected


# ---- Bounds -------------------------------------------------------------------------------------------------------


def total_size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def last_used(entry: Path, seconds_ago: float) -> None:
    moment = time.time() - seconds_ago
    os.utime(entry, (moment, moment))


def test_size_is_bounded_whatever_is_stored(root, monkeypatch):
    monkeypatch.setenv("HELION_MSL_CACHE_MAX_SIZE", "1M")
    for number in range(200):
        store(b"%d" % number, bytes(20_000))
        assert total_size(root) <= 1 << 20
    assert find(b"199") is not None
    assert find(b"0") is None


def test_least_recently_used_goes_first(root):
    for number, key in enumerate([b"a", b"b", b"c"]):
        store(key, bytes(10_000))
        last_used(entry_of(root, key), 100 - number)
    assert find(b"a") is not None  # now it is the last one used
    entries, freed = _C.disk_cache_trim(50_000, 10**6)
    assert entries == 1
    assert freed >= 10_000
    assert [find(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_old_entries_go(root):
    store(b"old", b"data")
    store(b"new", b"data", "host")
    last_used(entry_of(root, b"old"), 1000)
    assert _C.disk_cache_trim(1 << 40, 2000)[0] == 0
    assert _C.disk_cache_trim(1 << 40, 500)[0] == 1
    assert (find(b"old"), find(b"new", "host")) == (None, b"data")


def test_a_cache_that_nobody_trims_is_trimmed_by_itself_each_day(root, monkeypatch):
    monkeypatch.setenv("HELION_MSL_CACHE_MAX_AGE", "30")
    store(b"old", b"data")
    last_used(entry_of(root, b"old"), 31 * 86400)
    store(b"new", b"data")
    assert entry_of(root, b"old").exists()
    journal = root / ".stored"
    journal.write_bytes(b"%-20d\n." % (time.time() - 2 * 86400))  # the last trim was the day before yesterday
    store(b"newer", b"data")
    assert not entry_of(root, b"old").exists()
    assert (find(b"new"), find(b"newer")) == (b"data", b"data")


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"garbage", b"9" * 21])
def test_a_damaged_journal_does_no_harm(root, content):
    store(b"key", b"data")
    (root / ".stored").write_bytes(content)
    store(b"other", b"data")
    assert (find(b"key"), find(b"other")) == (b"data", b"data")


def test_what_a_dead_process_left_goes(root):
    store(b"key", b"data")
    for name in (".new-abcdef", ".new-ghijkl"):
        (root / KIND / name).mkdir()
        (root / KIND / name / "data").write_bytes(b"half")
    last_used(root / KIND / ".new-abcdef", 2 * 3600)
    _C.disk_cache_trim(1 << 40, 10**6)
    assert not (root / KIND / ".new-abcdef").exists()
    assert (root / KIND / ".new-ghijkl").exists()  # perhaps of a process that is alive
    assert find(b"key") == b"data"


def test_nothing_else_is_ever_removed(root):
    store(b"key", b"data")
    kept = [
        root / "thesis.txt",
        root / KIND / "thesis.txt",
        root / KIND / "notes" / "a",
        root / "mine" / ("0" * 64) / "a",
    ]
    for path in kept:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("years of work")
    _C.disk_cache_trim(0, 0)
    _C.disk_cache_clear()
    assert find(b"key") is None
    assert [path.read_text() for path in kept] == ["years of work"] * 4


def test_clear_says_how_much_it_removed(root):
    store(b"a", bytes(5000))
    store(b"b", bytes(5000), "host")
    kinds = _C.disk_cache_info()["kinds"]
    assert {kind: entries for kind, (entries, _) in kinds.items() if entries} == {KIND: 1, "host": 1}
    assert _C.disk_cache_clear() == (2, kinds[KIND][1] + kinds["host"][1])
    assert all(contents == (0, 0) for contents in _C.disk_cache_info()["kinds"].values())


@pytest.mark.parametrize("text", ["0", "-1", "1T", "many", "1.5G", "M", "1MM", "99999999999999999999"])
def test_size_that_is_none(root, monkeypatch, text):
    monkeypatch.setenv("HELION_MSL_CACHE_MAX_SIZE", text)
    with pytest.raises(Exception, match=r"HELION_MSL_CACHE_MAX_SIZE must be a number of bytes above 0"):
        find(b"key")


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("7K", 7 << 10), ("512M", 512 << 20), ("2G", 2 << 30), ("", 512 << 20)]
)
def test_sizes(root, monkeypatch, text, size):
    monkeypatch.setenv("HELION_MSL_CACHE_MAX_SIZE", text)
    assert _C.disk_cache_info()["max_bytes"] == size


@pytest.mark.parametrize("text", ["0", "-3", "soon", "1d", "100001"])
def test_age_that_is_none(root, monkeypatch, text):
    monkeypatch.setenv("HELION_MSL_CACHE_MAX_AGE", text)
    with pytest.raises(Exception, match=r"HELION_MSL_CACHE_MAX_AGE must be a number of days"):
        find(b"key")


# ---- Many at once ---------------------------------------------------------------------------------------------------


def work(seed: int) -> int:
    """Stores, finds, removes and trims at random; returns how many finds brought something wrong."""
    import random

    choose = random.Random(seed)
    wrong = 0
    for _ in range(300):
        number = choose.randrange(8)
        key, data = b"key %d" % number, bytes([number]) * (1000 * number)
        action = choose.random()
        if action < 0.45:
            store(key, data)
        elif action < 0.9:
            wrong += find(key) not in (None, data)
        elif action < 0.97:
            _C.disk_cache_remove(KIND, key)
        else:
            _C.disk_cache_trim(choose.randrange(100_000), 10**6)
    return wrong


def test_processes_at_once(root):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(work, range(3)) == [0, 0, 0]
    leftovers = [path for path in (root / KIND).iterdir() if path.name.startswith(".new-")]
    assert leftovers == []


def test_threads_at_once(root):
    wrong = []
    threads = [threading.Thread(target=lambda seed=seed: wrong.append(work(seed))) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_of_a_fork_uses_the_cache(root):
    store(b"parent", b"1")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store(b"child", b"2")
            status = 0 if (find(b"parent"), find(b"child")) == (b"1", b"2") else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert find(b"child") == b"2"
