"""Accepted donations, by the sha256 of their bytes: ``<aa>/<sha256>``, and beside it ``<aa>/<sha256>.json``.

Belongs here: what the archive holds, adding to it and removing from it. Does not: what is accepted (intake.py), and
withdrawing (donations/). The inbox is only the door: what the pipeline reads of donations, it reads here.

A donation is in the archive when its ``.json`` is: written last, removed first. Either is written whole or not at all,
so that who is killed in between leaves at most bytes that nothing tells of; adding the same again completes them.
"""

import logging
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cry_pipeline.artefacts import DamagedFileError, sealed_json, unsealed_json, write_atomically
from cry_pipeline.corpus.filenames import AGE_BANDS, GENDERS, REASONS, RecordingName
from cry_pipeline.corpus.listing import SourceError
from cry_pipeline.corpus.schemas import SCOPES
from cry_pipeline.digests import digest, sha256_of
from cry_pipeline.storage.places import Bucket, Folder, open_place
from cry_pipeline.tables import FILLED, Schema, instant, integer, sha256, text

LOG = logging.getLogger("cry_pipeline")
ABOUT = ".json"
CACHED = "archive"
WAY_OUT = "put a copy of the file back, or donate the recording again"
MAIN_LENGTH = 64


class ArchiveError(SourceError):
    """The archive does not hold what is asked for, or cannot take what is given; the message says what to do."""


class Donated(BaseModel):
    """What is known of a donation: ``told`` by its name or sidecar, by which ``name`` and way it came, and when.

    ``origin`` is its printable path in the inbox, ``sidecar_sha256`` the hash of the sidecar that told of it there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    name: str = Field(min_length=1)
    told: RecordingName
    arrived_at: AwareDatetime
    origin: str
    sidecar_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @property
    def telling(self) -> str:
        """sha256 of what the manifest takes of it: not when it arrived, which is when somebody's daemon ran."""
        return digest(name=self.name, told=self.told.model_dump(mode="json"))


ARCHIVED = Schema(
    "the archive",
    {
        "recording_id": sha256("sha256 of the file's bytes"),
        "name": text("the file's own name, as it came", matches=FILLED),
        "donor": text("app-instance UUID: an install, not a baby", matches=FILLED),
        "recorded_at": instant("when it was recorded"),
        "arrived_at": instant("when it was taken from the inbox"),
        "platform": text("app or device that recorded it", matches=FILLED),
        "app_version": text("version of the app", nullable=True),
        "gender": text("of the baby", among=GENDERS.values(), nullable=True),
        "age_band": text("of the baby", among=AGE_BANDS.values(), nullable=True),
        "reason": text("the parents' guess", among=REASONS.values()),
        "consent_id": text("of the donor's consent, as who asked for it keeps it", nullable=True),
        "consent_scope": text("what it may be used for; none: training", among=SCOPES, nullable=True),
        "origin": text("POSIX path in the inbox, from which it was taken", matches=FILLED),
        "bytes": integer("size of the file", 0),
    },
    unique=["recording_id"],
)


@dataclass(frozen=True)
class Kept:
    """A donation of the archive, unread: its path there, its bytes, and the version of its ``.json``."""

    recording_id: str
    path: str
    bytes: int
    version: str


