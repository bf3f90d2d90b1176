"""The process that serves the site: real requests, a port that is taken, and how it ends."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from cry_pipeline_tests.processes import heed_ctrl_c
from cry_pipeline_tests.serving.sites import Site

COMMAND = [sys.executable, "-m", "cry_pipeline.command.main", "serve", "--port"]
Served = tuple[subprocess.Popen[str], int]


@pytest.fixture
def served(site: Site) -> Iterator[Served]:
    """The process that serves the site, and its port."""
    process = subprocess.Popen(
        [*COMMAND, "0"],
        env={**os.environ, "CRY_PIPELINE_DATA": str(site.settings.data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    with process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            assert said.startswith("The site is at http://127.0.0.1:"), said
            yield process, urlsplit(said.split()[-1]).port or 0
        finally:
            process.kill()


def test_a_browser_gets_pages_and_recordings_until_the_process_is_asked_to_end(site: Site, served: Served) -> None:
    process, port = served
    browser = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def get(path: str, **headers: str) -> tuple[int, bytes]:
        browser.request("GET", path, headers=headers)
        answer = browser.getresponse()
        return answer.status, answer.read()

    status, page = get("/experiments/a.html")
    assert status == 200
    assert b'class="served"' in page
    assert get(f"/recordings/{site.ids['packed']}.wav", Range="bytes=0-3") == (206, b"RIFF")
    for path in ("/../corpus.json", "/..%2fmanifests%2fcorpus.json", "/%2e%2e/manifests/corpus.json", "/%00"):
        assert get(path)[0] == 404
    second = subprocess.run([*COMMAND, str(port)], capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert f"error: another program listens on port {port}: choose another one with --port" in second.stderr
    process.send_signal(signal.SIGTERM)  # while the browser still holds its connection
    _, told = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert told.strip() == "Stopped: what was judged is kept; the same command serves the site again."
