"""A folder → its entries, each as a file to read, one refused unread, or one left aside with the reason.

Belongs here: walking, what an entry is, which sidecar is whose. Does not: which folders (sources.py), reading files
(reading.py), what names mean (filenames.py).

No entry raises and none is opened. Only a folder that cannot be listed although it is there to be listed raises,
because a share that is gone must not pass for an empty one.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cry_pipeline.corpus.paths import printable, shown
from cry_pipeline.corpus.reading import MAX_BYTES, is_within, kind_of
from cry_pipeline.corpus.refusals import Refusal

UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp")
"""What browsers, rsync and scp clients add to a name until the file is whole."""
SIDECAR, ORPHAN = ".json", "tells of no file beside it"
SIDECAR_MAX_BYTES = 1 << 16
"""A sidecar has at most eight short values: a few hundred bytes."""
ITS_OWN_FAULT = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP})
"""Errors that say something about one folder, and nothing about the disk or the share that it lies on."""


class SourceError(RuntimeError):
    """A source cannot be listed or read; the message names the folder or file and says what to do."""


@dataclass(frozen=True)
class Found:
    """An entry that will be a row: a plain file with its status, or one that is refused unread.

    ``path`` is that of the row: relative to ``base``, printable. ``sidecar`` is the file that tells of it, if any.
    """

    path: str
    file: Path
    status: os.stat_result | None
    refusal: Refusal | None = None
    sidecar: "Found | None" = None


@dataclass(frozen=True)
class LeftAside:
    """An entry that is no recording, or not one yet: its printable path, and why in a few words."""

    path: str
    why: str


def list_files(folder: Path, base: Path, *, sidecars: bool) -> Iterator[Found | LeftAside]:
    """Yield every entry below ``folder`` once, in no order; a hidden folder is one entry.

    Args:
        folder: where to look.
        base: what paths are relative to, and what links must not lead out of.
        sidecars: whether a JSON file tells of the file beside it whose name it has.

    Raises:
        SourceError: a folder cannot be listed.
    """
    home, waiting = os.path.realpath(base), [folder]
    while waiting:
        parent = waiting.pop()
        place = printable(os.path.relpath(parent, base))
        prefix = "" if place == "." else f"{place}/"
        try:
            with os.scandir(parent) as opened:
                entries = list(opened)
        except OSError as error:
            yield from _unlisted(parent, prefix, error, first=parent == folder)
            continue
        if not entries and parent != folder:
            yield LeftAside(prefix, "an empty folder")
        told, taken = _sidecars(entries) if sidecars else {}, set()
        for entry in entries:
            path, why = prefix + printable(entry.name), _why_left_aside(entry)
            if why is not None:
                yield LeftAside(path, why)
            elif _is_folder(entry):
                waiting.append(Path(entry.path))
            elif not _is_sidecar(entry):
                sidecar = told.get(entry.name) or told.get(Path(entry.name).stem)
                taken.add(sidecar)
                yield _found(entry, path, home, MAX_BYTES, _beside(sidecar, prefix, home))
        for entry in entries:
            if _is_sidecar(entry) and entry not in taken:
                yield LeftAside(prefix + printable(entry.name), ORPHAN)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # taken away meanwhile
        return False


def _is_sidecar(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(SIDECAR) and _why_left_aside(entry) is None and not _is_folder(entry)


def _why_left_aside(entry: os.DirEntry[str]) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.lower().endswith(UNFINISHED) and not _is_folder(entry):
        return "unfinished, as its name says"
    return None


def _sidecars(entries: list[os.DirEntry[str]]) -> dict[str, os.DirEntry[str]]:
    """Return sidecars by the name that they tell of; where there are two, ``.json`` comes before ``.JSON``."""
    ordered = sorted(entries, key=lambda entry: entry.name)  # lower case is last, and stays
    return {entry.name[: -len(SIDECAR)]: entry for entry in ordered if _is_sidecar(entry)}


def _beside(sidecar: os.DirEntry[str] | None, prefix: str, home: str) -> Found | None:
    entry = sidecar and _found(sidecar, prefix + printable(sidecar.name), home, SIDECAR_MAX_BYTES)
    return entry if isinstance(entry, Found) else None


def _unlisted(folder: Path, prefix: str, error: OSError, *, first: bool) -> Iterator[LeftAside]:
    if not first and error.errno in ITS_OWN_FAULT:
        yield LeftAside(prefix, f"cannot be listed: {error.strerror}")
    elif first or not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise SourceError(f"{shown(str(folder))} cannot be listed ({error.strerror}): make or mount it") from error


def _found(entry: os.DirEntry[str], path: str, home: str, most: int, sidecar: Found | None = None) -> Found | LeftAside:
    file = Path(entry.path)
    try:
        is_link = entry.is_symlink()
        status = entry.stat()
    except OSError as error:
        return _no_status(entry, path, error, sidecar)
    kind, refusal = kind_of(status), None
    if is_link and not is_within(os.path.realpath(file), home):
        refusal = Refusal("link", "It is a link that leads out of its folder: put the file itself there.")
    elif is_link and kind == "a folder":
        refusal = Refusal("link", "It is a link to a folder: put the files themselves there.")
    elif kind is not None:
        refusal = Refusal("not_a_file", f"It is no file but {kind}: take it away.")
    elif status.st_size > most:
        refusal = Refusal("too_large", f"It has {status.st_size} bytes, more than {most}, and has not been read.")
    return Found(path, file, None if kind else status, refusal, sidecar)


def _no_status(entry: os.DirEntry[str], path: str, error: OSError, sidecar: Found | None) -> Found | LeftAside:
    gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
    if gone and not Path(entry.path).is_symlink():
        return LeftAside(path, "taken away while it was listed")
    refusal = Refusal("unreadable", f"It cannot be read: {error.strerror}.")
    if gone:
        refusal = Refusal("link", "It is a link that leads to nothing.")
    elif error.errno == errno.ELOOP:
        refusal = Refusal("link", "It is a link that leads in a circle.")
    return Found(path, Path(entry.path), None, refusal, sidecar)