@dataclass(frozen=True)
class Archive:
    """The archive at ``place``, a folder or ``s3://bucket/prefix``; ``cache`` holds copies of what lies in a bucket."""

    place: str
    cache: Path

    @classmethod
    def open(cls, place: str, cache: Path) -> "Archive":
        """Return the archive at ``place``; it need not be there yet.

        Raises:
            PlaceError: ``place`` names neither a folder nor a bucket.
        """
        archive = cls(place, cache)
        _ = archive.files
        return archive

    @cached_property
    def files(self) -> Folder | Bucket:
        """The files, wherever they lie."""
        return open_place(self.place)

    def listing(self) -> list[Kept]:
        """Return what the archive holds, by recording_id.

        Raises:
            OSError: it cannot be listed. Never taken for an empty one.
        """
        return self.contents()[0]

    def contents(self) -> tuple[list[Kept], list[str]]:
        """Return :meth:`listing`, and the paths of bytes that nothing tells of: of a killed intake, or of a loss."""
        entries = {entry.path: entry for entry in self.files.entries()}
        found = []
        for path, about in entries.items():
            recording_id = _id_of(path.removesuffix(ABOUT))
            if path.endswith(ABOUT) and recording_id is not None:
                content = entries.get(path.removesuffix(ABOUT))
                found.append(Kept(recording_id, path_of(recording_id), content.bytes if content else -1, about.version))
        strays = [path for path in entries if _id_of(path) and path + ABOUT not in entries]
        return sorted(found, key=lambda kept: kept.recording_id), strays

    def add(self, data: bytes, about: Donated) -> str:
        """Keep ``data`` and what is known ``about`` it; return the recording_id. The same again changes nothing.

        Raises:
            ArchiveError: ``about`` is of other bytes, or the archive has them with another telling.
            OSError: it cannot be written; nothing of it is in the archive then.
        """
        if sha256_of(data) != about.recording_id or len(data) != about.bytes:
            raise ArchiveError(f"{about.origin}: these are not the bytes that are told of")
        path = path_of(about.recording_id)
        try:
            there = self.about(about.recording_id)
        except (ArchiveError, DamagedFileError):
            there = None
        if there is not None and there.telling != about.telling:
            raise ArchiveError(f"{about.origin}: the archive has these bytes, and was told otherwise of them")
        if there is None or not self._holds(about.recording_id):
            self.files.write(path, data)
        if there is None:
            self.files.write(path + ABOUT, sealed_json(about.model_dump(mode="json")))
        return about.recording_id

    def about(self, recording_id: str) -> Donated:
        """Return what is known of a donation.

        Raises:
            ArchiveError: the archive does not hold it.
            DamagedFileError: what tells of it is not what was written.
        """
        path = path_of(recording_id) + ABOUT
        try:
            return _parsed(self.files.read(path), f"{self.place}/{path}", recording_id)
        except FileNotFoundError as error:
            raise ArchiveError(f"{self.place} holds no donation {recording_id}") from error

    def about_file(self, kept: Kept) -> Path:
        """Return the file, on this machine, that tells of a donation of :meth:`listing`."""
        path = kept.path + ABOUT
        if isinstance(self.files, Folder):
            return self.files.folder / path
        copy = self.cache / CACHED / f"{kept.path}.{sha256_of(kept.version.encode())[:16]}{ABOUT}"
        if not copy.exists():
            data = self.files.read(path)
            write_atomically(copy, lambda temporary: temporary.write_bytes(data))
        return copy

    def read(self) -> pd.DataFrame:
        """Return what the archive holds: ARCHIVED, by recording_id.

        What cannot be read of it is left out, and said in the log; the quarantine has it.

        Raises:
            OSError: it cannot be listed.
        """
        rows = []
        for kept in self.listing():
            try:
                about = read_about(self.about_file(kept), kept.recording_id)
            except DamagedFileError as error:
                LOG.warning("%s", error)
                continue
            told = about.told
            row = about.model_dump(exclude={"told", "sidecar_sha256"}) | told.model_dump() | {"reason": told.reason}
            rows.append(row | {"arrived_at": about.arrived_at.astimezone(UTC)})
        return ARCHIVED.conforming(ARCHIVED.table_of(rows))

    def locate(self, recording_id: str) -> Path:
        """Return a file, on this machine, with the bytes of a donation; from a bucket, a checked copy.

        Raises:
            ArchiveError: the archive does not hold it, or other bytes in its place.
        """
        path = path_of(recording_id)
        if isinstance(self.files, Folder):
            return self.files.folder / path
        copy = self.cache / CACHED / path
        if not copy.is_file():
            try:
                data = self.files.read(path)
            except FileNotFoundError as error:
                raise ArchiveError(f"{self.place} holds no donation {recording_id}") from error
            if sha256_of(data) != recording_id:
                raise ArchiveError(f"{self.place}/{path} is not what was donated: {WAY_OUT}")
            write_atomically(copy, lambda temporary: temporary.write_bytes(data))
        return copy

    def remove(self, recording_id: str) -> None:
        """Remove a donation and the copies of it in the cache; the same again changes nothing."""
        path = path_of(recording_id)
        for one in (path + ABOUT, path):
            self.files.remove(one)
        copies = self.cache / CACHED / recording_id[:2]
        for copy in copies.glob(f"{recording_id}*") if copies.is_dir() else ():
            copy.unlink(missing_ok=True)

    def _holds(self, recording_id: str) -> bool:
        """Return whether the bytes are there, and are those."""
        try:
            return sha256_of(self.files.read(path_of(recording_id))) == recording_id
        except FileNotFoundError:
            return False


def path_of(recording_id: str) -> str:
    """Return the path of a donation's bytes in an archive: ``<aa>/<sha256>``."""
    return f"{recording_id[:2]}/{recording_id}"


def read_about(file: Path, recording_id: str) -> Donated:
    """Return what the ``.json`` of a donation says; raises DamagedFileError, FileNotFoundError."""
    return _parsed(Folder(file.parent).read(file.name), str(file), recording_id)


def _parsed(data: bytes, where: str, recording_id: str) -> Donated:
    content: dict[str, Any] = unsealed_json(data, where, WAY_OUT)
    try:
        about = Donated.model_validate(content)
    except ValidationError as error:
        raise DamagedFileError(f"{where} tells of no donation ({error.error_count()} faults): {WAY_OUT}") from error
    if about.recording_id != recording_id:
        raise DamagedFileError(f"{where} tells of another donation: {WAY_OUT}")
    return about


def _id_of(path: str) -> str | None:
    folder, _, name = path.partition("/")
    whole = len(name) == MAIN_LENGTH and not set(name) - set("0123456789abcdef") and folder == name[:2]
    return name if whole else None
