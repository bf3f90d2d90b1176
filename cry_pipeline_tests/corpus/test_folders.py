"""Whatever lies in a folder: each entry ends as a row, in quarantine or named, nothing waits, nothing else is read."""

import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cry_pipeline.corpus.listing import SIDECAR_MAX_BYTES
from cry_pipeline_tests.corpus.conftest import SmallCorpus, write
from cry_pipeline_tests.corpus.inventories import aside, inventory, refused

NOBODY = 65_534
LOOK = """
import json, os, sys
from pathlib import Path
from cry_pipeline.corpus.manifest import build_manifest
from cry_pipeline.corpus.sources import Roots, take_inventory

def look(folder):
    roots = Roots(folder / "corpus", folder / "inbox")
    listed = take_inventory(roots, folder / "cache")
    built = build_manifest(listed, roots, folder / "cache")
    refused = dict(zip(built.quarantine["path"], built.quarantine["reason"]))
    return json.dumps([refused, {one["path"]: one["why"] for one in listed.attrs["left_aside"]}])

folder, warm, uid = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if uid:
    look(warm)  # so that all is imported that somebody else may not import
    os.setgid(uid)
    os.setuid(uid)
print(look(folder))
"""


def look(corpus: SmallCorpus, uid: int = 0, watched: Path | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Take inventory and manifest in another process: what is refused, and what is left aside."""
    traced = (
        ["strace", "-f", "--seccomp-bpf", "-e", "trace=open,openat,openat2,connect,execve", "-o", str(watched)]
        if watched
        else []
    )
    warm = SmallCorpus(corpus.folder / "warm")
    command = [*traced, sys.executable, "-c", LOOK, str(corpus.folder), str(warm.folder), str(uid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def odd_entries(inbox: Path, outside: Path) -> dict[str, str | None]:
    """Put every kind of entry into an inbox; return what each must be refused for, None for left aside."""
    write(outside / "secret.wav", b"secret")
    write(outside / "secret.json", b'{"reason": "tired"}')
    write(inbox / "good.wav", b"good")
    for name in ("told.wav", "piped.wav", "foldered.wav", "huge told.wav"):
        write(inbox / name, name.encode())
    links = {
        "out.wav": outside / "secret.wav", "out folder.wav": outside, "out folder": outside, "up": "..",
        "nothing.wav": "gone", "circle.wav": "circle.wav", "far.wav": "../" * 40 + "etc/hostname",
        "zero.wav": "/dev/zero", "memory.wav": "/proc/self/mem", "stdin.wav": "/dev/stdin",
        "told.wav.json": outside / "secret.json",
    }  # fmt: skip
    for name, target in links.items():
        (inbox / name).symlink_to(target)
    for name in ("pipe.wav", "piped.wav.json", "pipe.part"):
        os.mkfifo(inbox / name)
    with (inbox / "huge told.wav.json").open("wb") as file:
        file.truncate(SIDECAR_MAX_BYTES + 1)
    (inbox / "foldered.wav.json").mkdir()
    (inbox / "folder.wav").mkdir()
    write(inbox / "folder.wav" / "inside.wav", b"inside")
    here = Path.cwd()
    try:
        os.chdir(inbox)  # the path of a socket may have 107 bytes
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.wav")
    finally:
        os.chdir(here)
    os.link(inbox / "good.wav", inbox / "hard.wav")
    for name, time_s in {"future.wav": 2**33, "before 1970.wav": -(10**6), "far future.wav": 2**34 - 1}.items():
        write(inbox / name, name.encode())
        os.utime(inbox / name, (time_s, time_s))
    expected = {
        **dict.fromkeys(links, "link"), "pipe.wav": "not_a_file", "socket.wav": "not_a_file",
        **dict.fromkeys(["told.wav", "piped.wav", "foldered.wav", "huge told.wav"], "odd_name"),
        **dict.fromkeys(["good.wav", "hard.wav", "folder.wav/inside.wav"], "odd_name"),
        **dict.fromkeys(["future.wav", "before 1970.wav", "far future.wav"], "odd_name"),
        "pipe.part": None, "foldered.wav.json/": None,
    }  # fmt: skip
    del expected["told.wav.json"]  # it tells of a file, and is that file's fault
    if os.geteuid() == 0:
        os.mknod(inbox / "null.wav", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        expected["null.wav"] = "not_a_file"
    return expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kinds of files that Linux has")
def test_every_kind_of_entry_is_accounted_for_and_nothing_outside_is_opened(small: SmallCorpus, tmp_path: Path) -> None:
    expected = odd_entries(small.folder / "inbox", tmp_path / "outside")
    watched = tmp_path / "opened" if shutil.which("strace") else None
    found, left = look(small, watched=watched)
    assert found | dict.fromkeys(left) == expected
    if watched is None:
        return
    said = watched.read_text()
    opened = {Path(name) for name in re.findall(r'open(?:at|at2)?\(.*?"((?:[^"\\]|\\.)*)"', said)}
    inside = {file.name for file in opened if file.is_relative_to(small.folder / "inbox")}
    assert {"good.wav", "told.wav"} <= inside, "what was opened is seen"
    assert not {name for name in inside if expected.get(name, "odd_name") not in ("odd_name", None)}
    assert not [file for file in opened if file.is_relative_to(tmp_path / "outside")]
    assert not opened & {Path("/etc/hostname"), Path("/dev/zero"), Path("/proc/self/mem"), Path("/dev/stdin")}
    assert "AF_INET" not in said


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest closes its own to them, also while a test runs."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root cannot become somebody else, and runs the tests so")
def test_what_this_user_may_not_read_stops_nothing(open_folder: Path) -> None:
    small = SmallCorpus(open_folder)
    inbox = small.folder / "inbox"
    for name in ("closed.wav", "closed folder/a.wav", "seen folder/b.wav", "told.wav", "good.wav"):
        write(inbox / name, name.encode())
    write(inbox / "told.wav.json", b"{}")
    for name in ("closed.wav", "closed folder", "told.wav.json"):
        (inbox / name).chmod(0)
    (inbox / "seen folder").chmod(0o444)  # its names may be read, and nothing of what they name
    small.cache.mkdir(mode=0o777)
    small.cache.chmod(0o777)
    found, left = look(small, NOBODY)
    assert found == {
        "closed.wav": "unreadable",
        "seen folder/b.wav": "unreadable",
        "told.wav": "odd_name",
        "good.wav": "odd_name",
    }
    assert left == {"closed folder/": "cannot be listed: Permission denied"}


def nested(inbox: Path, name: str, times: int) -> None:
    """Make folders in each other, each with a file, whatever length that comes to."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(inbox)
        for number in range(times):
            os.mkdir(name)  # noqa: PTH102  # no path is as long
            os.chdir(name)
            with open("x.wav", "w") as file:  # noqa: PTH123
                file.write(str(number))
            os.utime("x.wav", (10**9, 10**9))
    finally:
        os.fchdir(here)
        os.close(here)


def test_folders_are_walked_however_deep_they_are(small: SmallCorpus) -> None:
    inbox = small.folder / "inbox"
    nested(inbox, "n", 1000)
    nested(inbox, "d" * 200, 30)
    listed = inventory(small)
    subprocess.run(["rm", "-r", "n", "d" * 200], cwd=inbox, check=True)  # Python's own goes as deep as its stack
    assert listed["path"].str.startswith("n/").sum() == 1000
    deep = listed[listed["path"].str.startswith("d")]
    assert set(deep["refused"].dropna()) <= {"unreadable"}, "a path that is too long for a file, not for its folder"
    assert 15 < len(deep) < 30
    assert [one["why"] for one in listed.attrs["left_aside"]] == ["cannot be listed: File name too long"]


def test_names_that_look_alike_are_files_of_their_own(small: SmallCorpus) -> None:
    names = {"Baby.wav", "baby.wav", "BABY.WAV", "\u0430.wav", "a.wav", "a\u200b.wav", "a .wav", "a\xa0.wav"}
    names |= {unicodedata.normalize(form, "bébé.wav") for form in ("NFC", "NFD")}
    for name in names:
        write(small.folder / "inbox" / name, name.encode())
    listed = inventory(small)
    if len(listed) < len(names):
        pytest.skip("this file system takes some of them for one")
    assert listed["path"].nunique() == listed["sha256"].nunique() == len(names)
    for row in listed.itertuples():
        assert small.roots.locate("inbox", str(row.path)).read_bytes() in {name.encode() for name in names}


def test_folder_whose_name_is_no_utf_8_is_walked(small: SmallCorpus) -> None:
    folder = Path(os.fsdecode(os.fsencode(small.folder / "inbox") + b"/caf\xe9"))
    write(folder / "a.wav", b"a")
    write(folder / "a.wav.json", b"{}")
    row = inventory(small).iloc[0]
    assert (row["path"], row["sidecar"]) == (r"caf\xe9/a.wav", r"caf\xe9/a.wav.json")
    assert small.roots.locate("inbox", row["path"]).read_bytes() == b"a"


def swaps(inbox: Path, outside: Path) -> dict[str, Callable[[], None]]:
    """What may happen to ``day/a.wav`` and its folder in the moment between two looks."""
    day, file = inbox / "day", inbox / "day" / "a.wav"

    def file_for(make: Callable[[], None]) -> Callable[[], None]:
        return lambda: (file.unlink(), make())[-1]

    def folder_for(make: Callable[[], None]) -> Callable[[], None]:
        return lambda: (shutil.rmtree(day), make())[-1]

    return {
        "file gone": file.unlink,
        "file a pipe": file_for(lambda: os.mkfifo(file)),
        "file a folder": file_for(file.mkdir),
        "file a link out": file_for(lambda: file.symlink_to(outside / "a.wav")),
        "file another": file_for(lambda: [write(file, b"another"), None][-1]),
        "folder gone": folder_for(lambda: None),
        "folder a file": folder_for(day.touch),
        "folder a pipe": folder_for(lambda: os.mkfifo(day)),
        "folder a link out": folder_for(lambda: day.symlink_to(outside)),
        "folder a link to nothing": folder_for(lambda: day.symlink_to("nowhere")),
    }


@pytest.mark.parametrize("moment", ["before it is listed", "before it is read"])
@pytest.mark.parametrize("change", list(swaps(Path(), Path())))
def test_what_changes_meanwhile_is_named_or_gone_and_nothing_outside_is_read(
    small: SmallCorpus, tmp_path: Path, change: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, outside = small.folder / "inbox", tmp_path / "outside"
    write(inbox / "day" / "a.wav", b"inside")
    write(outside / "a.wav", b"secret")
    left = [swaps(inbox, outside)[change]]
    scandir, opening = os.scandir, os.open

    def listing(path):
        if moment == "before it is listed" and left and not isinstance(path, int) and Path(path).name == "day":
            left.pop()()
        return scandir(path)

    def reading(path, *rest, **more):
        if moment == "before it is read" and Path(path).name == "a.wav" and left:
            left.pop()()
        return opening(path, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", listing)
        patched.setattr(os, "open", reading)
        listed = inventory(small)
    assert not left, "it has happened"
    known = {hashlib.sha256(content).hexdigest() for content in (b"inside", b"another")}
    assert set(listed["sha256"].dropna()) <= known, "not that of the secret"
    assert len(listed) + len(listed.attrs["left_aside"]) <= 1
    assert set(refused(small)) | set(aside(small)) <= {"day", "day/", "day/a.wav", "day/a.wav/"}
