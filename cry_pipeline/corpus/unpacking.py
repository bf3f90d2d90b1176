"""A zip that a stranger packed: looked through before anything is written, and counted while it is unpacked.

Belongs here: what its members may be, be called and hold. Does not: where it comes from, and which files it ought to
hold (download.py).
"""

import errno
import io
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterator, KeysView
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

MAX_MEMBERS, MAX_BYTES, MAX_RATIO = 10_000, 1_000_000_000, 20
"""Of a whole archive; the corpus has 1,600 files in 100 MB, and audio is hardly packed at all."""
MAX_NAME, MAX_DEPTH = 255, 8
MAX_CONTENTS_BYTES = MAX_MEMBERS * 512
"""Of the list of members, which is read into memory as a whole."""
LOCAL_HEADER_BYTES, BLOCK_BYTES = 30, 1 << 16
ENCRYPTED_OR_PATCH = 0x01 | 0x20 | 0x40
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others are unpacked without a limit of memory: 4 kB of LZMA or bzip2 can stand for many megabytes."""


class ArchiveError(ValueError):
    """A zip is damaged, unsafe or too large; the message says which, as the end of a sentence."""


class _Frugal(io.FileIO):
    """A file that never gives more at once than a list of members may have."""

    def read(self, size: int | None = -1) -> bytes:
        most = MAX_CONTENTS_BYTES + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) == most:
            raise ArchiveError("is far larger than the corpus: its list of files alone is")
        return data


class Archive:
    """An open zip whose members have been looked through; a context manager.

    Raises:
        ArchiveError: the zip is damaged, too large, or holds anything but plain files in one folder.
    """

    def __init__(self, path: Path) -> None:
        self._file = _Frugal(path)
        try:
            with damage_named():
                self._zip = zipfile.ZipFile(self._file)
                members = self._zip.infolist()
                self._top = _checked(members, path.stat().st_size)
        except BaseException:
            self._file.close()
            raise
        inside = {str(PurePosixPath(member.filename).relative_to(self._top)): member for member in members}
        self._files = {name: member for name, member in inside.items() if not member.is_dir()}

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    @property
    def names(self) -> KeysView[str]:
        """The files, relative to the one folder that holds all."""
        return self._files.keys()

    def unpack(self, names: Collection[str], folder: Path) -> None:
        """Write the files ``names`` under ``folder``, which is made.

        Raises:
            ArchiveError: a file is damaged, or longer than the zip says.
        """
        folder.mkdir()
        for name in names:
            target, member = folder / name, self._files[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            with damage_named(), self._zip.open(member) as source, target.open("xb") as copy:
                copy_at_most(source, copy, member.file_size)


def copy_at_most(source: IO[bytes], copy: IO[bytes], most: int) -> None:
    """Copy ``source``, of which ``most`` bytes are expected.

    Raises:
        ArchiveError: there are more.
    """
    written = 0
    while block := source.read(BLOCK_BYTES):
        written += len(block)
        if written > most:
            raise ArchiveError(f"is unsafe: a file is longer than the {most} bytes that it says")
        copy.write(block)


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn what zipfile raises of a damaged zip, which it does not say, into an ArchiveError; a full disk is none."""
    try:
        yield
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise ArchiveError(f"is damaged ({error})") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, ArithmeticError) as error:
        raise ArchiveError(f"is damaged ({error})") from error
    except (ValueError, RuntimeError) as error:  # names that are not UTF-8, a version that no zip has
        raise ArchiveError(f"is damaged ({error})") from error


def _checked(members: list[zipfile.ZipInfo], archive_bytes: int) -> str:
    """Return the name of the one top-level folder; refuse what could write elsewhere or fill the disk."""
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or total > MAX_BYTES:
        raise ArchiveError(f"is far larger than the corpus: {len(members)} files with {total} bytes")
    for member in members:
        if why := _unsafe(member):
            raise ArchiveError(f"is unsafe: it holds {member.filename[:MAX_NAME]!r}, {why}")
    if total > MAX_RATIO * archive_bytes:
        raise ArchiveError(f"is unsafe: {archive_bytes} bytes would become {total}")
    if overlap := _overlapping(members, archive_bytes):
        raise ArchiveError(f"is unsafe: {overlap.filename!r} shares bytes with another entry")
    _refuse_twins(members)
    tops = {PurePosixPath(member.filename).parts[0] for member in members}
    if len(tops) != 1:
        raise ArchiveError(f"holds {len(tops)} top-level entries instead of one folder")
    return tops.pop()


def _refuse_twins(members: list[zipfile.ZipInfo]) -> None:
    """Refuse names of which one file system or another makes one, and a file that is also a folder."""
    kept = {unicodedata.normalize("NFC", member.filename).casefold().rstrip("/"): member for member in members}
    if len(kept) < len(members):
        (double, *_) = (member for member in members if member not in kept.values())
        raise ArchiveError(f"is unsafe: it holds {double.filename!r} twice, or a name that differs only in case")
    folders = {str(parent) for name in kept for parent in PurePosixPath(name).parents}
    for name in folders & kept.keys():
        if not kept[name].is_dir():
            raise ArchiveError(f"is unsafe: {kept[name].filename!r} is both a file and a folder")


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    """Return what is wrong with a member, if anything is."""
    name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
    path = PurePosixPath(name)
    if len(name.encode()) > MAX_NAME or len(path.parts) > MAX_DEPTH:
        return "a name too long or too deep"
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or str(path) != name.rstrip("/"):
        return "which may lie elsewhere"
    if not name.isprintable():
        return "which has control characters"
    if kind not in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG):
        return "which is neither a file nor a folder"
    if member.flag_bits & ENCRYPTED_OR_PATCH or member.compress_type not in METHODS:
        return "which is encrypted, or packed by an unusual method"
    return None


def _overlapping(members: list[zipfile.ZipInfo], archive_bytes: int) -> zipfile.ZipInfo | None:
    """Return an entry that reaches into the next one or past the end: small zips that hold much share their bytes."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in ordered] + [archive_bytes]
    for member, (start, following) in zip(ordered, pairwise(starts), strict=True):
        if start + LOCAL_HEADER_BYTES + len(member.orig_filename) + member.compress_size > following:
            return member
    return None
