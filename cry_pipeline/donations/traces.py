"""What tells of a donor or a recording: ids, hashes, names, a piece of the sound; where it comes from, and masking it.

Belongs here: gathering it before anything is removed, and telling it again in any bytes or text. Does not: searching
(byte_search.py), and removing (withdrawal.py).

What another recording shares, a name such as ``cry.wav`` for instance, is no trace: it would be found for ever.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self, TypeVar
from urllib.parse import quote

import numpy as np

from cry_pipeline.corpus.tombstones import Tombstones
from cry_pipeline.donations.byte_search import OVERLAP, Needles
from cry_pipeline.donations.known_files import UUID, File, contents, known_files
from cry_pipeline.settings import Settings

T = TypeVar("T")
NAMES = {
    "donor": re.compile(UUID.pattern.encode(), re.IGNORECASE),
    "recording": re.compile(rb"[0-9a-f]{64}", re.IGNORECASE),
}

ID_DIGITS, NAMED_DIGITS = 64, 8
SHOWN_DIGITS = 12
"""Pages and logs show the first 16 digits of an id: fewer of them are looked for."""
STEP, PIECE = 8, 1 << 14
_OF_NAMES = np.zeros(256, bool)
_OF_NAMES[list(b"0123456789abcdefABCDEF-")] = True
LONG_NAME = 20
"""Characters from which on a name is told anywhere; a shorter one only as a whole word."""
SOUND_BYTES, VARIED = 32, 20
"""Of a recording, from its middle on where so many different bytes are among them: no silence, and no header."""


class TraceError(ValueError):
    """It is not clear who or what is meant; the message says why."""


@dataclass(frozen=True)
class Traces:
    """All that tells of what is withdrawn, each sorted."""

    donors: tuple[str, ...]
    recordings: tuple[str, ...]
    hashes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    donations: tuple[str, ...] = ()
    """Donor and time, of withdrawn recordings whose donor stays."""
    sounds: tuple[str, ...] = ()
    """Pieces of the files' bytes, in hex."""
    files: tuple[tuple[str, str], ...] = ()
    """Root and path, as tables hold them, of the files in the corpus and in the inbox."""
    siblings: tuple[str, ...] = ()
    """Recordings that stay, of donations of which another is withdrawn: an upload's cleaned copy, or the other way."""

    def __or__(self, other: "Traces") -> "Traces":
        """Return the traces of both."""
        both: dict[str, Any] = {f.name: {*getattr(self, f.name), *getattr(other, f.name)} for f in fields(self)}
        return Traces(**{name: tuple(sorted(values)) for name, values in both.items()})

    @classmethod
    def parsed(cls, content: dict[str, Any]) -> Self:
        """Return what :meth:`content` said."""
        lists: dict[str, Any] = {name: tuple(values) for name, values in content.items()}
        lists["files"] = tuple((root, path) for root, path in content["files"])
        return cls(**lists)

    def content(self) -> dict[str, Any]:
        """Return the traces as JSON types."""
        return {f.name: list(getattr(self, f.name)) for f in fields(self)}

    @cached_property
    def find(self) -> Needles:
        """The finder of any of them: see byte_search.py."""
        needles: list[tuple[bytes, str]] = []
        for donor in self.donors:
            needles += [(form.encode(), "donor") for form in (donor, donor.replace("-", ""))]
        for what, ids in (("recording", self.recordings), ("hash", self.hashes)):
            needles += [(name[:SHOWN_DIGITS].encode(), what) for name in ids]
            needles += [(bytes.fromhex(name), what) for name in ids]
        needles += [(donation.encode(), "donation") for donation in self.donations]
        for name in self.names:
            whole = b"" if len(name) >= LONG_NAME else b"\0"
            needles += [(whole + form.encode()[:OVERLAP], "name") for form in _forms(name)]
        needles += [(bytes.fromhex(piece), "sound") for piece in self.sounds]
        return Needles(needles)

    def masked(self, data: bytes) -> bytes:
        """Return ``data``, with as many bytes as before, with zeros for donors and ids and ``x`` for names."""
        for pattern, letter in self._patterns:
            data = pattern.sub(lambda match, letter=letter: re.sub(rb"[^-:]", letter, match[0]), data)
        return data

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[bytes], bytes]]:
        ids = [re.escape(name[:SHOWN_DIGITS]) + "[0-9a-f]*" for name in (*self.recordings, *self.hashes)]
        ids += [re.escape(form) for donor in self.donors for form in (donor, donor.replace("-", ""))]
        names = [re.escape(donation) for donation in self.donations]
        for name in self.names:
            before, behind = ("", "") if len(name) >= LONG_NAME else ("(?<![a-z0-9_.-])", "(?![a-z0-9_.-])")
            names += [f"{before}{re.escape(form)}{behind}" for form in _forms(name)]
        groups = ((names, b"x"), (ids, b"0"))  # a name may hold an id
        joined = (("|".join(sorted(some, key=len, reverse=True)).encode(), letter) for some, letter in groups)
        return [(re.compile(pattern, re.IGNORECASE), letter) for pattern, letter in joined if pattern]


