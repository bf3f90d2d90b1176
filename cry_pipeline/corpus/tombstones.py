"""What is left of the donors and recordings that were withdrawn: keyed hashes, so that none of them can come back.

Belongs here: a tombstone, its file, and whether a file is one of those. Does not: withdrawing (donations/), nor what is
done with a file that comes again (intake.py, sources.py).

The list names nobody: who has it without the installation's secret cannot even try donors, or hashes of recordings.
With another secret every question would be answered with no, so that each tombstone says which one it was made with.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cry_pipeline.artefacts import DamagedFileError, read_json, write_json
from cry_pipeline.secret import SecretError, keyed_hash, read_secret

Kind = Literal["donor", "recording"]
REASON = r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"
Why = Annotated[str, Field(pattern=REASON)]
ASKED_FOR = "the donor asked for it"
UNFINISHED = ".unfinished"
"""Beside the tombstones, while something is being withdrawn: whom and what, in plain words."""
SHOWN = 12
"""Digits of a keyed hash in the name that stands for a file's."""
WAY_OUT = "put a copy of the file back; without it what was withdrawn could come again"


class ReasonError(ValueError):
    """A reason cannot be kept; the message says what one is."""


class Tombstone(BaseModel):
    """That a donor, or a recording, was withdrawn: when, and why. ``hash`` is keyed; nobody is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    at: AwareDatetime
    reason: Why = ASKED_FOR
    made_with: str = Field(pattern=r"^[0-9a-f]{64}$", description="which secret, as a hash that does not tell it")

    @property
    def sentence(self) -> str:
        """Why a file is refused, for people."""
        whose = "Its donor was" if self.kind == "donor" else "It was"
        return f"{whose} withdrawn on {self.at:%Y-%m-%d}: {self.reason}."


@dataclass(frozen=True)
class Tombstones:
    """All tombstones of an installation, by keyed hash."""

    secret: bytes = b""
    by_hash: dict[str, Tombstone] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.by_hash)

    def of(self, recording_id: str | None, donor: str | None) -> Tombstone | None:
        """Return the tombstone of a file, or None.

        Args:
            recording_id: sha256 of its bytes, if known.
            donor: whose it is, in upper or lower case, if known.
        """
        if not self.by_hash:
            return None
        asked: tuple[tuple[Kind, str | None], ...] = (("recording", recording_id), ("donor", donor))
        hashes = (hash_of(self.secret, kind, name) for kind, name in asked if name)
        return next((self.by_hash[known] for known in hashes if known in self.by_hash), None)

    def masked(self, path: str) -> str:
        """Return a name that tells nothing of the file at ``path`` but its extension; of two files, two names."""
        suffix = PurePosixPath(path).suffix.lower()
        return f"withdrawn-{keyed_hash(self.secret, 'withdrawn file', path)[:SHOWN]}{suffix}"


def read_tombstones(folder: Path, secret: Path) -> Tombstones:
    """Return the tombstones in ``folder``; where there is none, the ``secret`` is not even looked for.

    Raises:
        DamagedFileError: a tombstone is not what was written.
        SecretError: the secret is missing, damaged, or another than they were made with.
    """
    stones = list(_stones(folder))
    if not stones:
        return Tombstones()
    key = read_secret(secret, make=False)
    if any(stone.made_with != _mark(key) for stone in stones):
        raise SecretError(
            f"{secret} is not the secret that the tombstones in {folder} were made with: put a copy of that one back. "
            "With this one nobody knows what was withdrawn"
        )
    return Tombstones(key, {stone.hash: stone for stone in stones})


def add_tombstones(
    folder: Path, secret: Path, *, donors: Iterable[str], recordings: Iterable[str], reason: str = ASKED_FOR
) -> int:
    """Write a tombstone for each of ``donors`` and ``recordings`` that has none yet; return how many were written.

    Raises:
        DamagedFileError, SecretError: as :func:`read_tombstones`.
        ReasonError: the reason is empty, too long, or no line of text.
    """
    check_reason(reason)
    there = read_tombstones(folder, secret)
    key, at, written = read_secret(secret), datetime.now(UTC).replace(microsecond=0), 0
    named: list[tuple[Kind, str]] = [("donor", donor) for donor in donors]
    named.extend(("recording", recording) for recording in recordings)
    for kind, name in named:
        hashed = hash_of(key, kind, name)
        if hashed not in there.by_hash:
            stone = Tombstone(kind=kind, hash=hashed, at=at, reason=reason, made_with=_mark(key))
            write_json(folder / f"{hashed}.json", stone.model_dump(mode="json"))
            written += 1
    return written


def check_reason(reason: str) -> None:
    """Raise ReasonError unless ``reason`` can be kept with a tombstone."""
    if not re.match(REASON, reason):
        raise ReasonError(f"{reason!r} is no reason: write one line of at most 200 characters")


def hash_of(secret: bytes, kind: Kind, name: str) -> str:
    """Return the keyed hash of a donor, or of a recording's id, as 64 hex digits."""
    return keyed_hash(secret, f"withdrawn {kind}", name.lower())


def _mark(secret: bytes) -> str:
    return keyed_hash(secret, "tombstones", "made with")


def _stones(folder: Path) -> Iterable[Tombstone]:
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            stone = Tombstone.model_validate(read_json(path, WAY_OUT))
        except ValidationError as error:
            raise DamagedFileError(f"{path} is no tombstone ({error.error_count()} faults): {WAY_OUT}") from error
        if stone.hash != path.stem:
            raise DamagedFileError(f"{path} is not the tombstone that its name says: {WAY_OUT}")
        yield stone
