"""A node's working copy of a data root: which of its files are as they came, which were changed here.

Belongs here: looking at the folder, and the note of what it was given last. Does not: the bucket (root.py).

A file whose size, times and inode are those of the note has the content of the note; any other is read. All writers of
the pipeline put a new file in place of an old one, which changes its inode.
"""

import fcntl
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cry_pipeline.artefacts import DamagedFileError, NotAFileError, make_folder, open_plain, read_json, sync, write_json
from cry_pipeline.digests import sha256_of_file
from cry_pipeline.storage.tree import KEPT, Content, is_kept

NOTE, LOCK = "data_root.json", ".data_root.lock"
PRIVATE = "secret.json"
"""The file that its owner alone may read."""


class Known(NamedTuple):
    """A file as it was given or taken last: its content, and its status then."""

    content: Content
    status: tuple[int, ...]


class WorkingCopy:
    """The files of ``folder`` that are of a data root, and the ``given`` ones: as the data root ``uri`` had them."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri
        self.cache = folder / "cache"
        self.given: dict[str, Known] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes of this node off the note; read it first, and write it last."""
        make_folder(self.cache)
        with os.fdopen(open_plain(self.cache / LOCK, os.O_WRONLY | os.O_CREAT), "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.given = self._read()
            before = dict(self.given)
            try:
                yield
            finally:
                if self.given != before:
                    self._write()

    @property
    def base(self) -> dict[str, Content]:
        """What was given, by path."""
        return {path: known.content for path, known in self.given.items()}

    def paths(self, below: Collection[str] | None) -> set[str]:
        """Return the paths of the files that are here, ``below`` some paths or all."""
        found = {name for name in KEPT if (self.folder / name).is_file()}
        for name in KEPT:
            for parent, _, names in os.walk(self.folder / name):
                home = Path(parent).relative_to(self.folder).as_posix()
                found |= {f"{home}/{name}" for name in names}
        return {path for path in found if is_kept(path) and is_below(path, below)}

    def content(self, path: str) -> Content | None:
        """Return what is in a file now; None where there is none. A link, a pipe or a device raises NotAFileError."""
        file = self.folder / path
        try:
            status = _status(file)
            known = self.given.get(path)
            if known is not None and known.status == status:
                return known.content
            return Content(sha256_of_file(file), status[0])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def note(self, path: str, content: Content | None) -> None:
        """Note that the data root has this of a file, as is here."""
        if content is None:
            self.given.pop(path, None)
        else:
            self.given[path] = Known(content, _status(self.folder / path))

    def put(self, path: str, fetched: Path) -> None:
        """Let the file at ``fetched`` be the one at ``path``."""
        file = self.folder / path
        make_folder(file.parent)
        if path == PRIVATE:
            fetched.chmod(0o600)
        sync(fetched)
        fetched.replace(file)
        sync(file.parent)

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that are empty then: their names may tell, too."""
        file = self.folder / path
        file.unlink(missing_ok=True)
        parent = file.parent
        while parent != self.folder and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent

    def _read(self) -> dict[str, Known]:
        try:
            note: dict[str, Any] = read_json(self.cache / NOTE)
        except DamagedFileError:  # or there is none yet: all is compared by content
            return {}
        if note["root"] != self.uri:
            return {}
        return {path: Known(Content(*row[:2]), tuple(row[2:])) for path, row in note["given"].items()}

    def _write(self) -> None:
        rows = {path: [*known.content, *known.status] for path, known in sorted(self.given.items())}
        write_json(self.cache / NOTE, {"root": self.uri, "given": rows})


def is_below(path: str, below: Collection[str] | None) -> bool:
    """Return whether ``path`` is one of ``below`` or lies in one of them; always where that is None."""
    return below is None or any(path == each or path.startswith(f"{each}/") for each in below)


def _status(file: Path) -> tuple[int, ...]:
    seen = file.lstat()
    if not stat.S_ISREG(seen.st_mode):
        raise NotAFileError(file)
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino
