"""Who may review and listen: whoever opened the link that `cry-pipeline serve` says, in a browser that remembers it.

Belongs here: the link's token, the cookie, and what a request that changes something must bring. Does not: what is
answered (app.py), nor the secret that all of these are hashed with (secret.py).

The token is this installation's, and stays the same: who reads its data folder can make it. Of the three hashes none
leads to another. A cookie belongs to all ports of a machine, so its name says which installation it is of.
"""

import hmac
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cry_pipeline.secret import keyed_hash, read_secret
from cry_pipeline.serving.live import notice_page
from cry_pipeline.settings import Settings

TOKEN, CSRF = "token", "x-csrf-token"
"""The name in the link, and the header of whatever changes something or brings a file."""
PURPOSE = "page"
NO_LINK = (
    "This page is for those who have the link. `cry-pipeline serve` and `cry-pipeline ui` say it: copy the whole of it "
    "into the address bar."
)
FOREIGN = "This did not come from this page, or the page is older than the server: load it again."
Endpoint = Callable[[Request], Awaitable[Response]]


class Access(NamedTuple):
    """What a link, a cookie, and a request that changes something are held against."""

    token: str
    cookie: str
    session: str
    csrf: str
    site: str

    @classmethod
    def of(cls, settings: Settings) -> "Access":
        """Return those of an installation; the first call makes its secret.

        Raises:
            SecretError: the secret is damaged.
            OSError: it cannot be made.
        """
        secret = read_secret(settings.secret)
        token, name, session, csrf = (keyed_hash(secret, PURPOSE, of) for of in ("link", "name", "session", "csrf"))
        return cls(token, f"cry_pipeline_{name[:8]}", session, csrf, settings.site_address)

    def link(self, address: str) -> str:
        """Return the address ``address`` with the token."""
        return f"{address}?{urlencode({TOKEN: self.token})}"

    def knows(self, request: Request) -> bool:
        """Whether the browser that asks has opened the link."""
        return hmac.compare_digest(request.cookies.get(self.cookie, "").encode(), self.session.encode())

    def comes_from_the_page(self, request: Request) -> bool:
        """Whether a page of this site asks, and not another one that the same browser has open."""
        said = request.headers.get(CSRF, "").encode()
        origin = urlsplit(request.headers.get("origin", ""))
        ours = {request.headers.get("host", ""), urlsplit(self.site).netloc}
        same = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        return same and bool(origin.netloc) and origin.netloc in ours and hmac.compare_digest(said, self.csrf.encode())


def with_link(work: Callable[[Request], Response]) -> Endpoint:
    """Return an endpoint that does ``work``, beside the others, for those who opened the link; others are told how."""

    @wraps(work)
    async def endpoint(request: Request) -> Response:
        return _refused(request) or await run_in_threadpool(work, request)

    return endpoint


def from_page(work: Endpoint) -> Endpoint:
    """Return an endpoint that does ``work`` for requests of the site's own pages; others are refused unread."""

    @wraps(work)
    async def endpoint(request: Request) -> Response:
        refused = _refused(request)
        if refused is None and not request.app.state.access.comes_from_the_page(request):
            refused = JSONResponse({"error": FOREIGN}, 403)
        return refused or await work(request)

    return endpoint


def _refused(request: Request) -> Response | None:
    if request.app.state.access.knows(request):
        return None
    if "text/html" in request.headers.get("accept", ""):
        return notice_page("The link is missing", NO_LINK, 403)
    return JSONResponse({"error": NO_LINK.replace("`", "")}, 403)


class TakesLink:
    """Takes the token out of any address that has it: a right one is remembered in a cookie, a wrong one refused."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in pairs if name == TOKEN]
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not tokens:
            await self.app(scope, receive, send)
            return
        answer = self._answer(scope, tokens, [pair for pair in pairs if pair[0] != TOKEN])
        await answer(scope, receive, send)

    def _answer(self, scope: Scope, tokens: list[str], others: list[tuple[str, str]]) -> Response:
        if len(tokens) > 1 or not hmac.compare_digest(tokens[0].encode(), self.access.token.encode()):
            return notice_page("The link is another installation's", NO_LINK, 403)
        # Relative, so that it holds behind a proxy that puts a folder in front, and leads to no other host.
        path = f"./{scope['path'].rpartition('/')[2]}"
        answer = RedirectResponse(f"{path}?{urlencode(others)}" if others else path, 303)
        secure = self.access.site.startswith("https://")
        answer.set_cookie(self.access.cookie, self.access.session, secure=secure, httponly=True, samesite="strict")
        return answer
