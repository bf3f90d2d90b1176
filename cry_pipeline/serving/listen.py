"""The page that says of a sound whether it is a cry: what it is told. What is sent to it is stored nowhere.

Belongs here: taking the bytes, and the champion that answers. Does not: the answer (inference/predict.py), the page's
words and looks (templates/), and who may ask (access.py).

The bytes of a file stay in this process's memory, and in that of the caged process that decodes them, until the answer
is given: no form is parsed, which would spool to a disk.
"""

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cry_pipeline.quoting import shown
from cry_pipeline.serving.access import from_page, with_link
from cry_pipeline.serving.live import LOG, live_page
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    from cry_pipeline.inference.predict import Prediction, Predictor

MOST_BYTES = 64_000_000
"""Of a file: ten minutes, the longest that decoding takes, are 58 MB at 48 kHz with 16 bits."""
MOST_S = 600
MOST_AT_ONCE = 3
"""Files that are taken and answered at a time: what each may take of memory, so many times."""
MOST_WAITING = 32
"""Others whose turn comes in the order in which they asked; nothing is taken of their files before."""
NAME = "This recording"


class TheChampion:
    """The champion's predictor: another one as soon as another is the champion, and never two at a time."""

    def __init__(self, models: Path) -> None:
        self.models = models
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._predictor: Predictor | None = None

    def predictor(self) -> "Predictor":
        """Return the predictor of the champion of now; opening one takes a second, asking which it is a millisecond.

        Raises:
            ChampionError, BundleError: there is none, or it is damaged. One that was open is closed then.
        """
        from cry_pipeline.inference.champions import current
        from cry_pipeline.inference.predict import Predictor

        with self._lock:
            try:
                folder = current(self.models)
                if self._predictor is None or folder != self._folder:
                    self._predictor = None
                    self._predictor, self._folder = Predictor(folder), folder
            except BaseException:
                self._predictor = None
                raise
            return self._predictor


@with_link
def listen(request: Request) -> Response:
    """Answer with the page."""
    return live_page(request, "listen", "Listen", most_bytes=MOST_BYTES, most_s=MOST_S)


@from_page
async def answer(request: Request) -> Response:
    """Answer with what the champion says of the body, an audio file."""
    state = request.app.state
    if state.listening >= MOST_AT_ONCE + MOST_WAITING:
        return _error("Others are being answered: try again in a moment.", 503)
    state.listening += 1
    try:
        async with state.turns:
            body = await _body(request)
            if body is None:
                return _error(f"The file has more than {MOST_BYTES // 1_000_000} MB.", 413)
            return await run_in_threadpool(_say, state.champion, body)
    finally:
        state.listening -= 1


async def _body(request: Request) -> bytes | None:
    """Return the whole body; None, and no more is read, where it has too many bytes or says so."""
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > MOST_BYTES:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _say(champion: TheChampion, data: bytes) -> Response:
    from cry_pipeline.corpus.audio import DecodeError
    from cry_pipeline.corpus.cage.decoder import CageError
    from cry_pipeline.inference.bundle import BundleError
    from cry_pipeline.inference.champions import ChampionError

    if not data:
        return _error("The file is empty.", 422)
    try:
        prediction = champion.predictor().predict_bytes(data, NAME)
    except DecodeError as error:
        return _error(shown(str(error)), 422)
    except (ChampionError, BundleError, CageError, OSError) as error:
        LOG.warning("%s", shown(str(error)))
        return _error(f"There is nobody to ask: {shown(str(error))}", 503)
    return JSONResponse(answer_of(prediction), headers={"cache-control": "no-store"})


def answer_of(prediction: "Prediction") -> dict[str, Any]:
    """Return a prediction as the page shows it: ``said`` is it a cry, and ``reason`` which, or why none is given."""
    said, _, reason = prediction.verdict.partition("; ")
    return {
        "is_cry": any(segment.is_cry for segment in prediction.segments),
        "cry_probability": prediction.cry_probability,
        "said": said,
        "reason": reason,
        "duration_s": prediction.duration_s,
        "segments": [
            {"start_s": each.start_s, "end_s": each.end_s, "probability": each.cry_probability, "is_cry": each.is_cry}
            for each in prediction.segments
        ],
        "bundle": prediction.bundle,
    }


def _error(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status)


def listening_state(app_state: Any, settings: Settings) -> None:
    """Give an application what this page keeps between two requests."""
    app_state.champion, app_state.listening = TheChampion(settings.models), 0
    app_state.turns = asyncio.Semaphore(MOST_AT_ONCE)
