"""The archive of the corpus on its way from a server: resumed where that is safe, and with an end in any case.

Belongs here: what a server may answer, and what is kept of a transfer that breaks off. Does not: what is in the archive
(download.py, unpacking.py).
"""

import fcntl
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from cry_pipeline.progress import track

if TYPE_CHECKING:
    from requests import Response

LOG = logging.getLogger("cry_pipeline")

READ_TIMEOUT_S = 30.0
ATTEMPTS, PAUSE_S = 4, 1.0
MAX_REDIRECTS = 5
MAX_TRANSFER_BYTES = 500_000_000
"""The archive has about 100 MB."""
GRACE_S, SLOWEST_BYTES_PER_S = 60.0, 10_000.0
"""A transfer that is slower on average, after a first minute, is broken off."""
MEGABYTE = 1_000_000
CHUNK_BYTES = 1 << 14


class CorpusError(RuntimeError):
    """There is no corpus where one was asked for, or it is not what it should be; the message says what to do."""


class NoNetworkError(CorpusError):
    """The server of the corpus cannot be reached at all."""


class _BrokenOffError(RuntimeError):
    """The transfer broke off; what has arrived is kept."""


class Part:
    """What has arrived of a file, and the server's mark of which file it is: ``<part>`` and ``<part>.etag``."""

    def __init__(self, path: Path) -> None:
        self.path, self._mark = path, path.with_suffix(".etag")

    @property
    def mark(self) -> str:
        """The ETag of the file that the part belongs to; empty where it cannot be told from another."""
        return self._mark.read_text(encoding="latin-1") if self._mark.exists() else ""

    @property
    def bytes(self) -> int:
        """How much is there to go on with."""
        return self.path.stat().st_size if self.mark and self.path.exists() else 0

    def begin(self, mark: str | None) -> None:
        """Empty the part, then note the mark: killed in between, an empty part has another's mark, which does no harm.

        A weak mark (``W/…``) may stand for files that differ in bytes.
        """
        self.path.write_bytes(b"")
        self._mark.write_text(mark if mark and not mark.startswith("W/") else "", encoding="latin-1")

    def remove(self) -> None:
        """Remove what has arrived, so that the next attempt starts over."""
        self._mark.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the part, of which two processes would make a mixture.

        Raises:
            CorpusError: another process holds it.
        """
        path = self.path.with_suffix(".lock")
        with path.open("a") as lock:
            if not locked(lock, path):
                raise CorpusError(f"another process is fetching to {path.parent}: wait until it has ended")
            try:
                yield
            finally:
                path.unlink(missing_ok=True)


def locked(file: IO[str], path: Path) -> bool:
    """Lock ``file`` if it is free and still the one at ``path``: who held it may have removed it meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def transfer(url: str, part: Part, connect_timeout_s: float) -> None:
    """Receive ``url`` into ``part``, going on with what is there, in a few attempts if it breaks off.

    Raises:
        NoNetworkError: the server cannot be reached.
        CorpusError: it refuses, sends too much, leads elsewhere, or the transfer keeps breaking off.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _receive(url, part, (connect_timeout_s, READ_TIMEOUT_S))
        except NoNetworkError:
            if attempt in (1, ATTEMPTS):
                raise
        except _BrokenOffError as error:
            LOG.info("%s: the transfer broke off (%s), attempt %d of %d", url, error, attempt, ATTEMPTS)
            if attempt == ATTEMPTS:
                raise CorpusError(
                    f"the transfer of {url} broke off {ATTEMPTS} times, the last time with: {error}. "
                    f"What has arrived is kept in {part.path}: run it again to go on"
                ) from error
        time.sleep(PAUSE_S)
    return None


def _receive(url: str, part: Part, timeouts_s: tuple[float, float]) -> None:
    from urllib3.exceptions import HTTPError

    have = part.bytes
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": part.mark}
    with _answer(url, headers, timeouts_s) as response:
        have = _continued(response, part, have, url)
        length = response.headers.get("Content-Length", "")
        expected = have + int(length[:20]) if length.isdecimal() else None
        if expected and expected > MAX_TRANSFER_BYTES:
            part.remove()
            raise CorpusError(f"{url} is far larger than the corpus, it says {expected} bytes: it was not fetched")
        megabytes = math.ceil((expected - have) / MEGABYTE) if expected else None
        try:
            with part.path.open("ab") as file:
                for _ in track(_received(response, file, have), "fetching the corpus", total=megabytes, unit="MB"):
                    pass
        except HTTPError as error:
            raise _BrokenOffError(str(error)) from error
        if part.path.stat().st_size > MAX_TRANSFER_BYTES:
            part.remove()
            raise CorpusError(f"{url} is far larger than the corpus: it was fetched no further")


@contextmanager
def _answer(url: str, headers: dict[str, str], timeouts_s: tuple[float, float]) -> "Iterator[Response]":
    """Ask for ``url``, following redirects that may be followed.

    ``requests.get`` would read the whole body of a redirect, endless or not, even of one that it does not follow.
    """
    import requests
    from requests import exceptions as failures

    session, place = requests.Session(), url
    for _ in range(MAX_REDIRECTS):
        try:
            asked = session.prepare_request(requests.Request("GET", place, headers=headers))
            settings = session.merge_environment_settings(place, {}, True, None, None)
            response = session.get_adapter(place).send(asked, timeout=timeouts_s, **settings)
        except failures.SSLError as error:
            raise CorpusError(f"the certificate of {place} is not accepted: {error}") from error
        except (failures.ConnectionError, failures.Timeout) as error:
            raise NoNetworkError(f"{place} cannot be reached: {error}") from error
        except failures.RequestException as error:
            raise CorpusError(f"{place} cannot be fetched: {error}") from error
        with response:
            if not 300 <= response.status_code < 400:
                yield response
                return
            place = redirected(place, response.headers.get("Location", ""))
    raise CorpusError(f"{url} has more than {MAX_REDIRECTS} redirects: try later")


def redirected(place: str, target: str) -> str:
    """Return where a redirect leads: to the same host or one below it, never from https to anything else.

    Raises:
        CorpusError: it leads elsewhere, or nowhere.
    """
    try:
        there = urljoin(place, target)
        before, after = urlsplit(place), urlsplit(there)
    except ValueError:
        target, there, before, after = "", place, urlsplit(place), urlsplit("")
    within = f".{after.hostname}".endswith(f".{before.hostname}")
    if not target or not within or after.scheme not in ("https", before.scheme):
        raise CorpusError(f"{place} leads to {target[:200]!r}, which is not followed: it is another host, or not safe")
    return there


def _continued(response: "Response", part: Part, have: int, url: str) -> int:
    """Return how many bytes of the part this answer goes on after: ``have``, or none of the part that is begun anew."""
    if packing := response.headers.get("Content-Encoding", "identity").lower().replace("identity", ""):
        part.remove()
        raise CorpusError(f"{url} answers packed as {packing!r}, although it was asked not to: try without a proxy")
    of_the_same = response.headers.get("ETag") == part.mark
    if (
        response.status_code == 206
        and of_the_same
        and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    ):
        LOG.info("going on with the transfer after %.1f MB", have / MEGABYTE)
        return have
    if response.status_code == 200:
        if part.path.exists() and part.path.stat().st_size:
            LOG.info("the server cannot continue this transfer, or has another file by now: starting over")
        part.begin(response.headers.get("ETag"))
        return 0
    if response.status_code in (206, 416):
        part.remove()
        raise _BrokenOffError(f"the server cannot go on after {have} bytes, so the next attempt starts over")
    raise CorpusError(f"{url} answered {response.status_code}: try later, or set CRY_PIPELINE_CORPUS to a copy")


def _received(response: "Response", file: IO[bytes], have: int) -> Iterator[None]:
    """Write what arrives to ``file``, yielding once a megabyte, until it ends or is more than any corpus has.

    What has arrived is written at once: however a transfer ends, nothing of it is lost.
    """
    begun, received, said = time.monotonic(), 0, 0
    while have + received <= MAX_TRANSFER_BYTES and (chunk := response.raw.read1(CHUNK_BYTES, decode_content=False)):
        file.write(chunk)
        received += len(chunk)
        if time.monotonic() - begun > GRACE_S + received / SLOWEST_BYTES_PER_S:
            raise _BrokenOffError(f"slower than {SLOWEST_BYTES_PER_S / 1000:.0f} kB/s")
        while received - said >= MEGABYTE:
            said += MEGABYTE
            yield
