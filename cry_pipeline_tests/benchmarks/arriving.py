"""What a donation costs in bytes: a week of them, taken in day by day by the job that the inbox sensor asks for.

Belongs here: making donations, and how archive, store and Dagster's records grow. Does not: how fast one is taken in.
"""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.orchestration.maintenance import House, maintain
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.retention import size
from cry_pipeline.settings import Settings
from cry_pipeline_tests.benchmarks.measuring import Figure
from cry_pipeline_tests.orchestration.installations import Installation

DAYS, A_DAY, VISITS = 7, 50, 1
"""Days, donations on each, and how often on each day some of them come at once."""
ALONE = 6
"""Donations that come one by one, so that each has a run of its own."""
FIRST_MS = 1_431_028_888_000
RATE_HZ, SECONDS = 8000, 7.0


def measures(folder: Path) -> Iterator[Figure]:
    """Yield what a week's donations leave, before and after the weekly maintenance, and what one visit takes."""
    corpus = generate_corpus(folder / "corpus", **TINY)
    settings = Settings(data=folder / "data", corpus=corpus, workers=1, accelerator="cpu")
    installation, each = Installation(settings), DAYS * A_DAY
    _take_in(installation)
    before, seconds = _sizes(settings), []
    for visit in range(DAYS * VISITS):
        _drop(settings.inbox, visit, A_DAY // VISITS)
        started = time.monotonic()
        _take_in(installation)
        seconds.append(time.monotonic() - started)
    grown = {name: (now - before[name]) / each for name, now in _sizes(settings).items()}
    yield Figure(f"one visit of {A_DAY // VISITS} donations, median", f"{np.median(seconds):.1f} s")
    yield from _told(grown, f"each of {each} donations, {A_DAY // VISITS} at a time")
    with installation.instance() as instance:
        maintain(House(load_catalog(), Workspace.of(settings), instance, change=True))
    kept = {name: (now - before[name]) / each for name, now in _sizes(settings).items()}
    yield from _told(kept, f"each of {each} donations, after the weekly maintenance")
    before = _sizes(settings)
    for visit in range(ALONE):
        _drop(settings.inbox, DAYS * VISITS + visit, 1)
        _take_in(installation)
    alone = {name: (now - before[name]) / ALONE for name, now in _sizes(settings).items()}
    yield from _told(alone, "a donation that comes alone")


def _told(sizes: dict[str, float], of: str) -> Iterator[Figure]:
    for name, size_bytes in sizes.items():
        yield Figure(f"{name}: bytes for {of}", f"{size_bytes / 1000:,.0f} kB")


def _take_in(installation: Installation) -> None:
    result = installation.run("ingest")
    if not result.success:
        raise RuntimeError(f"the ingestion failed: {result.run_id}")


def _sizes(settings: Settings) -> dict[str, int]:
    """Return the bytes of each place; of the store those that readers see: superseded parts go a day later."""
    stores = (FeatureStore.open(settings.features, spec) for spec in load_catalog().feature_sets.values())
    return {
        "archive": size(Path(settings.archive)),
        "store": sum(store.info().bytes for store in stores),
        "dagster_home": size(settings.dagster_home),
    }


def _drop(inbox: Path, visit: int, count: int) -> None:
    """Write ``count`` recordings of 7 s into the inbox, each of another donor."""
    rng = np.random.default_rng(visit)
    inbox.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        donor = uuid.UUID(bytes=rng.bytes(16), version=4)
        name = f"{donor}-{FIRST_MS + 1000 * (visit * count + number)}-1.7-f-04-hu.wav"
        soundfile.write(inbox / name, rng.normal(0, 0.1, int(SECONDS * RATE_HZ)), RATE_HZ, "PCM_16")