class Buried:
    """Finds donors and recordings that have a tombstone, without knowing who they are: it asks of every name there is.

    Names of files are not among them: of those nothing is left that could be asked.
    """

    def __init__(self, tombstones: Tombstones) -> None:
        self._tombstones = tombstones
        self._known: dict[bytes, bool] = {}

    def __call__(self, data: bytes) -> set[str]:
        """Return what is found in ``data``."""
        return {what for piece in _with_names(data) for what in self._in(piece)}

    def _in(self, data: bytes) -> Iterator[str]:
        for what, pattern in NAMES.items():
            for name in {match.lower() for match in pattern.findall(data)}:
                if name not in self._known:
                    text = name.decode()
                    asked = (text, None) if what == "recording" else (None, text)
                    self._known[name] = self._tombstones.of(*asked) is not None
                if self._known[name]:
                    yield what


def _with_names(data: bytes) -> Iterator[bytes]:
    """Yield the pieces of ``data`` that may hold a name of :data:`NAMES`: few of what is no text.

    A name has 36 letters or more, so that four of any eighth bytes in a row lie in it.
    """
    looks = _OF_NAMES[np.frombuffer(data, np.uint8)[::STEP]]
    inside = looks[:-3] & looks[1:-2] & looks[2:-1] & looks[3:]
    for piece in np.unique(np.flatnonzero(inside) * STEP // PIECE).tolist():
        yield data[max(0, piece * PIECE - OVERLAP) : (piece + 1) * PIECE + OVERLAP]


def named(settings: Settings, recording: str) -> str:
    """Return the recording_id that ``recording`` means: an id, how one begins, or the name of a file.

    Raises:
        TraceError: it means none that is known here, or several. A whole id need not be known.
    """
    asked = recording.strip()
    if re.fullmatch(f"[0-9a-f]{{{ID_DIGITS}}}", asked.lower()):
        return asked.lower()
    begins = len(asked) >= NAMED_DIGITS and not set(asked.lower()) - set("0123456789abcdef")
    meant = sorted(
        {
            file.recording_id
            for file in known_files(settings)
            if file.recording_id
            and (asked in {*file.names, file.path} or (begins and file.recording_id.startswith(asked.lower())))
        }
    )
    if len(meant) != 1:
        which = f"{len(meant)} recordings: {', '.join(meant[:5])}" if meant else "no recording that is known here"
        raise TraceError(f"{asked!r} means {which}; name the recording by the 64 digits of its sha256")
    return meant[0]


def donor_of(text: str) -> str:
    """Return a donor as tables name them; raises TraceError where ``text`` is none."""
    if not UUID.fullmatch(text.strip()):
        raise TraceError(f"{text!r} is no donor: a donor is a UUID, as the names of its files begin with")
    return text.strip().lower()


def find_traces(settings: Settings, donors: Iterable[str], recordings: Iterable[str]) -> Traces:
    """Return all that tells here of ``donors`` and ``recordings``, theirs and those named.

    Raises:
        SourceError, OSError: archive, inbox or corpus cannot be listed.
        DamagedFileError: a table of the manifest is not what was written: its files are not known then.
    """
    files, meant, ids = list(known_files(settings)), set(donors), set(recordings)
    ids |= {file.recording_id for file in files if file.donor in meant and file.recording_id}

    def is_meant(file: File) -> bool:
        return file.donor in meant or file.recording_id in ids

    mine = [file for file in files if is_meant(file)]
    rest = [file for file in files if not is_meant(file)]
    names = _of(lambda file: file.names, mine, rest)
    hashes = _of(lambda file: file.hashes, mine, rest)
    donations = _of(lambda file: [file.donation] if file.donation else [], mine, rest)
    told = {file.donation for file in mine} - {None}
    siblings = {file.recording_id for file in rest if file.donation in told and file.recording_id}
    places = _of(lambda file: file.places, mine, rest)
    pieces = {piece for data in contents(settings, sorted(ids), places) if (piece := _piece(data))}

    def telling(texts: set[str]) -> tuple[str, ...]:
        """Leave out what names a donor who is withdrawn: it is found by that."""
        return tuple(sorted(text for text in texts if not any(donor in text.lower() for donor in meant)))

    return Traces(
        donors=tuple(sorted(meant)),
        recordings=tuple(sorted(ids)),
        hashes=tuple(sorted(hashes)),
        names=telling(names),
        donations=telling(donations),
        sounds=tuple(sorted(pieces)),
        files=tuple(sorted(places)),
        siblings=tuple(sorted(siblings)),
    )


def _of(of: Callable[[File], Iterable[T]], mine: Iterable[File], rest: Iterable[File]) -> set[T]:
    """Return what the withdrawn files have, and no other."""
    return {each for file in mine for each in of(file)} - {each for file in rest for each in of(file)}


def _piece(data: bytes) -> str | None:
    """Return a piece of a recording's bytes that no other has by chance, in hex; None where it is all alike."""
    for start in range(len(data) // 2, len(data) - SOUND_BYTES, SOUND_BYTES):
        piece = data[start : start + SOUND_BYTES]
        if len(set(piece)) >= VARIED:
            return piece.hex()
    return None


def _forms(name: str) -> set[str]:
    """Return how a name is written: plainly, in JSON, in JSON within JSON, in HTML, and in a URL."""
    once = json.dumps(name)[1:-1]
    return {name, once, json.dumps(once)[1:-1], html.escape(name), quote(name)}
