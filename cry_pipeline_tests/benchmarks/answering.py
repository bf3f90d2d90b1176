"""How soon the champion answers: the command from its start, each file of many, and the page with eight who ask.

Belongs here: what is asked of the champion of CRY_PIPELINE_DATA, which `make run` makes. Does not: how good it is.
"""

import http.client
import io
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile

from cry_pipeline.inference.champions import ChampionError, current
from cry_pipeline.serving.access import CSRF, Access
from cry_pipeline.settings import load_settings
from cry_pipeline_tests.benchmarks.measuring import Figure, median_s

COMMAND = str(Path(sys.executable).with_name("cry-pipeline"))
STARTS, FILES = 5, 50
REQUESTS, CLIENTS, SECONDS = 100, 8, 7.0
RATE_HZ = 8000


def measures(folder: Path) -> Iterator[Figure]:
    """Yield all figures of this room; none, with the reason, where there is no champion."""
    folder.mkdir()
    try:
        current(load_settings().models)
    except ChampionError as error:
        yield Figure("answers of the champion", f"not measured: {error}")
        return
    files = [folder / f"{number}.wav" for number in range(FILES)]
    for number, path in enumerate(files):
        path.write_bytes(_sound(number))
    one = median_s(lambda _: _predict(files[:1]), STARTS)
    many = median_s(lambda _: _predict(files), STARTS)
    nothing = median_s(lambda _: subprocess.run([sys.executable, "-c", "pass"], check=True), STARTS)
    yield Figure("`cry-pipeline predict` of one file of 7 s", f"{one:.2f} s (Python alone {nothing:.2f} s)")
    yield Figure(f"… each further file, of {FILES}", f"{1e3 * (many - one) / (FILES - 1):.1f} ms")
    with _served() as address:
        yield from _asked(address, [path.read_bytes() for path in files])


def _sound(number: int) -> bytes:
    rng, file = np.random.default_rng(number), io.BytesIO()
    soundfile.write(file, rng.normal(0, 0.1, int(SECONDS * RATE_HZ)), RATE_HZ, "PCM_16", format="WAV")
    return file.getvalue()


def _predict(files: list[Path]) -> None:
    subprocess.run([COMMAND, "predict", "--json", *map(str, files)], check=True, capture_output=True)


@contextmanager
def _served() -> Iterator[str]:
    """Give the address of the page, in a process of its own."""
    command, environment = [COMMAND, "serve", "--port", "0"], os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as page:
        try:
            assert page.stdout
            yield next(found[0] for line in page.stdout if (found := re.search(r"http://[\d.]+:\d+/", line)))
        finally:
            page.terminate()


def _asked(address: str, sounds: list[bytes]) -> Iterator[Figure]:
    access, host = Access.of(load_settings()), urlsplit(address).netloc
    headers = {"cookie": f"{access.cookie}={access.session}", CSRF: access.csrf, "origin": address.rstrip("/")}

    def ask(number: int) -> float:
        started = time.perf_counter()
        connection = http.client.HTTPConnection(host)
        connection.request("POST", "/listen/answer", sounds[number % len(sounds)], headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {said!r}")
        connection.close()
        return time.perf_counter() - started

    ask(0)
    alone = statistics.median(ask(number) for number in range(20))
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        taken = list(clients.map(ask, range(REQUESTS)))
    rate = REQUESTS / (time.perf_counter() - started)
    middle, late = np.percentile(taken, [50, 99])
    yield Figure("the page's answer to 7 s, warm, one client", f"{1e3 * alone:.0f} ms")
    yield Figure(
        f"… {REQUESTS} requests of {CLIENTS} clients",
        f"p50 {1e3 * middle:.0f} ms, p99 {1e3 * late:.0f} ms; {rate:.0f} answers/s",
    )
