"""The public donateacry-corpus: fetched at a pinned commit, and every file checked.

Belongs here: the transfer, unpacking what a stranger packed, and comparing files with the packaged hashes. Does
not: deciding which corpus is used (resolution.py).

Archives of a commit are made on the fly and have no stable hash of their own, so what is verified is each file.
"""

import logging
import math
import re
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES
from cry_pipeline.digests import sha256_of, sha256_of_file
from cry_pipeline.progress import track

if TYPE_CHECKING:
    from requests import Response

LOG = logging.getLogger("cry_pipeline")

COMMIT = "6baf5aca0460964ad072653585837f968a87c2af"
URL = f"https://github.com/gveres/donateacry-corpus/archive/{COMMIT}.zip"
HASHES = Path(__file__).with_name("donateacry-corpus.sha256")
LICENSE_NOTICE = (
    "donateacry-corpus is made available under the Open Database License 1.0 "
    "(http://opendatacommons.org/licenses/odbl/1.0/), its contents under the Database Contents License 1.0: "
    "name the source, and share adapted databases under the same terms."
)
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 30.0
ATTEMPTS, PAUSE_S = 4, 1.0
MAX_MEMBERS, MAX_BYTES = 10_000, 1_000_000_000
MEGABYTE = 1_000_000
CHUNK_BYTES = 1 << 14  # what is lost at most of a transfer that breaks off


class CorpusError(RuntimeError):
    """There is no corpus where one was asked for, or it is not what it should be; the message says what to do."""


class NoNetworkError(CorpusError):
    """The server of the corpus cannot be reached at all."""


class _BrokenOffError(RuntimeError):
    """The transfer broke off; what has arrived is kept."""


@dataclass(frozen=True)
class CheckReport:
    """How a corpus compares with a list of hashes: paths relative to the corpus, sorted."""

    missing: tuple[str, ...]
    differing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every file of the list is there with its hash, and no other audio."""
        return not (self.missing or self.differing or self.extra)

    @property
    def summary(self) -> str:
        """How many files are missing, differ or are extra, and which come first."""
        if self.ok:
            return "every file is there as published"
        kinds = {"missing": self.missing, "differing": self.differing, "extra": self.extra}
        return "; ".join(
            f"{len(paths)} {kind}: {', '.join(paths[:3])}{', …' if len(paths) > 3 else ''}"
            for kind, paths in kinds.items()
            if paths
        )


def check_corpus(folder: Path, hashes: Path = HASHES) -> CheckReport:
    """Compare the files under ``folder`` with ``hashes``, a file as ``sha256sum`` writes it; only reads.

    Raises:
        CorpusError: a line of ``hashes`` is not ``<sha256>  <path>``.
    """
    expected = _read_hashes(hashes)
    present = {path for path in expected if (folder / path).is_file()}
    differing = [path for path in present if sha256_of_file(folder / path) != expected[path]]
    audio = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES}
    missing, extra = expected.keys() - present, audio - expected.keys()
    return CheckReport(tuple(sorted(missing)), tuple(sorted(differing)), tuple(sorted(extra)))


def fetch_corpus(
    destination: Path, *, url: str = URL, hashes: Path = HASHES, connect_timeout_s: float = CONNECT_TIMEOUT_S
) -> Path:
    """Fetch the corpus to ``destination``, which appears only when every file is verified, and return it.

    A corpus that is there already and complete is left as it is. An interrupted transfer is kept beside
    ``destination`` as ``.part`` and gone on with where the server can do that.

    Raises:
        NoNetworkError: the server cannot be reached.
        CorpusError: the server refuses, the transfer keeps breaking off, the archive is damaged or unsafe, files
            are missing, extra or differ from ``hashes``, or ``destination`` holds something else.
    """
    if destination.exists() and any(destination.iterdir()):
        report = check_corpus(destination, hashes)
        if not report.ok:
            raise CorpusError(
                f"{destination} is there, but is not the public corpus ({report.summary}): move it away first"
            )
        LOG.info("%s is complete: nothing to fetch", destination)
        return destination
    LOG.info("fetching %s to %s. %s", url, destination, LICENSE_NOTICE)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f".{destination.name}-{sha256_of(url.encode())[:8]}.zip.part")
    _transfer(url, part, (connect_timeout_s, READ_TIMEOUT_S))
    unpacked = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", suffix=".tmp", dir=destination.parent))
    try:
        corpus = _unpack(part, unpacked, url)
        report = check_corpus(corpus, hashes)
        if not report.ok:
            raise CorpusError(
                f"what {url} holds is not the corpus as published ({report.summary}): nothing was kept, try again"
            )
        corpus.rename(destination)
    finally:
        # Whole or worthless: what was transferred to the end is of no use to another try.
        part.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
    LOG.info("fetched and verified the corpus at %s", destination)
    return destination


def _read_hashes(path: Path) -> dict[str, str]:
    hashes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None:
            raise CorpusError(f"{path}, line {number}: expected '<sha256>  <path>', found {line[:80]!r}")
        hashes[match[2]] = match[1]
    return hashes


def _transfer(url: str, part: Path, timeouts_s: tuple[float, float]) -> None:
    """Receive ``url`` into ``part``, going on with what is there, in a few attempts if it breaks off."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _receive(url, part, timeouts_s)
        except NoNetworkError:
            if attempt in (1, ATTEMPTS):
                raise
        except _BrokenOffError as error:
            LOG.info("%s: the transfer broke off (%s), attempt %d of %d", url, error, attempt, ATTEMPTS)
            if attempt == ATTEMPTS:
                raise CorpusError(
                    f"the transfer of {url} broke off {ATTEMPTS} times, the last time with: {error}. "
                    f"What has arrived is kept in {part}: run it again to go on"
                ) from error
        time.sleep(PAUSE_S)
    return None


