"""Small corpora in the real one's layout, and the real one's manifest."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from cry_pipeline.corpus import transfer
from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.download import fetch_corpus
from cry_pipeline.corpus.intake import Intake, seen_by, take_in
from cry_pipeline.corpus.manifest import Manifest, build_manifest
from cry_pipeline.corpus.sources import LAYOUT, NOBODY, Roots, take_inventory
from cry_pipeline.corpus.tombstones import Tombstones
from cry_pipeline_tests.corpus.archive_server import FILES, Server, serving

CLEANED, ANDROID, IOS = LAYOUT
DONOR = "0d1ad73e-4c5e-45f3-85c4-9a3cb71e8856"
RATE_HZ = 8000
LONG_AGO_S = 1_500_000_000


def only(table: pd.DataFrame) -> pd.Series:
    """The one row of a table."""
    assert len(table) == 1, table.to_string()
    return table.iloc[0]


def tone(seconds: float = 1.2, hz: float = 440.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A sine of amplitude 0.5, float32 ``[samples]``."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def age(path: Path) -> None:
    """Make a file old enough for its hash to be kept."""
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


def android(epoch_ms: int = 1_430_000_000_000, reason: str = "hu", donor: str = DONOR) -> str:
    """The stem of an Android upload."""
    return f"{donor}-{epoch_ms}-1.7-m-04-{reason}"


UPLOAD = f"corpus/{ANDROID}/{android()}.3gp"


class SmallCorpus:
    """A corpus and an inbox that a test fills file by file; every file sounds different unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.archive = Archive.open(str(folder / "archive"), self.cache)
        self.roots = Roots(folder / "corpus", folder / "inbox", self.archive)
        for name in (*(f"corpus/{layout}" for layout in LAYOUT), "inbox"):
            (folder / name).mkdir(parents=True)
        self._written = 0

    def write(self, path: str, samples: np.ndarray | None = None) -> Path:
        """Write a WAV file, whatever ``path`` ends in: libav goes by content."""
        self._written += 1
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        samples = tone(hz=300 + self._written) if samples is None else samples
        with file.open("wb") as opened:  # by itself it takes no name that is no UTF-8
            soundfile.write(opened, samples, RATE_HZ, format="WAV", subtype="PCM_16")
        age(file)
        return file

    def take_in(self, stones: Tombstones = NOBODY) -> Intake:
        """Move what can be used of the inbox to the archive."""
        return take_in(self.roots, self.cache, stones=stones)

    def inventory(self, stones: Tombstones = NOBODY) -> pd.DataFrame:
        """Take the inventory of what the last intake left of the inbox, and of all else."""
        return take_inventory(self.roots, self.cache, seen=seen_by(self.cache), stones=stones)

    def build(self, stones: Tombstones = NOBODY) -> Manifest:
        """Take in what is in the inbox, take the inventory and build the manifest, as an ingestion does."""
        self.take_in(stones)
        return build_manifest(self.inventory(stones), self.roots, self.cache)

    def refusals(self) -> dict[str, str]:
        """Build, and return the quarantine as {file name: reason}."""
        refused = self.build().quarantine
        return {Path(path).name: reason for path, reason in zip(refused["path"], refused["reason"], strict=True)}


@pytest.fixture
def small(tmp_path: Path) -> SmallCorpus:
    """An empty corpus and inbox."""
    return SmallCorpus(tmp_path)


@pytest.fixture(scope="session")
def real_manifest(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The manifest of the real corpus."""
    roots, cache = Roots(corpus), tmp_path_factory.mktemp("cache")
    return build_manifest(take_inventory(roots, cache), roots, cache, workers=2)


def write(file: Path, content: bytes) -> Path:
    """Write a file that is old enough for its hash to be kept."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    age(file)
    return file


@pytest.fixture
def filled(small: SmallCorpus) -> SmallCorpus:
    """One file of each source."""
    for number, path in enumerate([f"{CLEANED}/hungry/a.wav", f"{ANDROID}/b.3gp", f"{IOS}/c.caf"]):
        write(small.roots.corpus / path, bytes([number]))
    write(small.folder / "inbox" / "today" / "d.wav", b"inbox")
    return small


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of its own for each test, asked directly and without pauses between attempts."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_S", 0.0)
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 500)
    with serving() as state:
        yield state


@pytest.fixture
def hashes(tmp_path: Path) -> Path:
    """The list of hashes of FILES."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in FILES.items())
    path = tmp_path / "list.sha256"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def fetch(server: Server, hashes: Path, tmp_path: Path) -> Callable[[], Path]:
    """Fetch from ``server`` to ``tmp_path/corpora/corpus``."""
    return lambda: fetch_corpus(tmp_path / "corpora" / "corpus", url=server.url, hashes=hashes)
