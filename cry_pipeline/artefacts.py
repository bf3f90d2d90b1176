"""Files that stages hand to each other: written whole or not at all, each sealed with its own checksum.

Belongs here: atomic writing, the seal inside of each table, JSON file and page, and what killed writers leave behind.
Does not: what a file holds (its stage's schema says that), nor the feature store, whose parts have their own.

A sealed file carries, in itself, the sha256 of its bytes (with zeros in the place of the sha256), and a table or page
the digest that it was made under, too. Nothing lies beside it that a second writer, or a crash between two renames,
could bring out of step: whichever of two writers comes last, its file says of itself what it is.
"""

import errno
import hashlib
import io
import json
import logging
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cry_pipeline.digests import table_digest as table_digest
from cry_pipeline.version import __version__

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger("cry_pipeline")
SEALED = "sealed"
MARK, ZEROS = f'"{SEALED}": "sha256:'.encode(), b"0" * 64
"""The last ``"sealed": "sha256:…"`` of a file is its seal: in a table's footer, at a JSON file's and a page's end."""
PARQUET_KEY = "cry_pipeline"
"""Where a table's provenance lies among the key-value metadata of its Parquet file."""
LEFTOVER = re.compile(r"\..+\.([0-9a-f]{32}|\d+)\.tmp")
"""Names of the temporary files of :func:`write_atomically`, and of those that earlier versions made."""


class DamagedFileError(ValueError):
    """A file is not what was written, or nothing says what was; the message says what to do."""


class MissingFileError(DamagedFileError, FileNotFoundError):
    """There is no such file."""


class NotAFileError(IsADirectoryError):
    """A folder, a pipe or a device has the name of a file; the message says what to do."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EISDIR, "this is no file, and one belongs here: move it away, and run again", str(path))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place: readers see old or new, never half.

    The temporary name is this call's alone, so that any number of threads and processes may write one ``path``; the
    last wins. File and folder are brought to the disk, so that this holds after a power failure, too.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        write(temporary)
        sync(temporary)
        if path.is_dir():
            raise NotAFileError(path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def leftovers(folder: Path, age_s: float) -> list[Path]:
    """Return the temporary files below ``folder`` that killed writers left, untouched for ``age_s`` seconds."""
    now, paths = time.time(), []
    # Not Path.rglob: it fails where a folder is removed under it, as another process may do at any time.
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if LEFTOVER.fullmatch(name)):
            try:
                if now - path.lstat().st_mtime >= age_s:
                    paths.append(path)
            except FileNotFoundError:  # its writer has just finished
                continue
    return sorted(paths)


def remove_leftovers(folder: Path, age_s: float) -> list[Path]:
    """Remove :func:`leftovers` and return them."""
    paths = leftovers(folder, age_s)
    for path in paths:
        path.unlink(missing_ok=True)
    return paths


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path`` as indented JSON with a seal, atomically; raises as :func:`sealed_json`."""
    data = sealed_json(content)
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def sealed_json(content: Mapping[str, Any]) -> bytes:
    """Return ``content`` as indented JSON with a seal; NaN and infinities raise ValueError."""
    if SEALED in content:
        raise ValueError(f"{SEALED!r} is the name of the file's checksum; give the entry another name")
    text = json.dumps({**content, SEALED: f"sha256:{ZEROS.decode()}"}, indent=2, ensure_ascii=False, allow_nan=False)
    return _sealed(f"{text}\n".encode())


def read_json(path: Path, way_out: str = "make it again") -> dict[str, Any]:
    """Return what :func:`write_json` wrote.

    Args:
        path: of the file.
        way_out: what to do about a file that is missing or damaged; ends the message.

    Raises:
        MissingFileError: there is no such file; a :class:`DamagedFileError`.
        DamagedFileError: it is not, byte for byte, what was written.
    """
    return unsealed_json(_read(path, way_out), str(path), way_out)


def unsealed_json(data: bytes, where: str, way_out: str = "make it again") -> dict[str, Any]:
    """Return what :func:`sealed_json` was given; raises DamagedFileError with ``where`` it is from and the way out."""
    if not _intact(data):
        raise DamagedFileError(f"{where} is not what was written: {way_out}")
    content = json.loads(data)
    del content[SEALED]
    return content


