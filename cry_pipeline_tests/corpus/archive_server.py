"""A server on 127.0.0.1 that serves an archive of a few files as GitHub would, or as badly as a test tells it to.

Belongs here: the server and the archive. Does not: what is expected of who fetches from it.
"""

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.state.honours_range else 0
        content = self.state.content[start:]
        beyond = start > 0 and not content
        self.send_response(416 if beyond else self.state.status if not start else 206)
        if start:
            self.send_header("Content-Range", f"bytes {start + self.state.wrong_range}-{len(self.state.content) - 1}/*")
        chunked = not self.state.says_length
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(content)))))
        self.send_header("Connection", "close")
        self.end_headers()
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
