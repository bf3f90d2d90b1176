"""The page on which people judge recordings: what it is told, and what is done with what they say.

Belongs here: the answers to the page's script. Does not: what is asked of whom (donations/review.py), the page's words
and looks (templates/), and who may ask (access.py).

Whoever judges is told nothing of a recording but its sound: no score, no donor, no reason why it is asked for.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cry_pipeline.catalog import CatalogError, load_catalog
from cry_pipeline.corpus.filenames import REASONS
from cry_pipeline.quoting import shown
from cry_pipeline.serving.access import from_page, with_link
from cry_pipeline.serving.live import LOG, live_page
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    from cry_pipeline.donations.review import Asked

MOST_SHOWN = 20
"""Recordings that the page is told of at a time; whoever puts one off sees it again behind these."""
LEAST_HEARD_S = 0.5
"""Of a recording, before it can be said what it is: the shortest lasts a second."""
MOST_BYTES = 10_000
TOLD = tuple(reason for reason in REASONS.values() if reason != "unknown")
"""What a person may take a cry's reason for; who does not know says none."""
WRITING = threading.Lock()
"""Of two tabs that answer for the same recording at once, the second one finds it answered."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    who: str = Field(min_length=1, max_length=80)


class _Said(_Message):
    recording_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    verdict: Literal["cry", "not_cry", "unusable"]
    reason: str | None = None
    heard_s: float = Field(ge=0, le=86_400, allow_inf_nan=False)


class _RefusedError(ValueError):
    """What a person said is not taken; the message says why, ``status`` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@with_link
def review(request: Request) -> Response:
    """Answer with the page."""
    return live_page(request, "review", "Review", reasons=TOLD, least_heard_s=LEAST_HEARD_S)


@with_link
def waiting(request: Request) -> Response:
    """Answer with what the person who asks has to judge next, and how far they are."""
    settings: Settings = request.app.state.settings
    return _answered(lambda: _waiting(settings, _person(request.query_params.get("who", ""))))


@with_link
def recording(request: Request) -> Response:
    """Answer with a recording's picture."""
    from cry_pipeline.serving.spectrogram import picture_of

    settings: Settings = request.app.state.settings
    return _answered(lambda: picture_of(request.path_params["recording_id"], settings)._asdict())


@from_page
async def judgement(request: Request) -> Response:
    """Take a person's judgement, and answer with what is next."""
    return await _take(request, _Said, _judge)


@from_page
async def undoing(request: Request) -> Response:
    """Take a person's last judgement back, and answer with what is next: that recording."""
    return await _take(request, _Message, _undo)


async def _take(request: Request, form: type[BaseModel], work: Callable[[Settings, Any], dict[str, Any]]) -> Response:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return JSONResponse({"error": "That is too long."}, 413)
    try:
        message = form.model_validate_json(bytes(body))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "message"
        return JSONResponse({"error": f"{where}: {shown(fault['msg'])}"}, 422)

    def done() -> dict[str, Any]:
        with WRITING:
            return work(request.app.state.settings, message)

    return await run_in_threadpool(_answered, done)


def _judge(settings: Settings, said: _Said) -> dict[str, Any]:
    from cry_pipeline.donations.review import judge

    who = _person(said.who)
    queue = _queue(settings, who)
    if said.recording_id not in {each.recording_id for each in queue}:
        raise _RefusedError("This recording is not asked of you any more: here is the next one.", 409)
    if said.verdict != "unusable" and said.heard_s < LEAST_HEARD_S:
        raise _RefusedError("Listen first: a judgement without hearing is none.", 422)
    judge(
        settings,
        said.recording_id,
        said.verdict,
        who,
        heard_s=round(said.heard_s, 2),
        reason=said.reason,
        origin="page",
    )
    return _told(settings, who, [each for each in queue if each.recording_id != said.recording_id])


def _undo(settings: Settings, message: _Message) -> dict[str, Any]:
    from cry_pipeline.donations.review import undo

    who = _person(message.who)
    recording_id = undo(settings, who)
    if recording_id is None:
        raise _RefusedError("There is nothing to take back: you have judged nothing yet.", 409)
    found = _waiting(settings, who)
    others = [each for each in found["waiting"] if each != recording_id]
    return found | {"waiting": [recording_id, *others], "undone": recording_id}


def _queue(settings: Settings, who: str) -> list["Asked"]:
    from cry_pipeline.donations.review import queue

    return queue(settings, load_catalog(settings.catalog), who)


def _waiting(settings: Settings, who: str) -> dict[str, Any]:
    return _told(settings, who, _queue(settings, who))


def _told(settings: Settings, who: str, queue: list["Asked"]) -> dict[str, Any]:
    """Return of a person's queue, which is not asked for twice, what the page is told; never why it is asked for."""
    from cry_pipeline.corpus.judgements import latest_of_each, read_judgements

    done = int((latest_of_each(read_judgements(settings.judgements))["who"] == who).sum())
    return {"waiting": [each.recording_id for each in queue[:MOST_SHOWN]], "done": done, "left": len(queue)}


def _person(who: str) -> str:
    from cry_pipeline.corpus.judgements import Person

    try:
        return TypeAdapter(Person).validate_python(who.strip())
    except ValidationError:
        raise _RefusedError("Say who you are: a name of 1 to 80 letters.", 422) from None


def _answered(work: Callable[[], dict[str, Any]]) -> Response:
    """Return what ``work`` does as JSON, or why it could not."""
    from cry_pipeline.artefacts import DamagedFileError
    from cry_pipeline.corpus.judgements import JudgementError
    from cry_pipeline.secret import SecretError

    try:
        return JSONResponse(work(), headers={"cache-control": "no-store"})
    except _RefusedError as error:
        return JSONResponse({"error": str(error)}, error.status)
    except JudgementError as error:
        return JSONResponse({"error": shown(str(error))}, 422)
    except (DamagedFileError, CatalogError, SecretError, OSError) as error:
        LOG.warning("%s", shown(str(error)))
        return JSONResponse({"error": shown(str(error))}, 500)
