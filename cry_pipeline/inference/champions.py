"""Which bundle is the champion: a switch that is atomic, its history, and the way back.

Belongs here: the pointer, its history, and where bundles lie. Does not: making a bundle (building.py), and whether it
may become the champion (promotion.py).

``models/champions/<digest>/`` are the bundles; ``models/champion.json`` names the one in use and how it came to be.
Both change by one rename, so that a reader finds the old champion or the new one; of several who switch at once each
waits for the other, so that no switch is lost.
"""

import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cry_pipeline.artefacts import DamagedFileError, make_folder, open_plain, read_json, read_plain, write_json
from cry_pipeline.inference.bundle import WAY_OUT, BundleError, digest_of, verify
from cry_pipeline.targets import Target

LOG = logging.getLogger("cry_pipeline")
POINTER, LOCK, CHAMPIONS = "champion.json", ".champion.lock", "champions"
PROMOTED, ROLLED_BACK = "promoted", "rolled back"


class ChampionError(ValueError):
    """There is no champion, or it cannot be switched as asked; the message says why and what to do."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Event(_Content):
    """A switch: ``digest`` became the champion after ``previous``; ``why`` says what it rested on."""

    at: str
    event: str
    digest: str
    previous: str | None
    runs: dict[Target, dict[str, str]] = Field(description="by target, ``experiment`` and ``run`` (its digest)")
    why: list[str]


class _Pointer(_Content):
    champion: str
    history: list[Event]


def champion_folder(models: Path, digest: str) -> Path:
    """Return where the bundle of ``digest`` lies: under its first 16 digits."""
    return models / CHAMPIONS / digest[:16]


def history(models: Path) -> list[Event]:
    """Return all switches, oldest first; the digest of the last is the champion. Empty where there was none.

    Raises:
        ChampionError: the pointer is not, whole, what was written.
    """
    path = models / POINTER
    try:
        pointer = _Pointer.model_validate(_content(path))
        if not pointer.history or pointer.history[-1].digest != pointer.champion:
            raise ValueError("the champion is not the last of its history")  # noqa: TRY301
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ChampionError(
            f"{path} cannot be read, or is not what was written ({' '.join(str(error).split())}): put a copy of it "
            "back; or remove it, and `cry-pipeline run` starts again with the best candidate. Until then name one with "
            "--bundle"
        ) from None  # a run tells the first cause alone, which knows no way out
    return pointer.history


def _content(path: Path) -> Any:
    """Return what the file holds; one written before files were sealed is held against its form alone."""
    try:
        return read_json(path, "see below")
    except DamagedFileError as error:
        try:
            content = json.loads(read_plain(path))
        except (OSError, ValueError, RecursionError):
            raise error from None
        if isinstance(content, dict) and content.keys() == {"champion", "history"}:
            return content
        raise


def current(models: Path) -> Path:
    """Return the folder of the champion's bundle.

    Raises:
        ChampionError: there is none.
        BundleError: another bundle lies in its place, or none.
    """
    events = history(models)
    if not events:
        raise ChampionError(
            f"there is no champion under {models} yet: make one with `cry-pipeline run`, or name a bundle with --bundle"
        )
    return _bundle_of(models, events[-1].digest)


def _bundle_of(models: Path, digest: str) -> Path:
    """Return the folder of the bundle of ``digest``, which holds that one, and not another sound one."""
    folder = champion_folder(models, digest)
    if (found := digest_of(folder)) != digest:
        raise BundleError(f"{folder} holds the bundle {found[:16]}, not {digest[:16]}: {WAY_OUT}")
    return folder


def switch(models: Path, event: Event, *, only_from_previous: bool = False) -> bool:
    """Make ``event.digest`` the champion by appending ``event`` to the history; return whether that was done.

    Args:
        models: folder of the champions.
        event: what to append; where the champion is no more its ``previous``, it is noted as after the present one.
        only_from_previous: leave all as it is in that case, because the event rests on a comparison with another.

    Raises:
        ChampionError: the history cannot be read.
    """
    with alone(models):
        events = history(models)
        present = events[-1].digest if events else None
        if only_from_previous and event.previous != present:
            return False
        _append(models, events, event.model_copy(update={"previous": present}))
    return True


def _append(models: Path, events: list[Event], event: Event) -> None:
    entries = [entry.model_dump() for entry in (*events, event)]
    write_json(models / POINTER, {"champion": event.digest, "history": entries})
    LOG.info("champion: %s %s", event.digest[:16], event.event)


def strike(models: Path, bundles: Collection[str], runs: Collection[str]) -> int:
    """Strike out the switches to ``bundles``, and to those made of ``runs``; return how many these were.

    The champion is then the last of those that are left; where none is, there is no champion until one is promoted.

    Args:
        models: folder of the champions.
        bundles: the first 16 digits of their digests.
        runs: digests.

    Raises:
        ChampionError: the history cannot be read.
    """
    if not (bundles or runs) or not (models / POINTER).exists():
        return 0
    with alone(models):
        events = history(models)
        stay = [
            event
            for event in events
            if event.digest[:16] not in bundles and not any(made_of["run"] in runs for made_of in event.runs.values())
        ]
        befores = [None, *(event.digest for event in stay)]
        after = [event.model_copy(update={"previous": before}) for event, before in zip(stay, befores, strict=False)]
        if not after:
            (models / POINTER).unlink()
        elif len(stay) < len(events):
            _append(models, after[:-1], after[-1])
    return len(events) - len(stay)


@contextmanager
def alone(models: Path) -> Iterator[None]:
    """Hold the lock under which the history is read and written again; it ends with the process, however it ends."""
    make_folder(models)
    with os.fdopen(open_plain(models / LOCK, os.O_RDWR | os.O_CREAT), "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def rolled_back_from(events: list[Event]) -> set[str]:
    """Return the digests that were taken back and have not been made the champion since."""
    banned: set[str] = set()
    for event in events:
        if event.event == ROLLED_BACK and event.previous:
            banned.add(event.previous)
        banned.discard(event.digest)
    return banned


def roll_back(models: Path, to: str | None = None) -> Event:
    """Make an earlier champion the champion again: the one before the present one, or ``to`` (a digest's beginning).

    The bundle is verified first. What is rolled back from is not promoted again by itself.

    Raises:
        ChampionError: there is no such champion.
        BundleError: its bundle is damaged.
    """
    if not history(models):
        raise ChampionError("there is no champion, so none to roll back from")
    with alone(models):
        events = history(models)
        event = _way_back(models, events, to)
        _append(models, events, event)
    return event


def _way_back(models: Path, events: list[Event], to: str | None) -> Event:
    now = events[-1].digest
    if to is None:
        target = next(event.previous for event in reversed(events) if event.digest == now and event.event == PROMOTED)
        if target is None:
            raise ChampionError(f"{now[:16]} is the first champion: there is none before it to roll back to")
    else:
        matches = sorted({event.digest for event in events if event.digest.startswith(to)} - {now})
        if len(matches) != 1:
            known = ", ".join(sorted({event.digest[:16] for event in events} - {now[:16]})) or "none"
            raise ChampionError(f"{to!r} names {len(matches)} earlier champions; there are {known}")
        target = matches[0]
    verify(_bundle_of(models, target))
    runs = next(event.runs for event in reversed(events) if event.digest == target)
    why = [f"rolled back from {now[:16]}"]
    return Event(at=_now(), event=ROLLED_BACK, digest=target, previous=now, runs=runs, why=why)


def place(models: Path, digest: str, build: Callable[[Path], Any], accept: Callable[[Path], list[str]]) -> list[str]:
    """Let ``build`` fill a folder, and put it in its place if ``accept`` finds no fault; return the faults.

    A sound bundle of the same digest that is there already is accepted, or not, as it is; a damaged one is replaced.
    """
    folder = champion_folder(models, digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        if folder.exists() and verify(folder) == digest:
            return accept(folder)
    except BundleError as error:
        LOG.warning("A bundle made before is damaged and is made again: %s", error)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        build(new)
        faults = accept(new)
        if not faults:
            if folder.exists():
                shutil.move(folder, Path(temporary) / "damaged")
            new.rename(folder)
    return faults


def promotion(digest: str, previous: str | None, runs: Mapping[Target, dict[str, str]], why: list[str]) -> Event:
    """Return the event that makes ``digest`` the champion now."""
    return Event(at=_now(), event=PROMOTED, digest=digest, previous=previous, runs=dict(runs), why=why)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
