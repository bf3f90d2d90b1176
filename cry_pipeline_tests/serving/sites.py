"""Small sites: a page that plays recordings and leads to an asset, a first page, a manifest, and its files."""

import hashlib
import io
import shutil
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile
from jinja2 import Environment, PackageLoader

from cry_pipeline.artefacts import write_html, write_table
from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.judgements import now
from cry_pipeline.corpus.resolution import ResolvedCorpus, write_resolution
from cry_pipeline.donations.samples import Drawn, Sample, write_sample
from cry_pipeline.features.kinds import kept_kinds
from cry_pipeline.features.store.rows import stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.inference.bundle import write_manifest
from cry_pipeline.inference.champions import champion_folder, promotion, switch
from cry_pipeline.reports.pages import fill
from cry_pipeline.settings import Settings

SAMPLES = np.random.default_rng(0).integers(-(2**15), 2**15, 12_000).astype("<i2")
RATE_HZ = 8000
SAMPLES_DIGEST = "5" * 64
BUNDLE = Path(__file__).parents[1] / "data" / "bundle_format_1"
PLACES = {"plain": ("corpus", "plain.wav"), "packed": ("corpus", "a b.flac"), "donated": ("inbox", "donated.wav")}


class Site(NamedTuple):
    """The settings of an installation, where its corpus lies, and the ids of its recordings by what they are."""

    settings: Settings
    corpus: Path
    ids: dict[str, str]


def make_site(settings: Settings, corpus: Path) -> Site:
    """Write pages, manifest and recordings: those of PLACES, each SAMPLES rolled by its number."""
    folders = {"corpus": corpus, "inbox": settings.inbox}
    rows = []
    for number, (root, path) in enumerate(PLACES.values()):
        folders[root].mkdir(parents=True, exist_ok=True)
        soundfile.write(folders[root] / path, np.roll(SAMPLES, number), RATE_HZ, subtype="PCM_16")
        recording_id = hashlib.sha256((folders[root] / path).read_bytes()).hexdigest()
        told = {"consent_scope": None, "duration_s": SAMPLES.size / RATE_HZ, "samples_digest": SAMPLES_DIGEST}
        rows.append({"recording_id": recording_id, "root": root, "path": path, **told})
    write_table(settings.manifests / "recordings.parquet", pd.DataFrame(rows), "0")
    write_resolution(ResolvedCorpus(corpus, "configured", False, ""), settings.manifests)
    ids = {name: row["recording_id"] for name, row in zip(PLACES, rows, strict=True)}
    write_html(settings.reports / "index.html", page("index.html", "", []), "1")
    write_html(settings.reports / "experiments" / "a.html", page("a.html", "../", [ids["plain"], ids["packed"]]), "2")
    return Site(settings, corpus, ids)


def promoted(settings: Settings, digest: str) -> Path:
    """Make a bundle of the name ``digest`` the champion, and return its folder."""
    folder = champion_folder(settings.models, digest)
    shutil.copytree(BUNDLE, folder)
    (folder / "manifest.json").unlink()
    write_manifest(folder, digest, {"cry_pipeline": "0.1.0", "experiments": {"cry": "x", "reason": "y"}})
    switch(settings.models, promotion(digest, None, {"cry": {"experiment": "x", "run": digest}}, ["because"]))
    return folder


def store_features(site: Site, spec: FeatureSetSpec, frames: int) -> None:
    """Keep features of every recording, as many ``frames`` of each, a rising tone."""
    for recording_id in site.ids.values():
        arrays = {
            name: np.ones((kind.width(spec),) if kind.rows == "recording" else (frames, kind.width(spec)), kind.dtype)
            for name, kind in kept_kinds(spec).items()
        }
        arrays["mel"][np.arange(frames), np.arange(frames) * spec.mels // frames] = 40
        rows = stack_rows({recording_id: arrays}, [SAMPLES_DIGEST])
        FeatureStore.open(site.settings.features, spec).write(rows)


def draw_all(site: Site) -> None:
    """Draw every recording into a sample, so that everybody is asked for all of them."""
    drawn = [
        Drawn(recording_id=recording_id, donor="d", label="cry", score=0.123, why="random", weight=1)
        for recording_id in site.ids.values()
    ]
    sample = Sample(name="all", at=now(), experiment="e", run="r", seed=0, recordings=3, drawn=tuple(drawn))
    write_sample(site.settings.judgements, sample)


def page(name: str, root: str, recordings: list[str]) -> str:
    """Return a page as the reports have them, that plays ``recordings`` and leads to an asset."""
    macros = Environment(loader=PackageLoader("cry_pipeline.reports"), autoescape=True).get_template("macros.html.j2")
    shown = [getattr(macros.module, "player")(root, recording_id) for recording_id in recordings]  # noqa: B009
    link = f'<a class="only-served" href="{root}assets/evidence/a">asset</a>'
    base = fill("base.html.j2", page=name, root=root, title="A site", synthetic=False)
    return base.replace("</main>", f"{link}{''.join(shown)}</main>")


def samples_of(wav: bytes) -> tuple[np.ndarray, int]:
    """Return the samples of a WAV of 16 bits and one channel, and its rate."""
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()
