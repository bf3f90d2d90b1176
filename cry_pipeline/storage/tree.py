"""What a data root holds at one time: the files' paths, each with the sha256 and size of its content.

Belongs here: the tree, its bytes, and what becomes of a path that two have changed. Does not: where it is kept
(root.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from cry_pipeline.artefacts import DamagedFileError, sealed_json, unsealed_json

PROBES = "cache/probes.parquet"
"""What is known of the sound of each recording: no node has to decode what another one has."""
KEPT = (
    PROBES,
    "donations",
    "evidence",
    "folds",
    "judgements",
    "manifests",
    "models",
    "nulls",
    "reports",
    "runs",
    "secret.json",
    "withdrawn",
)
"""What of a data folder is of the data root. All else is a node's own, or lies in the bucket by itself."""
OWN = frozenset({"manifests/corpus.json"})
"""Files there that are a node's own all the same: where it has the corpus."""
HIDDEN = frozenset({"withdrawn/.unfinished"})
"""Files that are kept though their names begin with a dot, as those of locks and of killed writers do."""
DECIDES = re.compile(r"models/[^/]+\.json|secret\.json|withdrawn/.+")
"""Files that a person has to choose of, where two nodes have changed them: nothing makes them again."""
WAY_OUT = "put a copy of the object back, or remove it: then each node's next run puts there what it has"


class Content(NamedTuple):
    """What is in a file: its sha256 as 64 hex digits, and how many bytes."""

    sha256: str
    bytes: int


class ContestedError(RuntimeError):
    """Two nodes have changed the same file, and only a person can say which is right; the message names both."""


@dataclass(frozen=True)
class Tree:
    """Files by their paths; ``version`` is that of the object that says so, None where there is none yet."""

    files: Mapping[str, Content] = field(default_factory=dict)
    version: str | None = None

    def data(self) -> bytes:
        """Return the tree as bytes: a line for each file."""
        return sealed_json({"files": {path: f"{c.sha256} {c.bytes}" for path, c in sorted(self.files.items())}})

    @classmethod
    def parsed(cls, data: bytes, version: str, where: str) -> "Tree":
        """Return the tree that ``data`` are, read at ``where``.

        Raises:
            DamagedFileError: they are not what was written, or name a file outside of the data root.
        """
        files = {}
        for path, told in unsealed_json(data, where, WAY_OUT)["files"].items():
            sha256, _, size = told.partition(" ")
            if not is_kept(path):
                raise DamagedFileError(f"{where} names {path!r}, which is no file of a data root: {WAY_OUT}")
            files[path] = Content(sha256, int(size))
        return cls(files, version)

    def changed(
        self, mine: Mapping[str, Content | None], base: Mapping[str, Content], names: tuple[str, str]
    ) -> "Tree":
        """Return the tree with the files that were changed to ``mine``, None for one that was removed.

        Where this tree has changed a file, too, since ``base``, its own stays: what is kept under its digest is as
        good, and what is made of others will be made again.

        Raises:
            ContestedError: of a file that is neither.
        """
        files = dict(self.files)
        for path, content in mine.items():
            theirs = self.files.get(path)
            if theirs in (content, base.get(path)):
                if content is None:
                    files.pop(path, None)
                else:
                    files[path] = content
            elif content is not None and DECIDES.fullmatch(path):
                raise contested(path, names)
        return Tree(files, self.version)


def contested(path: str, names: tuple[str, str]) -> ContestedError:
    """Return that ``path`` was changed in both of ``names``: the working copy, and the data root."""
    copy, root = names
    return ContestedError(
        f"{path} was changed in {copy}, and differently in {root} by another node. Look at both, and remove "
        f"{copy}/{path} to go on with the other's"
    )


def is_kept(path: str) -> bool:
    """Return whether the file at ``path`` below a data folder is one of the data root."""
    names = path.split("/")
    plain = PurePosixPath(path).as_posix() == path and ".." not in names and "\0" not in path
    shown = path in HIDDEN or not any(name.startswith(".") for name in names)
    return plain and shown and (names[0] in KEPT or path in KEPT) and path not in OWN
