"""A server on 127.0.0.1 that serves an archive of a few files as GitHub would, or as badly as a test tells it to.

Belongs here: the server and the archive. Does not: what is expected of who fetches from it.
"""

import hashlib
import io
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOP = "donateacry-corpus-6baf5ac"
FILES = {
    "README.md": b"about",
    "donateacry-android-upload-bucket/a.3gp": bytes(range(256)) * 40,
    "donateacry-ios-upload-bucket/b.caf": b"b" * 5000,
    "donateacry_corpus_cleaned_and_updated_data/hungry/a.wav": b"a" * 9000,
}


def archive(files: dict[str, bytes] = FILES, top: str = TOP) -> bytes:
    """A zip of the shape that GitHub makes: everything in one folder, folders as entries of their own."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.mkdir(top)
        for path, data in files.items():
            packed.writestr(f"{top}/{path}", data)
    return content.getvalue()


@dataclass
class Server:
    """What a server on 127.0.0.1 answers, and what it was asked for."""

    port: int
    content: bytes = field(default_factory=archive)
    status: int = 200
    honours_range: bool = True
    wrong_range: bool = False
    says_length: bool = True
    says: dict[str, str] = field(default_factory=dict)  # headers in place of the honest ones
    etag: str = '"one"'
    honours_if_range: bool = True
    redirects: list[str] = field(default_factory=list)  # where to, for one answer after another
    endless: bytes = b""  # sent again and again in place of the content
    pause_s: float = 0.0  # between two bytes of the content
    breaks_off_after: list[int] = field(default_factory=list)  # bytes, for one answer after another
    ranges: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the archive is."""
        return f"http://127.0.0.1:{self.port}/archive.zip"


class Handler(BaseHTTPRequestHandler):
    """Serves ``state.content`` as ``state`` says."""

    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        """Answer with the archive, its rest, or as badly as told."""
        asked = self.headers.get("Range")
        self.state.ranges.append(asked)
        if self.state.redirects:
            self.send_response(302)
            self.send_header("Location", self.state.redirects.pop(0))
            self.send_header("Connection", "close")
            self.end_headers()  # and a body until the connection ends
            with suppress(ConnectionError):
                while self.state.endless:
                    self.wfile.write(self.state.endless)
            return
        same = self.headers.get("If-Range") in (None, self.state.etag) or not self.state.honours_if_range
        start = int(re.findall(r"\d+", asked)[0]) if asked and same and self.state.honours_range else 0
        content = self.state.content[start:]
        beyond = start > 0 and not content
        self.send_response(416 if beyond else self.state.status if not start else 206)
        if start:
            self.send_header("Content-Range", f"bytes {start + self.state.wrong_range}-{len(self.state.content) - 1}/*")
        chunked = not self.state.says_length
        said = {"ETag": self.state.etag, "Connection": "close"}
        said |= {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(content))}
        for name, value in (said | self.state.says).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the client had enough
            self._send(content, chunked)

    def _send(self, content: bytes, chunked: bool) -> None:
        while self.state.endless:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(self.state.endless), self.state.endless))
        while self.state.pause_s and content:
            self.wfile.write(content[:1])
            content = content[1:]
            time.sleep(self.state.pause_s)
        if self.state.breaks_off_after:
            content, chunked = content[: self.state.breaks_off_after.pop(0)], False
            if not self.state.says_length:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
                return
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if chunked else content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until the end of the block."""
    handler = type("OwnHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        handler.state = Server(running.server_port)
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield handler.state
        running.shutdown()


def nothing_is_left(tmp_path: Path) -> bool:
    """Whether neither a corpus nor anything half done lies where the corpus should."""
    return list((tmp_path / "corpora").iterdir()) == []


def part_of(tmp_path: Path, server: Server) -> Path:
    """Where an interrupted transfer from ``server`` is kept."""
    return tmp_path / "corpora" / f".corpus-{hashlib.sha256(server.url.encode()).hexdigest()[:8]}.zip.part"
