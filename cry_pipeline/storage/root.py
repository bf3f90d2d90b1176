"""The data root in a bucket, of which each node's data folder is a working copy: contents as objects, and one tree.

Belongs here: pull, push, stage and commit, and what no tree names any more. Does not: when that is done and who may
write (orchestration/writing.py), nor what a tree is (tree.py).

``files/<path>/<sha256>`` are contents, which never change. ``tree.json`` says which of them are the files now, and is
put only over the version that was read: of two writers one comes later, and adds its files to the other's. So whoever
reads the tree reads a whole one. Who is killed anywhere leaves contents that no tree names.
"""

import logging
import random
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cry_pipeline.artefacts import read_plain
from cry_pipeline.digests import sha256_of
from cry_pipeline.storage.bucket import Bucket, ChangedMeanwhileError, side_by_side
from cry_pipeline.storage.tree import DECIDES, Content, Tree, contested
from cry_pipeline.storage.working_copy import WorkingCopy, is_below

if TYPE_CHECKING:
    from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")
TREE, FILES = "tree.json", "files"
ATTEMPTS = 30
"""To put a tree while others put theirs; each waits a little longer than the one before."""
DAY_S = 24 * 3600.0
"""How old a content is that no tree names before it is taken for a dead writer's."""


class DamagedRootError(RuntimeError):
    """The tree names a content that is not there, or is another; the message says which and what to do."""


