"""Inbox → archive: what can be used is copied there and then taken away; what cannot stays, with the reason.

Belongs here: accepting, refusing, taking away. Does not: listing (sources.py), what names say (naming.py), decoding
(probing.py), keeping (archive.py), nor the manifest (manifest.py), which reads of donations what is archived.

A donation is in the archive, on the disk, before it is taken from the inbox; and taken away is only what was read. So
who is killed anywhere, and does it again, has lost nothing and has nothing twice: what is in the archive already, told
in the same words, is simply taken away.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cry_pipeline import keys
from cry_pipeline.corpus.archive import Archive, ArchiveError, Donated
from cry_pipeline.corpus.candidates import entry_of_file, masked
from cry_pipeline.corpus.contradictions import say_contradictions
from cry_pipeline.corpus.filenames import RecordingName
from cry_pipeline.corpus.ledger import LEFT, Seen, read_ledger, write_ledger
from cry_pipeline.corpus.listing import SourceError
from cry_pipeline.corpus.manifest import long_enough, manifest_spec
from cry_pipeline.corpus.mirror import Mirror
from cry_pipeline.corpus.naming import Row, rows_of, sorted_out
from cry_pipeline.corpus.paths import unprintable
from cry_pipeline.corpus.probing import CHANGED, Probe, probe_files
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.corpus.schemas import INVENTORY
from cry_pipeline.corpus.sources import INBOX, NOBODY, Roots, take_inventory
from cry_pipeline.corpus.tombstones import Tombstones
from cry_pipeline.digests import digest, sha256_of
from cry_pipeline.identity import SETTLED_S
from cry_pipeline.progress import track

LOG = logging.getLogger("cry_pipeline")
SAID = 100
"""Contradictions that are logged one by one: anybody can donate any number of twins."""


@dataclass
class Intake:
    """What came of the inbox: recordings ``added`` to the archive, files that it had ``before``, and the ledger.

    ``contradictions`` are sentences on files with the bytes of another that were told otherwise; ``aside`` says what
    was left alone, and why: see :func:`~cry_pipeline.corpus.sources.take_inventory`.
    """

    added: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    seen: dict[str, Row] = field(default_factory=dict)
    aside: list[dict[str, str]] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    probed: int = 0
    reused: int = 0
    """Files that were decoded, and of which it was known what they hold."""

    @property
    def refused(self) -> list[Row]:
        """Rows of INVENTORY of what stays in the inbox because it was refused."""
        return [row for row in self.seen.values() if row["refused"] is not None]


def seen_by(cache: Path) -> Seen:
    """Return what the last intake left in the inbox; of one by other code, nothing, so that all is looked at again."""
    return read_ledger(cache, _code())


def intake_digest(archive: Archive, intake: Intake) -> str:
    """Return the sha256 of what is archived and what is refused: the same wherever the same was donated."""
    refused = sorted(intake.refused, key=lambda row: row["path"])
    return digest(archived=[kept.recording_id for kept in archive.listing()], refused=refused)


def take_in(
    roots: Roots, cache: Path, workers: int = 1, *, stones: Tombstones = NOBODY, mirror: Mirror | None = None
) -> Intake:
    """Move what can be used of the inbox to the archive, and note in the ledger what stays and why.

    A file stays for the reasons of :func:`~cry_pipeline.corpus.manifest.build_manifest`, and as ``withdrawn`` if it, or
    its donor, was. One with the bytes of another that the archive has, told in the same words, is simply taken away;
    one that was told otherwise stays as a ``duplicate``. A file that is still being written is left alone.

    Args:
        roots: with inbox and archive.
        cache: folder for hashes, probes and the ledger.
        workers: threads that decode.
        stones: of what was withdrawn.
        mirror: of the inbox, where it lies in a bucket: what is taken away is then removed there, too.

    Raises:
        SourceError: a root cannot be listed, or inbox and archive lie in each other.
        OSError: the archive cannot be written; what it has so far is taken from the inbox.
    """
    taking = _Taking(roots, cache, stones, mirror)
    unfit = mirror.refresh() if mirror is not None else []
    taking.all_of_it(workers)
    taking.intake.aside.extend(unfit)
    intake = taking.intake
    write_ledger(cache, _code(), intake.seen)
    say_contradictions(intake.contradictions, SAID)
    counts = len(intake.added), len(intake.before), len(intake.refused)
    LOG.info("intake: added=%d before=%d refused=%d", *counts)
    return intake


class _Taking:
    """One intake, and what it has come to so far."""

    def __init__(self, roots: Roots, cache: Path, stones: Tombstones, mirror: Mirror | None) -> None:
        if roots.inbox is None or roots.archive is None:
            raise SourceError("there is no inbox, or no archive, to take donations from and to")
        self.roots, self.inbox, self.archive = roots, roots.inbox, roots.archive
        _refuse_nested(mirror.bucket.uri if mirror is not None else str(self.inbox), self.archive.place)
        self.cache, self.stones, self.mirror, self.intake = cache, stones, mirror, Intake()
        self.entries: Mapping[str, str] = {}
        self.telling: dict[str, set[str]] = {}

    def all_of_it(self, workers: int) -> None:
        listed = take_inventory(self.roots, self.cache, stones=self.stones, patience_s=SETTLED_S)
        self.entries, self.intake.aside = listed.attrs["entries"], listed.attrs["left_aside"]
        rows = list(rows_of(listed))
        for row in rows:
            if row["sidecar"] and row["root"] == INBOX:
                self.telling.setdefault(row["sidecar"], set()).add(row["path"])
        named, refused = sorted_out(rows, self.roots)
        mine = [(row, name) for row, name in named if row["root"] == INBOX]
        files = {row["sha256"]: self.roots.locate(INBOX, row["path"]) for row, _ in mine}
        probes, self.intake.probed = probe_files(files, self.cache, workers)
        self.intake.reused = len(files) - self.intake.probed
        accepted: set[str] = set()
        for row, name in track(mine, "taking in", total=len(mine)):
            if self.take(row, name, probes[row["sha256"]]):
                accepted.add(row["sha256"])
        for row in refused:
            if row["root"] == INBOX:
                self.leave_or_drop(row, accepted)

    def take(self, row: Row, name: RecordingName, probe: Probe | Refusal) -> bool:
        """Add a file to the archive and take it away, or refuse it; return whether the archive has it."""
        stone, outcome = self.stones.of(row["sha256"], name.donor), long_enough(probe)
        if stone is not None:
            self.refuse(masked(row, stone, self.stones))
            return False
        if isinstance(outcome, Refusal):
            self.refuse(row | {"refused": outcome.reason, "detail": outcome.detail})
            return False
        try:
            data = read_regular(self.roots.locate(INBOX, row["path"]))
        except (OSError, SourceError):
            data = b""
        if sha256_of(data) != row["sha256"]:
            self.intake.aside.append({"root": INBOX, "path": row["path"], "why": "being written"})
            return False
        about = Donated(
            recording_id=row["sha256"],
            bytes=len(data),
            name=row["name"],
            told=name,
            arrived_at=datetime.now(UTC),
            origin=row["path"],
            sidecar_sha256=row["sidecar_sha256"],
        )
        try:
            self.intake.added.append(self.archive.add(data, about))
        except ArchiveError as error:
            self.refuse(row | {"refused": "duplicate", "detail": f"{error}."})
            return False
        self.take_away(row)
        return True

    def leave_or_drop(self, row: Row, accepted: set[str]) -> None:
        """Take away a file whose bytes the archive has in the same words; refuse any other."""
        archived = row.get("twin", row)["root"] == "archive" or row["sha256"] in accepted
        if (row.get("same") and archived) or self.was_taken(row):
            self.intake.before.append(row["sha256"])
            self.take_away(row)
            return
        stone = self.stones.of(row["sha256"], row.get("donor"))
        if stone is not None and row["reason"] != "withdrawn":
            self.refuse(masked(row, stone, self.stones))
            return
        if row.get("unlike"):
            self.intake.contradictions.append(f"{row['path']}: {row['detail']}")
        self.refuse(row | {"refused": row["reason"]})

    def was_taken(self, row: Row) -> bool:
        """Return whether an intake was killed between taking away the file's sidecar and the file itself."""
        if row["sidecar"] is not None or row["sha256"] is None:
            return False
        try:
            about = self.archive.about(row["sha256"])
        except ArchiveError:
            return False
        return about.origin == row["path"] and about.sidecar_sha256 is not None

    def refuse(self, row: Row) -> None:
        """Note why a file stays; of one that has changed since it was listed nothing: it is another one now."""
        if row["refused"] == CHANGED.reason:
            self.intake.aside.append({"root": INBOX, "path": row["path"], "why": "being written"})
        elif row["path"] in self.entries:
            self.intake.seen[self.entries[row["path"]]] = {name: row[name] for name in INVENTORY.columns}

    def take_away(self, row: Row) -> None:
        """Remove a file that the archive has, and what tells of it alone: the latter first.

        A sidecar that outlived its file would tell of the next file of that name.
        """
        path, sidecar = row["path"], row["sidecar"]
        if entry_of_file(self.inbox, path, sidecar) != self.entries.get(path):
            return  # it is another one by now: the next intake's
        told = self.telling.get(sidecar, set()) if sidecar else set()
        told.discard(path)
        try:
            for one in [sidecar, path] if sidecar and not told else [path]:
                if self.mirror is not None and not self.mirror.remove(one):
                    return
                (self.inbox / unprintable(one)).unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("%s is in the archive, and cannot be removed from the inbox: %s", path, error)
            left = {"refused": None, "detail": f"{LEFT}: {error.strerror or error}"}
            self.intake.seen[self.entries[path]] = {name: (row | left)[name] for name in INVENTORY.columns}


def _refuse_nested(inbox: str, archive: str) -> None:
    one, other = (_real(place).rstrip("/") + "/" for place in (inbox, archive))
    if one.startswith(other) or other.startswith(one):
        raise SourceError(f"the inbox {inbox} and the archive {archive} lie in each other: give them two folders")


def _real(place: str) -> str:
    return place if "://" in place else os.path.realpath(place)


def _code() -> str:
    return keys.code_version("intake", manifest_spec())
