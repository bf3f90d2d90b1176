"""Challengers that were refused: noted beside the champion, so that somebody sees that nothing changes any more.

Belongs here: the file of refusals, and whether the latest still stands. Does not: refusing (promotion.py), and saying
so (orchestration, reports).
"""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cry_pipeline.artefacts import MissingFileError, read_json, write_json
from cry_pipeline.inference.champions import ChampionError, alone
from cry_pipeline.targets import Target

REFUSALS = "refusals.json"
MOST = 200
"""Refusals that are kept, the latest; some years of them."""


class Refused(BaseModel):
    """A challenger, ``candidate``, that was held against ``champion`` (None: there was none), and ``why`` it was not
    promoted; ``runs`` by target, as of an event of the champion's history."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    at: str
    candidate: str
    champion: str | None
    runs: dict[Target, dict[str, str]]
    why: list[str]


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    standing: bool
    refusals: list[Refused]


def refusals(models: Path) -> list[Refused]:
    """Return all refusals that are kept, oldest first.

    Raises:
        ChampionError: the file is not what was written.
    """
    return _read(models).refusals


def standing(models: Path) -> Refused | None:
    """Return the latest refusal if nothing was promoted since, and the challenger of now is still that one."""
    content = _read(models)
    return content.refusals[-1] if content.standing and content.refusals else None


def note(
    models: Path, candidate: str, champion: str | None, runs: dict[Target, dict[str, str]], why: list[str]
) -> None:
    """Note that ``candidate`` is refused; the same refusal is noted once, however often it is repeated."""
    with alone(models):
        known = _read(models).refusals
        at = datetime.now(UTC).isoformat(timespec="seconds")
        now = Refused(at=at, candidate=candidate, champion=champion, runs=runs, why=why)
        if not known or known[-1].model_copy(update={"at": at}) != now:
            known = [*known, now][-MOST:]
        _write(models, _Content(standing=True, refusals=known))


def settle(models: Path) -> None:
    """Note that no refusal stands: the candidate is the champion."""
    with alone(models):
        content = _read(models)
        if content.standing:
            _write(models, content.model_copy(update={"standing": False}))


def _read(models: Path) -> _Content:
    path = models / REFUSALS
    try:
        content = read_json(path, "remove it: it is a record only, and the next refusal begins a new one")
        return _Content.model_validate({name: value for name, value in content.items() if name != "sealed"})
    except MissingFileError:
        return _Content(standing=False, refusals=[])
    except (OSError, ValueError) as error:
        raise ChampionError(f"{path} cannot be read ({' '.join(str(error).split())})") from None


def _write(models: Path, content: _Content) -> None:
    write_json(models / REFUSALS, content.model_dump(mode="json"))