@dataclass(frozen=True)
class DataRoot:
    """The data root in ``bucket``, and this node's working copy of it in ``folder``."""

    bucket: Bucket
    folder: Path

    @classmethod
    def of(cls, settings: "Settings") -> "DataRoot | None":
        """Return the data root that ``settings`` name; None where the data folder is all there is."""
        return cls(Bucket(settings.data_root), settings.data) if settings.data_root else None

    def tree(self) -> Tree:
        """Return the tree as it is now: one request.

        Raises:
            DamagedFileError: it is not what was written.
            OSError: the bucket cannot be read.
        """
        try:
            data, version = self.bucket.read_version(TREE)
        except FileNotFoundError:
            return Tree()
        return Tree.parsed(data, version, f"{self.bucket.uri}/{TREE}")

    def pull(self, subfolders: Collection[str] | None = None) -> list[str]:
        """Bring the working copy, or some ``subfolders`` of it, up to the tree; return the paths that changed.

        A file that is missing here comes back. What was changed here and was not pushed stays, as a run that was killed
        goes on with it, unless another node has changed it, too: then theirs is taken, which is said.

        Raises:
            ContestedError: a file that decides, such as ``models/champion.json``, was changed here and there.
            DamagedRootError: a content is missing in the bucket, or is another.
            OSError: the bucket cannot be read, or the folder written. Nothing is half; the next call goes on.
        """
        copy = WorkingCopy(self.folder, self.bucket.uri)
        with copy.held():
            for _ in range(ATTEMPTS):
                tree = self.tree()
                take = self._to_take(copy, tree, subfolders)
                try:
                    self._take(copy, take)
                except FileNotFoundError as error:
                    if self.tree().version == tree.version:
                        raise DamagedRootError(
                            f"{error.filename} is named by the tree and is not there: put a copy of it back, or remove "
                            f"{self.bucket.uri}/{TREE} and push from a node that has the file"
                        ) from error
                    continue  # a newer tree no longer named it
                return sorted(take)
        raise OSError(f"{self.bucket.uri}: other nodes change it faster than it can be read")

    def push(self, paths: Collection[str] | None = None) -> list[str]:
        """Let the data root have what was changed here, or below ``paths`` alone; return which files.

        A file that :meth:`pull` gave and that is gone is removed there, too.

        Raises:
            ContestedError: as :meth:`pull`.
            OSError: the bucket cannot be written. The tree is the old one or the new one; the next call goes on.
        """
        copy = WorkingCopy(self.folder, self.bucket.uri)
        with copy.held():
            base = copy.base
            known = {path for path in base if is_below(path, paths)}
            now = {path: copy.content(path) for path in sorted(copy.paths(paths) | known)}
            changed = {path: content for path, content in now.items() if content != base.get(path)}
            there = self._put([path for path, content in changed.items() if content is not None])
            mine = {path: None for path, content in changed.items() if content is None} | there
            tree = self.commit(mine, base) if mine else Tree()
            for path, content in mine.items():
                if tree.files.get(path) == content == copy.content(path):
                    copy.note(path, content)
            return sorted(mine)

    def stage(self, paths: Iterable[str]) -> dict[str, Content]:
        """Put the contents of files of the working copy, which no tree names until :meth:`commit` is given them.

        Args:
            paths: of files, or of folders for all files in them.

        Raises:
            OSError: the bucket cannot be written, or a file read.
        """
        return self._put(sorted(WorkingCopy(self.folder, self.bucket.uri).paths(list(paths))))

    def commit(self, files: Mapping[str, Content | None], base: Mapping[str, Content] | None = None) -> Tree:
        """Put a tree with ``files``, which lie there already, None for one to be removed; return it.

        Args:
            files: contents by path, as :meth:`stage` returns them.
            base: what they were changed from; without it they are taken for new ones. A path that others have changed
                meanwhile stays theirs.

        Raises:
            ContestedError: others have changed a file that decides.
            OSError: the bucket cannot be written, or others write all the time.
        """
        for attempt in range(ATTEMPTS):
            before = self.tree()
            after = before.changed(files, base or {}, (str(self.folder), self.bucket.uri))
            if after.files == before.files:
                return before
            try:
                version = self.bucket.write_over(TREE, after.data(), before.version)
            except ChangedMeanwhileError:  # or the answer was lost, and the next look finds it done
                time.sleep(random.uniform(0, min(5.0, 0.05 * 2**attempt)))  # noqa: S311 - no secret
                continue
            return Tree(after.files, version)
        raise OSError(f"{self.bucket.uri}/{TREE} is being written by others all the time; try again")

    def collect(self, age_s: float = DAY_S, *, change: bool) -> dict[str, int]:
        """Return the bytes of each content that no tree names and that is older than ``age_s``; remove them.

        A listing of all contents, a thousand for each request. With an age of 0 nobody else may be writing.

        Args:
            age_s: in seconds, by the service's clock and this machine's.
            change: whether they are removed; else they are only told.
        """
        lying = self.bucket.objects(FILES)
        named = {_key(path, content) for path, content in self.tree().files.items()}
        old = {one.path: one.bytes for one in lying if one.path not in named and _age_s(one.modified) >= age_s}
        if change:
            self.bucket.remove(*old)
        return old

    def _to_take(self, copy: WorkingCopy, tree: Tree, below: Collection[str] | None) -> dict[str, Content | None]:
        """Return what the working copy is to get, None for a file that is to go; what is as it should be is noted."""
        base, take = copy.base, dict[str, Content | None]()
        for path in sorted(path for path in tree.files.keys() | base.keys() if is_below(path, below)):
            theirs, mine = tree.files.get(path), copy.content(path)
            if mine == theirs:
                copy.note(path, theirs)
            elif mine is None or mine == base.get(path):
                take[path] = theirs
            elif theirs != base.get(path):
                if DECIDES.fullmatch(path):
                    raise contested(path, (str(self.folder), self.bucket.uri))
                LOG.warning("%s was also changed here, by what was not finished: that of %s is taken", path, copy.uri)
                take[path] = theirs
        return take

    def _take(self, copy: WorkingCopy, take: Mapping[str, Content | None]) -> None:
        """Fetch all, then put all in place: what others lead to before what leads there."""
        fetched = copy.cache / ".data_root"
        shutil.rmtree(fetched, ignore_errors=True)  # of a killed process: two do not come here at once
        fetched.mkdir()
        try:
            wanted = {content.sha256: _key(path, content) for path, content in take.items() if content is not None}

            def fetch(one: tuple[str, str]) -> None:
                data = self.bucket.read(one[1])
                if sha256_of(data) != one[0]:
                    raise DamagedRootError(
                        f"{self.bucket.uri}/{one[1]} is not what was put there: put a copy of it back"
                    )
                (fetched / one[0]).write_bytes(data)

            side_by_side(fetch, wanted.items())
            for path in sorted(take, key=lambda path: (-path.count("/"), path)):
                content = take[path]
                if content is not None:
                    shutil.copyfile(fetched / content.sha256, fetched / "next")
                    copy.put(path, fetched / "next")
                    copy.note(path, content)
            for path in (path for path, content in take.items() if content is None):
                copy.remove(path)
                copy.note(path, None)
        finally:
            shutil.rmtree(fetched)

    def _put(self, paths: Collection[str]) -> dict[str, Content]:
        """Put the contents of files, as they are read now; one that is gone by then is left out."""

        def put(path: str) -> Content | None:
            try:
                data = read_plain(self.folder / path)
            except FileNotFoundError:
                return None
            content = Content(sha256_of(data), len(data))
            self.bucket.write(_key(path, content), data)
            return content

        there = dict(zip(paths, side_by_side(put, paths), strict=True))
        return {path: content for path, content in there.items() if content is not None}


def _key(path: str, content: Content) -> str:
    return f"{FILES}/{path}/{content.sha256}"


def _age_s(modified: float) -> float:
    return time.time() - modified