def _receive(url: str, part: Path, timeouts_s: tuple[float, float]) -> None:
    import requests
    from requests import exceptions as failures

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=timeouts_s)
    except failures.SSLError as error:
        raise CorpusError(f"the certificate of {url} is not accepted: {error}") from error
    except (failures.ConnectionError, failures.Timeout) as error:
        raise NoNetworkError(f"{url} cannot be reached: {error}") from error
    except failures.RequestException as error:
        raise CorpusError(f"{url} cannot be fetched: {error}") from error
    with response:
        mode = _mode(response, part, have, url)
        total = response.headers.get("Content-Length")
        megabytes = math.ceil(int(total) / MEGABYTE) if total else None
        try:
            with part.open(mode) as file:
                for _ in track(_received(response, file), "fetching the corpus", total=megabytes, unit="MB"):
                    pass
        except (failures.ChunkedEncodingError, failures.ConnectionError, failures.Timeout) as error:
            raise _BrokenOffError(str(error)) from error


def _mode(response: "Response", part: Path, have: int, url: str) -> str:
    """Return how to open the part file for this answer: ``ab`` to go on after ``have`` bytes, ``wb`` to start over."""
    if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        LOG.info("going on with the transfer after %.1f MB", have / MEGABYTE)
        return "ab"
    if response.status_code == 200:
        if have:
            LOG.info("the server cannot continue a transfer: starting over")
        return "wb"
    if response.status_code in (206, 416):
        part.unlink()
        raise _BrokenOffError(f"the server cannot go on after {have} bytes, so the next attempt starts over")
    raise CorpusError(
        f"{url} answered {response.status_code} {response.reason}: try later, or set CRY_PIPELINE_CORPUS to a copy"
    )


def _received(response: "Response", file: IO[bytes]) -> Iterator[None]:
    """Write what arrives to ``file``, yielding once a megabyte."""
    unsaid = 0
    for chunk in response.iter_content(CHUNK_BYTES):
        file.write(chunk)
        unsaid += len(chunk)
        while unsaid >= MEGABYTE:
            unsaid -= MEGABYTE
            yield


def _unpack(archive: Path, folder: Path, url: str) -> Path:
    """Unpack ``archive`` under ``folder`` and return its one top-level folder. Nothing is written outside.

    Raises:
        CorpusError: the archive is damaged, too large, or holds anything but plain files in one folder.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            top = _check_members(members, url)
            for member in members:
                target = folder / member.filename
                if member.is_dir():
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with content.open(member) as source, target.open("xb") as copy:
                    shutil.copyfileobj(source, copy)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        FileExistsError,
        NotADirectoryError,
        NotImplementedError,
    ) as error:
        raise CorpusError(f"the archive from {url} is damaged ({error}): nothing was kept, try again") from error
    return folder / top


def _check_members(members: list[zipfile.ZipInfo], url: str) -> str:
    """Return the name of the one top-level folder; refuse what could write elsewhere or fill the disk."""
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES:
        raise CorpusError(f"the archive from {url} is far larger than the corpus: it was not unpacked")
    for member in members:
        path, kind = PurePosixPath(member.filename), stat.S_IFMT(member.external_attr >> 16)
        leads_out = path.is_absolute() or ".." in path.parts or any(sign in member.filename for sign in "\\:")
        if leads_out or kind not in (0, stat.S_IFREG, stat.S_IFDIR) or member.flag_bits & 1:
            raise CorpusError(f"the archive from {url} is unsafe: it holds {member.filename!r}; it was not unpacked")
    tops = {PurePosixPath(member.filename).parts[0] for member in members if member.filename}
    if len(tops) != 1:
        raise CorpusError(f"the archive from {url} holds {len(tops)} top-level entries instead of one folder")
    return tops.pop()
