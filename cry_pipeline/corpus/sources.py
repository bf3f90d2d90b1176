"""Which audio files there are: the corpus' layout, the archive, the inbox, and the inventory of them.

Belongs here: which folders, the inventory, and finding a listed file again. Does not: walking (listing.py), a file's
row (candidates.py), taking donations in (intake.py), reading names (filenames.py) or audio (decoding.py).
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.candidates import (
    SECOND_LOOK_S,
    WITHDRAWN,
    Candidate,
    archived,
    masked,
    still_being_written,
    withdrawn_path,
)
from cry_pipeline.corpus.hashes import KeptHashes
from cry_pipeline.corpus.ledger import Seen
from cry_pipeline.corpus.listing import SIDECAR_MAX_BYTES, LeftAside, SourceError, list_files
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.reading import ChangedError, read_regular
from cry_pipeline.corpus.schemas import INVENTORY
from cry_pipeline.corpus.tombstones import Tombstones
from cry_pipeline.digests import rows_digest

LOG = logging.getLogger("cry_pipeline")

CLEANED = "donateacry_corpus_cleaned_and_updated_data"
LAYOUT = {
    CLEANED: ("donateacry_cleaned", "cleaned"),
    "donateacry-android-upload-bucket": ("donateacry_android", "raw"),
    "donateacry-ios-upload-bucket": ("donateacry_ios", "raw"),
}
CORPUS_NOTE = "corpus.json"
NAMED = 5
INBOX = "inbox"
"""Root, and source, of donations that nobody has taken in yet; what was taken in has it for its source."""
NOBODY = Tombstones()


class UnfinishedInventoryError(SourceError):
    """There was not time enough to hash all files; the message says how many are left."""


@dataclass(frozen=True)
class Roots:
    """Where recordings lie: a corpus of the layout :data:`LAYOUT`, the inbox for new donations, and their archive."""

    corpus: Path
    inbox: Path | None = None
    archive: Archive | None = None

    def folder(self, root: str) -> Path | None:
        """Return the folder that the files of a root lie in; None of an archive in a bucket."""
        if root == "archive" and self.archive is not None:
            return None if "://" in self.archive.place else Path(self.archive.place)
        return self.locate(root, "")

    def locate(self, root: str, path: str) -> Path:
        """Return the file at ``path``, relative to the root ``"corpus"``, ``"inbox"`` or ``"archive"``.

        ``path`` is as tables hold it, see paths.py; links are resolved. Of an archive in a bucket it is a checked copy.

        Raises:
            SourceError: there is no such root or donation, or the path leads out of it.
        """
        if root == "archive" and self.archive is not None:
            return self.archive.locate(PurePosixPath(path).name)
        base = {"corpus": self.corpus, "inbox": self.inbox}.get(root)
        if base is None:
            raise SourceError(f"{path}: there is no root {root!r} here")
        resolved = Path(os.path.realpath(base / unprintable(path)))
        if not resolved.is_relative_to(os.path.realpath(base)):
            raise SourceError(f"{path} leads out of {base}: put the file itself there, not a link to it")
        return resolved


def take_inventory(
    roots: Roots,
    cache: Path,
    budget_s: float | None = None,
    *,
    seen: Seen | None = None,
    stones: Tombstones = NOBODY,
    patience_s: float = SECOND_LOOK_S,
) -> pd.DataFrame:
    """List every entry of ``roots``, and hash what can be a recording: INVENTORY, by root and path.

    A file that cannot be read, that should not be (a pipe, a link out of its root, more than MAX_BYTES) or whose
    sidecar cannot, is a row that says so in ``refused`` and ``detail``; none of them raises. What is no recording, or
    none yet (hidden, ``.part``, still being copied, a sidecar of nothing), is left aside. So is of corpus and archive
    what was withdrawn, without its name.

    Hashes are kept in ``cache``. The table's ``attrs`` say how many were ``computed`` and ``reused``; what was
    ``left_aside``: a list of root, path and why; and of the inbox the ``entries`` of the ledger by path, or with
    ``seen`` only those that have ``arrived`` since.

    Args:
        roots: the folders to look in.
        cache: folder for the hashes.
        budget_s: how long files may be hashed; at least one is. A call that is cut short is gone on with by the next.
        seen: of the inbox, what the intake left there and why, which are rows then; what has arrived since is none.
            Without, every file of the inbox is a row, as the intake takes it.
        stones: of what was withdrawn.
        patience_s: how long files that were written just now are watched, if there are any.

    Raises:
        SourceError: a root cannot be listed. Never taken for an empty one.
        UnfinishedInventoryError: ``budget_s`` was not enough.
    """
    candidates, aside = _listed(roots, stones)
    rows, arrived = _known(candidates, seen, aside, stones)
    unread = [each for each in candidates if seen is None or each.root != INBOX]
    looked_at = {_home(base) for root, _, base, *_ in _folders(roots) if root != INBOX or seen is None}
    with KeptHashes(cache, looked_at) as hashes:
        made = list(_hashed(unread, hashes, aside, stones, budget_s))
        computed = hashes.computed
    changing = still_being_written([*unread, *arrived], patience_s)
    aside += [{"root": root, "path": path, "why": "being written"} for root, path in sorted(changing)]
    rows += [row for row in made if (row["root"], row["path"]) not in changing]
    table = INVENTORY.table_of(rows).sort_values(["root", "path"], ignore_index=True)
    table = INVENTORY.conforming(table)
    counted = table if seen is None else table[table["root"] != INBOX]
    table.attrs = {"computed": computed, "reused": int(counted["sha256"].notna().sum()) - computed, "left_aside": aside}
    there = [each for each in candidates if each.root == INBOX] if seen is None else arrived
    entries = {each.path: each.entry for each in there if (each.root, each.path) not in changing}
    if len(stones) and seen is None:
        entries |= {stones.masked(path): entry for path, entry in entries.items()}
    table.attrs |= {"entries": entries} if seen is None else {"arrived": sorted(entries.values())}
    LOG.info("inventory: %d files, computed=%d reused=%d", len(table), computed, table.attrs["reused"])
    _say_what_is_left_aside(aside)
    return table


def fingerprint(inventory: pd.DataFrame) -> str:
    """Return a sha256 over all an inventory says, whatever the order of its rows and wherever its roots lie."""
    return rows_digest(inventory.sort_values(list(inventory.columns[:2]), kind="stable"))


def write_inventory(inventory: pd.DataFrame, path: Path) -> None:
    """Write ``inventory`` to ``path`` as Parquet, atomically, with its fingerprint as provenance."""
    INVENTORY.write(path, inventory, fingerprint(inventory))


def read_inventory(path: Path) -> pd.DataFrame:
    """Read and validate what :func:`write_inventory` wrote.

    Raises:
        FileNotFoundError: no inventory has been written there.
        TableError: the table is not an inventory.
    """
    return INVENTORY.read(path)


def _listed(roots: Roots, stones: Tombstones) -> tuple[list[Candidate], list[dict[str, str]]]:
    """Return what will be rows, and what is left aside, of all folders and of the archive."""
    synthetic = _is_synthetic(roots.corpus)
    candidates, aside = [], []
    for root, folder, base, source, processing in _folders(roots, synthetic=synthetic):
        home = _home(base)
        for entry in list_files(folder, base, sidecars=root == INBOX):
            stone = withdrawn_path(entry.path, stones)
            if stone is not None and (root == "corpus" or isinstance(entry, LeftAside)):
                aside.append({"root": root, "path": WITHDRAWN, "why": stone.sentence})
            elif isinstance(entry, LeftAside):
                aside.append({"root": root, "path": entry.path, "why": entry.why})
            elif root == "corpus" and entry.file.name == "README.md":
                aside.append({"root": root, "path": entry.path, "why": "about the corpus"})
            else:
                candidates.append(Candidate(root, home, source, processing, entry))
    for entry in archived(roots.archive) if roots.archive is not None else ():
        if isinstance(entry, LeftAside):
            gone = stones.of(PurePosixPath(entry.path).name, None) is not None
            aside.append({"root": "archive", "path": WITHDRAWN if gone else entry.path, "why": entry.why})
        else:
            candidates.append(entry)
    return candidates, aside


def _folders(roots: Roots, *, synthetic: bool = False) -> Iterator[tuple[str, Path, Path, str, str]]:
    """Yield (root, folder to walk, what its paths are relative to, source, processing)."""
    for name, (source, processing) in LAYOUT.items():
        yield "corpus", roots.corpus / name, roots.corpus, "synthetic" if synthetic else source, processing
    if roots.inbox is not None:
        yield INBOX, roots.inbox, roots.inbox, INBOX, "raw"


def _home(folder: Path) -> str:
    """Return the folder without links, as the cache of hashes names it."""
    return printable(os.path.realpath(folder))


def _known(
    candidates: list[Candidate], seen: Seen | None, aside: list[dict[str, str]], stones: Tombstones
) -> tuple[list[dict[str, Any]], list[Candidate]]:
    """Return the rows of what the intake left in the inbox, and what has arrived there since."""
    rows, arrived = [], []
    for candidate in candidates if seen is not None else ():
        if candidate.root != INBOX:
            continue
        row = (seen or {}).get(candidate.entry)
        # Who is withdrawn after the intake refused a file is named by its row until the next intake.
        if row is None or (row["refused"] != "withdrawn" and candidate.withdrawn(stones, row["sha256"]) is not None):
            arrived.append(candidate)
        elif row["refused"] is None:
            aside.append({"root": INBOX, "path": candidate.path, "why": str(row["detail"])})
        else:
            rows.append(dict(row))
    return rows, arrived


def _is_synthetic(corpus: Path) -> bool:
    note = corpus / CORPUS_NOTE
    try:
        content = json.loads(read_regular(note, SIDECAR_MAX_BYTES))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{note} cannot be read ({error}): generate the corpus again, or remove the file") from error
    if not isinstance(content, dict) or content.get("source") != "synthetic":
        raise SourceError(f'{note} must say {{"source": "synthetic"}}; a real corpus has no such file')
    return True


def _hashed(
    candidates: list[Candidate],
    hashes: KeptHashes,
    aside: list[dict[str, str]],
    stones: Tombstones,
    budget_s: float | None,
) -> Iterator[dict[str, Any]]:
    """Yield a row of each file; one that changes or goes meanwhile, or was withdrawn, is put ``aside``."""
    started = time.monotonic()
    for candidate in candidates:
        over = budget_s is not None and hashes.computed > 0 and time.monotonic() - started > budget_s
        if over and candidate.is_unknown(hashes):
            left, files = sum(other.is_unknown(hashes) for other in candidates), len(candidates)
            raise UnfinishedInventoryError(
                f"{files - left} of {files} files are hashed; the next look goes on from there"
            )
        try:
            row = candidate.row(hashes) if candidate.withdrawn(stones) is None else candidate.nothing()
        except (ChangedError, FileNotFoundError) as error:
            aside.append({"root": candidate.root, "path": candidate.path, "why": _why(error)})
            continue
        stone = candidate.withdrawn(stones, row["sha256"])
        if stone is None:
            yield row
            continue
        hashes.forget({row["sha256"]})
        if candidate.root == INBOX:
            yield masked(row, stone, stones)
        else:
            aside.append({"root": candidate.root, "path": WITHDRAWN, "why": stone.sentence})


def _why(error: OSError) -> str:
    return "being written" if isinstance(error, ChangedError) else "taken away while it was listed"


def _say_what_is_left_aside(aside: list[dict[str, str]]) -> None:
    """Log a line for each reason: this is done every minute, and there may be any number of entries."""
    for why in sorted({entry["why"] for entry in aside}):
        names = sorted(f"{entry['root']}/{entry['path']}" for entry in aside if entry["why"] == why)
        rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        LOG.info("inventory: left aside (%s): %s%s", why, ", ".join(names[:NAMED]), rest)
