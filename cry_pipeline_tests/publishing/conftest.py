"""Manifests to tell of: of a synthetic corpus, with donations that may be told of and that may not."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.intake import seen_by, take_in
from cry_pipeline.corpus.manifest import build_manifest, write_manifest
from cry_pipeline.corpus.resolution import ResolvedCorpus, write_resolution
from cry_pipeline.corpus.sources import Roots, take_inventory
from cry_pipeline.settings import Settings
from cry_pipeline_tests.hostile import HOSTILE

DONORS = [f"0a1b2c3d-0000-4000-8000-00000000000{digit}" for digit in range(4)]


def make_manifest(settings: Settings, corpus: Path) -> None:
    """Make the manifest of a corpus and of what is in the inbox."""
    settings.inbox.mkdir(parents=True, exist_ok=True)
    roots = Roots(corpus, settings.inbox, Archive.open(settings.archive, settings.cache))
    take_in(roots, settings.cache)
    inventory = take_inventory(roots, settings.cache, seen=seen_by(settings.cache))
    write_manifest(build_manifest(inventory, roots, settings.cache), settings.manifests)
    write_resolution(ResolvedCorpus(corpus, "configured", False, ""), settings.manifests)


def donate(inbox: Path, number: int, name: str = "cry.wav", channels: int = 1, **told: object) -> None:
    """Lay a donation by the donor of that number into ``inbox``, each in a folder of its own."""
    folder = inbox / str(number)
    folder.mkdir(parents=True)
    samples = np.random.default_rng(number).normal(0, 0.1, (12_000, channels))
    with (folder / name).open("wb") as file:
        soundfile.write(file, samples, 8000, format="WAV", subtype="PCM_16")
    sidecar = {"donor": DONORS[number], "recorded_at": "2026-01-02T03:04:05Z", "reason": "tired", **told}
    (folder / f"{name}.json").write_text(json.dumps(sidecar))


@pytest.fixture(scope="session")
def told(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A synthetic corpus, and donations: that may be told of, only be kept, with an odd name, stereo; to be read."""
    settings = Settings(data=tmp_path_factory.mktemp("told"))
    donate(settings.inbox, 0, consent_scope="training")
    donate(settings.inbox, 1, consent_scope="archive")
    donate(settings.inbox, 2, name=HOSTILE["an attribute"].replace("/", ""))
    donate(settings.inbox, 3, channels=2)
    make_manifest(settings, tiny_corpus)
    return settings
