"""Requests to the site without a network, and one who opened its link.

Belongs here: what is sent, and what comes back. Does not: what is expected.
"""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.applications import Starlette

from cry_pipeline.serving.app import site_app
from cry_pipeline_tests.serving.sites import Site

HOST = "127.0.0.1:3001"


class Answer(NamedTuple):
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


def scope_of(method: str, path: str, query: str, sent: dict[str, str]) -> dict[str, Any]:
    """Return a request as the server hands it on, its percent signs decoded."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items() if value],
        "server": ("127.0.0.1", 3001),
    }


async def answered(app: Starlette, scope: dict[str, Any], parts: Iterable[bytes] = (b"",)) -> Answer:
    """Return what ``app`` answers to a request whose body comes in ``parts``."""
    left, messages = list(parts), []

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0)
        part = left.pop(0) if left else b""
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    (start, *rest) = messages
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, b"".join(part.get("body", b"") for part in rest))


def ask(site: Site, path: str, *, method: str = "GET", host: str = HOST, asked: str = "", query: str = "") -> Answer:
    """Return what the site answers to a stranger's request for ``path``, and for the range ``asked``."""
    scope = scope_of(method, path, query, {"host": host, "range": asked})
    return asyncio.run(answered(site_app(site.settings), scope))


@dataclass
class Visitor:
    """A browser that has opened the link, at one of the site's pages."""

    app: Starlette

    @classmethod
    def of(cls, site: Site) -> "Visitor":
        """Return a browser that opens the link of ``site``."""
        return cls(site_app(site.settings))

    @property
    def sends(self) -> dict[str, str]:
        """What a browser sends from one of the pages."""
        access = self.app.state.access
        return {
            "host": HOST,
            "origin": f"http://{HOST}",
            "sec-fetch-site": "same-origin",
            "cookie": f"{access.cookie}={access.session}",
            "x-csrf-token": access.csrf,
        }

    def get(self, path: str, query: str = "") -> Answer:
        """Return the answer to a GET."""
        return asyncio.run(answered(self.app, scope_of("GET", path, query, self.sends)))

    def post(self, path: str, *parts: bytes, **headers: str) -> Answer:
        """Return the answer to a POST of a body in ``parts``; ``headers`` replace what is sent, "" leaves one out."""
        sent = self.sends | {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(answered(self.app, scope_of("POST", path, "", sent), parts or (b"",)))

    def say(self, path: str, **message: Any) -> Answer:
        """Return the answer to a message in JSON."""
        return self.post(path, json.dumps(message).encode())
