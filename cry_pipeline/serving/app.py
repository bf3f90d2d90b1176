"""What the site answers: pages, recordings, the way to an asset in the Dagster UI, and what people say and ask.

Belongs here: routes, headers, and to which names is answered. Does not: what is answered (pages.py, recordings.py,
review.py, listen.py, health.py), who may review and listen (access.py), nor listening on a port (server.py).

Reports have no password: the site listens on loopback only. A page of another site that a browser has open must not
read it either, so only a request to a name of this site is answered (a name that was rebound to 127.0.0.1 is none),
nothing is shared across origins, and no other page may frame or embed what is answered. Nothing is written but what a
person says of a recording.
"""

import logging
import re
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cry_pipeline.quoting import shown
from cry_pipeline.serving import listen, review
from cry_pipeline.serving.access import Access, TakesLink
from cry_pipeline.serving.health import health
from cry_pipeline.serving.pages import INDEX, NOTHING, NoPageError, notice, policy, read_page, served
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")

HEADERS = {
    "content-security-policy": NOTHING,
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every answer, unless it has another value."""
ASSET = re.compile(r"[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)*")
RECORDING = re.compile(r"[0-9a-f]{64}")
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def site_app(settings: Settings) -> Starlette:
    """Return the site of one installation as an ASGI application."""
    hosts = ["127.0.0.1", "localhost", urlsplit(settings.site_address).hostname or "localhost"]
    access = Access.of(settings)
    routes = [
        Route("/recordings/{recording_id}.wav", _recording),
        Route("/assets/{key:path}", _asset),
        Route("/health", health),
        Route("/review", review.review),
        Route("/review/waiting", review.waiting),
        Route("/review/recordings/{recording_id}", review.recording),
        Route("/review/judgements", review.judgement, methods=["POST"]),
        Route("/review/undo", review.undoing, methods=["POST"]),
        Route("/listen", listen.listen),
        Route("/listen/answer", listen.answer, methods=["POST"]),
        Route("/{page:path}", _page),
    ]
    middleware = [
        Middleware(_Headers),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(TakesLink, access=access),
    ]
    app = Starlette(routes=routes, middleware=middleware)
    app.state.settings, app.state.access = settings, access
    listen.listening_state(app.state, settings)
    return app


def _page(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    name = request.path_params["page"] or INDEX
    try:
        page, status = read_page(settings.reports, name), 200
    except NoPageError:
        page, status = _no_page(settings), 404
    return Response(
        served(page, name), status, {"content-security-policy": policy(page)}, media_type="text/html; charset=utf-8"
    )


def _no_page(settings: Settings) -> bytes:
    if (settings.reports / INDEX).exists():
        return notice("No such page", "The site has no page at this address. Its first page is at the address /.")
    return notice(
        "No report yet",
        "There is no report in this data folder yet. `cry-pipeline run` makes the reports (or materialize them in the "
        "Dagster UI); then load this page again.",
    )


def _asset(request: Request) -> Response:
    """Lead to the page of an asset in the Dagster UI, wherever that is."""
    settings: Settings = request.app.state.settings
    key = request.path_params["key"]
    if not ASSET.fullmatch(key):
        return PlainTextResponse("This is no asset's key.", 404)
    return RedirectResponse(f"{settings.ui_address}/assets/{key}", 302)


def _recording(request: Request) -> Response:
    """Answer with a recording, or the part of it that a player asks for."""
    # Tables and decoders: a site that nobody listens to does without.
    from cry_pipeline.serving.recordings import MEDIA_TYPE, RecordingError, recording_wav

    recording_id = request.path_params["recording_id"]
    if not RECORDING.fullmatch(recording_id):
        return PlainTextResponse("This is no recording's id.", 404)
    try:
        wav = recording_wav(recording_id, request.app.state.settings)
    except RecordingError as error:
        LOG.warning("%s", shown(str(error)))
        return PlainTextResponse(shown(str(error)), 404)
    # A recording may be withdrawn: no browser keeps it.
    headers = {"accept-ranges": "bytes", "cache-control": "no-store"}
    found = RANGE.fullmatch(request.headers.get("range", ""))
    if not found or not any(found.groups()):  # several parts, or what is no range: the whole answers both
        return Response(wav, 200, headers, MEDIA_TYPE)
    start, end = part(found[1], found[2], len(wav))
    if start >= end:
        return Response(b"", 416, headers | {"content-range": f"bytes */{len(wav)}"})
    headers["content-range"] = f"bytes {start}-{end - 1}/{len(wav)}"
    return Response(wav[start:end], 206, headers, MEDIA_TYPE)


def part(first: str, last: str, size: int) -> tuple[int, int]:
    """Return where the part of ``size`` bytes starts and ends (exclusive) that ``bytes=<first>-<last>`` asks for.

    One of the two is not empty: without ``first``, ``last`` is how many bytes at the end. Start is not below end where
    there is no such part.
    """
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


class _Headers:
    """Adds :data:`HEADERS` to every answer, also to those that refuse."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
