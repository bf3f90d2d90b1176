"""One writer of a data root at a time, whichever node it is on: an object that says who, and that has to be renewed.

Belongs here: taking, renewing, giving back. Does not: the lock of a data folder (lock.py), nor what is done meanwhile.

A node that dies gives nothing back. So a lease that was not renewed for :data:`LEASE_S` is anybody's. What time it is
the service says, by when it wrote an object: the nodes' own clocks are not asked.
"""

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from cry_pipeline.orchestration.lock import INTERVAL_S, SAID_EVERY_S, BusyError, Holder, Process
from cry_pipeline.storage.bucket import Bucket, ChangedMeanwhileError, PlaceError

LOG = logging.getLogger("cry_pipeline")
LEASE, CLOCK = "lease.json", "clock"
LEASE_S, RENEWED_S = 60.0, 15.0
"""How long a lease holds, and how often it is renewed."""
NO_VERSION = '"d41d8cd98f00b204e9800998ecf8427e-0"'
"""A version that no object has."""


class LeaseLostError(RuntimeError):
    """Another node took over, as this one had not renewed its lease in time; the message says who."""


class Lease:
    """What one holder has of a data root's lease. Any thread may ask to :meth:`renew` it."""

    def __init__(self, bucket: Bucket, holder: Holder) -> None:
        self._bucket, self._holder, self._token = bucket, holder, secrets.token_hex(16)
        self._version: str | None = None
        self._turn = threading.Lock()

    def take(self) -> Holder | str | None:
        """Take the lease if it is free; else return who holds it, None where it was taken."""
        try:
            self._version = self._bucket.write_over(LEASE, self._data(), None)
        except ChangedMeanwhileError:
            return self._take_over()
        return None

    def renew(self) -> None:
        """Renew the lease.

        Raises:
            LeaseLostError: another has it.
            OSError: the bucket cannot be written.
        """
        with self._turn:
            try:
                self._version = self._bucket.write_over(LEASE, self._data(), self._version)
            except ChangedMeanwhileError:
                said, version = self._read()
                if said is None or said["token"] != self._token:
                    who = _who(said) if said else "another run, which has ended"
                    raise LeaseLostError(
                        f"{self._bucket.uri} was taken over by {who}: this process had not renewed its lease for "
                        f"{LEASE_S:.0f} s. What it finished lies in its data folder, and the next run here takes it in."
                    ) from None
                self._version = version  # only the answer to the last request was lost

    def give_back(self) -> None:
        """Let others have the lease; one that another has by now is left."""
        self.renew()
        self._bucket.remove(LEASE)

    def _take_over(self) -> Holder | str | None:
        said, version = self._read()
        if said is None or said["token"] == self._token:  # given back meanwhile; or the answer to taking it was lost
            self._version = version
            return "another process" if said is None else None
        age_s = server_time(self._bucket) - self._bucket.entry(LEASE).modified
        if age_s <= LEASE_S:
            return _who(said)
        try:
            self._version = self._bucket.write_over(LEASE, self._data(), version)
        except ChangedMeanwhileError:
            return "another process"
        LOG.warning("%s was being written by %s, not heard of for %.0f s: taken over", self._bucket.uri, said, age_s)
        return None

    def _read(self) -> tuple[dict | None, str | None]:
        try:
            data, version = self._bucket.read_version(LEASE)
        except FileNotFoundError:
            return None, None
        return json.loads(data), version

    def _data(self) -> bytes:
        """Return other bytes each time: some services take a hash of them for the version."""
        now = datetime.now().astimezone().isoformat()
        return json.dumps({"token": self._token, "holder": asdict(self._holder), "renewed": now}).encode()


@contextmanager
def leased(
    bucket: Bucket,
    what: str,
    *,
    wait_s: float | None = None,
    meanwhile: Callable[[], object] = lambda: None,
    say: Callable[[str], object] = LOG.info,
) -> Iterator[Lease]:
    """Hold the lease of the data root in ``bucket`` for ``what``, once nobody else does; see lock.py: hold.

    Raises:
        BusyError: somebody else still held it after ``wait_s``.
        PlaceError: the service does not honour conditions, so that two could hold it.
    """
    honours_conditions(bucket)
    lease = Lease(bucket, Holder(Process.this(), datetime.now().astimezone().isoformat(timespec="seconds"), what))
    _wait(lease, bucket.uri, wait_s, meanwhile, say)
    ended = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(lease, ended), name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        try:
            lease.give_back()
        except LeaseLostError as error:
            LOG.warning("%s", error)


def honours_conditions(bucket: Bucket) -> None:
    """Raise PlaceError if the service puts an object though a condition forbids it: then nothing keeps writers apart.

    Three requests.
    """
    bucket.write(CLOCK, b"")
    for version in (None, NO_VERSION):
        try:
            bucket.write_over(CLOCK, b"", version)
        except ChangedMeanwhileError:
            continue
        raise PlaceError(
            f"{bucket.uri}: the service ignores If-None-Match or If-Match when an object is put, so that two writers "
            "would undo each other's work. Use a service that honours both"
        )


def server_time(bucket: Bucket) -> float:
    """Return what time it is by the service's clock, in seconds since 1970: two requests."""
    bucket.write(CLOCK, b"")
    return bucket.entry(CLOCK).modified


def _wait(
    lease: Lease, uri: str, wait_s: float | None, meanwhile: Callable[[], object], say: Callable[[str], object]
) -> None:
    began, said = time.monotonic(), -SAID_EVERY_S
    while (holder := lease.take()) is not None:
        waited = time.monotonic() - began
        if wait_s is not None and waited >= wait_s:
            raise BusyError(
                f"{uri} is being written by {holder}. Only one run at a time may write there: try again when it has "
                f"ended. If it is dead, {LEASE_S:.0f} s after its last word are enough."
            )
        if waited - said >= SAID_EVERY_S:
            say(f"Waiting for {holder} to end: one at a time writes {uri}.")
            said = waited
        for _ in range(4):  # the bucket is asked less often than whoever may end the waiting
            meanwhile()
            time.sleep(INTERVAL_S)


def _renew_until(lease: Lease, ended: threading.Event) -> None:
    """Renew, until that is over or lost. Who is about to write asks again, and hears why it cannot be renewed."""
    while not ended.wait(RENEWED_S):
        try:
            lease.renew()
        except LeaseLostError as error:
            LOG.warning("%s", error)
            return
        except OSError as error:
            LOG.warning("The lease could not be renewed: %s", error)


def _who(said: dict) -> Holder | str:
    return Holder.parsed(said["holder"]) or "another process"