def write_table(path: Path, table: "pd.DataFrame", digest: str, **inputs: Any) -> None:
    """Write ``table`` to ``path`` as Parquet, atomically, with a seal and its provenance in the file's own metadata.

    Args:
        path: of the file.
        table: its rows; the index is not kept.
        digest: what it was made under; :func:`is_current` asks for it.
        **inputs: JSON values to note with it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content, buffer = pa.Table.from_pandas(table, preserve_index=False), io.BytesIO()
    if table.attrs:  # as pandas' own to_parquet keeps them
        attributes = {"PANDAS_ATTRS": json.dumps(table.attrs)}
        content = content.replace_schema_metadata({**(content.schema.metadata or {}), **attributes})
    about = {
        "rows": len(table),
        "inputs": inputs,
        "libraries": {"pyarrow": pa.__version__},
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with pq.ParquetWriter(buffer, content.schema) as writer:
        writer.write_table(content)
        writer.add_key_value_metadata({PARQUET_KEY: _provenance(digest, **about)})
    _write_sealed(path, buffer.getvalue())


def read_table(path: Path) -> "pd.DataFrame":
    """Read what :func:`write_table` wrote.

    Raises:
        MissingFileError: there is no table at ``path``; a FileNotFoundError.
        DamagedFileError: it is not, byte for byte, what was written.
    """
    import pandas as pd

    data = _read(path, f"materialize {path.stem}")
    if not _intact(data):
        raise DamagedFileError(f"{path} is not what was written: materialize {path.stem} again")
    return pd.read_parquet(io.BytesIO(data))


def current_table(path: Path, digest: str) -> "pd.DataFrame | None":
    """Return the table at ``path`` if :func:`is_current` under ``digest``, in one reading; None if it is not."""
    import pandas as pd

    data = _current(path, digest)
    return None if data is None else pd.read_parquet(io.BytesIO(data))


def write_html(path: Path, text: str, digest: str) -> None:
    """Write a page of HTML, atomically, with a seal and the digest that it was made under in a last comment.

    Equal text and digest give an equal file: it holds no time.
    """
    # A comment ends at "--" in HTML; in JSON the second dash may be escaped.
    about = _provenance(digest).replace("--", "-\\u002d")
    _write_sealed(path, f"{text}\n<!-- {about} -->\n".encode())


def is_current(path: Path, digest: str) -> bool:
    """Return whether the table or page at ``path`` was written under ``digest`` and is, byte for byte, what was."""
    return _current(path, digest) is not None


def provenance(path: Path) -> dict[str, Any]:
    """Return what a sealed table or page says of itself: digest, version; of a table rows, inputs, libraries, time.

    Raises:
        DamagedFileError: as for :func:`read_table`, and where it has no provenance.
    """
    data = _read(path, "make it again")
    about = _said(data) if _intact(data) else None
    if about is None:
        raise DamagedFileError(f"{path} is not what was written, or has no provenance: make it again")
    return about


def read_plain(path: Path) -> bytes:
    """Return the bytes of a plain file; of what else may have its name, nothing is read or waited for.

    Raises:
        NotAFileError: it is none.
        OSError: it is not there, or cannot be read.
    """
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
        return file.read()


def open_plain(path: Path, flags: int) -> int:
    """Return the descriptor of a plain file, opened with ``flags``; raises as :func:`read_plain`."""
    try:
        # Without O_NONBLOCK, opening a pipe waits until somebody opens its other end.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENXIO) or (flags & os.O_CREAT and path.is_symlink()):
            raise NotAFileError(path) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotAFileError(path)


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make ``folder``, with the folders above it, so that it outlives a power failure."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def _provenance(digest: str, **more: Any) -> str:
    """Return the provenance as JSON of one line, which begins with the seal to come."""
    return json.dumps({SEALED: f"sha256:{ZEROS.decode()}", "digest": digest, "cry_pipeline": __version__, **more})


def _write_sealed(path: Path, data: bytes) -> None:
    """Write ``data``, in which the last seal is still zeros, with its sha256 in there."""
    sealed = _sealed(data)
    write_atomically(path, lambda temporary: temporary.write_bytes(sealed))


def _sealed(data: bytes) -> bytes:
    place = data.rindex(MARK) + len(MARK)
    return data[:place] + hashlib.sha256(data).hexdigest().encode() + data[place + len(ZEROS) :]


def _read(path: Path, way_out: str) -> bytes:
    try:
        return read_plain(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no {path}: {way_out}") from error
    except NotAFileError as error:
        raise DamagedFileError(f"{path} is no file, and one belongs there: move it away, then {way_out}") from error


def _intact(data: bytes) -> bool:
    """Return whether ``data`` has the sha256 that its seal says."""
    place = data.rfind(MARK) + len(MARK)
    if place < len(MARK):
        return False
    seen = hashlib.sha256(data[:place])
    seen.update(ZEROS)
    seen.update(data[place + len(ZEROS) :])
    return seen.hexdigest().encode() == data[place : place + len(ZEROS)]


def _said(data: bytes) -> dict[str, Any] | None:
    """Return the provenance of intact ``data``; None if it is a JSON file, which has none."""
    try:
        about, _ = json.JSONDecoder().raw_decode(data[data.rindex(MARK) - 1 :].decode(errors="replace"))
    except ValueError:
        return None
    return about


def _current(path: Path, digest: str) -> bytes | None:
    try:
        data = read_plain(path)
    except FileNotFoundError:
        return None
    except NotAFileError:  # writing it says what to do, unless a file can take its place
        data = b""
    if not _intact(data):
        LOG.warning("%s is not what was written: it is made again", path)
        return None
    about = _said(data)
    return data if about is not None and about["digest"] == digest else None
