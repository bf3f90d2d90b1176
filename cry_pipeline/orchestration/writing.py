"""Work on an installation: alone, on what the data root holds now, which has afterwards what was made.

Belongs here: the order of lock, lease, pull and push. Does not: each of them (lock.py, lease.py, storage/root.py).
Without a data root in a bucket there is the lock, and nothing else.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from cry_pipeline.artefacts import DamagedFileError, read_json, write_json
from cry_pipeline.orchestration.lease import leased
from cry_pipeline.orchestration.lock import WRITER, BusyError, hold, write_alone
from cry_pipeline.settings import Settings
from cry_pipeline.storage.root import DataRoot
from cry_pipeline.storage.working_copy import LOCK, NOTE

LOG = logging.getLogger("cry_pipeline")
OF_PEOPLE = ("judgements",)
"""What is written without the lock: whoever judges waits for no run."""
LOOKS_EVERY_S = 30.0
KNOWN_TOMBSTONES = "tombstones.json"
"""The file among a node's caches that says of whose withdrawal they know nothing any more."""


@contextmanager
def writing(settings: Settings, what: str, **waiting: Any) -> Iterator[Callable[[], None]]:
    """Write the data folder alone, for ``what``: first it is brought up to the data root, at last that gets all of it.

    Yields a function that gives the data root what was made so far. A service that does not answer then is said and no
    reason to stop; at the end it is. What was made stays here, and the next to write here takes it along.

    Args:
        settings: of the installation.
        what: it is written for, in words for whoever waits.
        **waiting: as of lock.py: hold.

    Raises:
        BusyError: somebody else still wrote after ``wait_s``.
        LeaseLostError: another node took over meanwhile; its work stands.
        ContestedError, DamagedRootError, OSError: as of DataRoot.
    """
    with ExitStack() as stack:
        stack.enter_context(write_alone(settings.data, what, **waiting))
        root = DataRoot.of(settings)
        if root is None:
            yield lambda: None
            return
        lease = stack.enter_context(leased(root.bucket, what, **waiting))
        root.pull()
        _forget_with_others(settings, root)

        def keep() -> None:
            lease.renew()
            root.push()

        def keep_if_it_answers() -> None:
            try:
                keep()
            except OSError as error:
                LOG.warning("The data root gets what was made later: %s", error)

        try:
            yield keep_if_it_answers
        finally:
            keep()
            _note_tombstones(settings)


def refreshed(settings: Settings) -> None:
    """Bring the data folder up to the data root, to read it. Where a run of this node writes, it is that already.

    Raises:
        ContestedError, DamagedRootError, OSError: as of DataRoot.
    """
    root = DataRoot.of(settings)
    if root is None:
        return
    try:
        with hold(settings.data / WRITER, "a look at the data root", wait_s=0):
            root.pull()
            _forget_with_others(settings, root)
    except BusyError:
        return


def shared(settings: Settings, folders: Collection[str] = OF_PEOPLE) -> None:
    """Let the data root have what was written without the lock, below ``folders``.

    Raises:
        ContestedError, OSError: as of DataRoot; what was written stays here.
    """
    root = DataRoot.of(settings)
    if root is not None:
        root.push(folders)


@contextmanager
def kept_up(settings: Settings) -> Iterator[None]:
    """Refresh and share every half minute, in a thread: for processes that show what is there, and take judgements."""
    if settings.data_root is None:
        yield
        return
    ended = threading.Event()

    def look() -> None:
        said = ""
        while True:
            try:
                shared(settings)
                refreshed(settings)
                said = ""
            except (OSError, RuntimeError, ValueError) as error:
                if str(error) != said:
                    LOG.warning("What is shown may be old, and judgements are only here: %s", error)
                said = str(error)
            if ended.wait(LOOKS_EVERY_S):
                return

    thread = threading.Thread(target=look, name="data root", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        shared(settings)


def _forget_with_others(settings: Settings, root: DataRoot) -> None:
    """Empty this node's caches where another one has withdrawn somebody: they may know the recordings still."""
    if _tombstones(settings) == _noted_tombstones(settings):
        return
    kept = {
        settings.corpus_copy,
        settings.corpus_copy.with_suffix(".json"),
        settings.cache / NOTE,
        settings.cache / LOCK,
    }
    for path in [path for path in settings.cache.iterdir() if path not in kept]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    root.pull()  # what is known of sounds comes back, as the other node has left it
    _note_tombstones(settings)


def _note_tombstones(settings: Settings) -> None:
    write_json(settings.cache / KNOWN_TOMBSTONES, {"names": _tombstones(settings)})


def _noted_tombstones(settings: Settings) -> list[str]:
    try:
        return read_json(settings.cache / KNOWN_TOMBSTONES)["names"]
    except DamagedFileError:  # or there was none yet
        return []


def _tombstones(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.withdrawn.glob("*.json"))
