"""Whole files to be damaged, made on the fly: every target's, by a label.

Belongs here: making them. Does not: damaging them (mutating.py), and reading them (targets.py).

What makes them is imported where it is used: the process that reads them starts in a fraction of the time.
"""

import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SECONDS = 0.25
DONOR = "0d1ad73e-4c5e-45f3-85c4-9a3cb71e8856"
NAMES = (
    f"{DONOR}-1430000000000-1.7-m-04-hu.3gp",
    f"{DONOR.upper()}-1430000000-1.7-f-72-bp.caf",
    "baby.wav",
    "b\u00e9b\u00e9 \U0001f476.m4a",
    "a" * 250 + ".wav",
)
BITEXACT = {"fflags": "+bitexact"}

Seeds = dict[str, bytes]


@cache
def voice(rate_hz: int) -> "np.ndarray":
    """A cry of the synthetic corpus, float32 ``[samples]``."""
    import numpy as np

    from cry_pipeline.corpus.synthetic.voices import cry, draw_voice

    rng = np.random.default_rng(12)
    return cry(draw_voice(rng), SECONDS, rate_hz, rng).astype(np.float32)


def _stereo(rate_hz: int) -> "np.ndarray":
    import numpy as np

    return np.stack([voice(rate_hz), voice(rate_hz) / 2], axis=1)


def _by_libav(container: str, codec: str, rate_hz: int = 8000, **options: str) -> bytes:
    from cry_pipeline_tests.corpus.audio_files import encoded

    return encoded(container, codec, voice(rate_hz), rate_hz, **BITEXACT, **options)


def _by_libsndfile(sound: "np.ndarray", **kind: str) -> bytes:
    from cry_pipeline_tests.corpus.audio_files import wav

    return wav(sound, 8000, **kind)


def _amr(*, in_3gp: bool) -> bytes:
    from cry_pipeline_tests.corpus.audio_files import AMR_SECOND, amr, amr_3gp

    return (amr_3gp if in_3gp else amr)(AMR_SECOND[: 13 * 20])


CONTAINERS: dict[str, Callable[[], bytes]] = {
    "wav": lambda: _by_libsndfile(voice(8000)),
    "wav-24": lambda: _by_libsndfile(_stereo(8000), subtype="PCM_24"),
    "wav-float": lambda: _by_libsndfile(voice(8000), subtype="FLOAT"),
    "wav-ulaw": lambda: _by_libsndfile(voice(8000), subtype="ULAW"),
    "wav-adpcm": lambda: _by_libsndfile(voice(8000), subtype="IMA_ADPCM"),
    "rf64": lambda: _by_libsndfile(voice(8000), container="RF64"),
    "aiff": lambda: _by_libsndfile(_stereo(8000), container="AIFF"),
    "caf-adpcm": lambda: _by_libav("caf", "adpcm_ima_qt", 16_000),
    "caf-alac": lambda: _by_libsndfile(voice(8000), container="CAF", subtype="ALAC_16"),
    "flac": lambda: _by_libsndfile(_stereo(8000), container="FLAC"),
    "mp3": lambda: _by_libav("mp3", "libmp3lame", 16_000),
    "mp3-bare": lambda: _by_libav("mp3", "libmp3lame", 44_100, write_xing="0"),
    "aac": lambda: _by_libav("adts", "aac", 16_000),
    "amr-nb": lambda: _amr(in_3gp=False),
    "3gp": lambda: _amr(in_3gp=True),
    "m4a": lambda: _by_libav("ipod", "aac", 16_000),
    "mp4-fragments": lambda: _by_libav("mp4", "aac", 16_000, movflags="frag_keyframe+empty_moov"),
    "mov": lambda: _by_libav("mov", "pcm_s16le"),
    "ogg-vorbis": lambda: _by_libsndfile(voice(8000), container="OGG", subtype="VORBIS"),
    "ogg-flac": lambda: _by_libav("ogg", "flac"),
    "opus": lambda: _by_libav("ogg", "libopus", 48_000),
    "webm": lambda: _by_libav("webm", "libopus", 48_000),
    "mkv-aac": lambda: _by_libav("matroska", "aac", 16_000),
    "mkv-flac": lambda: _by_libav("matroska", "flac"),
    "mka-mp3": lambda: _by_libav("matroska", "libmp3lame", 16_000),
}
"""Each kind of container that is read, with each codec that phones write into it."""


def containers() -> Seeds:
    """Return a sound file of each kind."""
    return {kind: make() for kind, make in CONTAINERS.items()}


def names() -> Seeds:
    """Return names of recordings."""
    return {str(number): name.encode() for number, name in enumerate(NAMES)}


def sidecars() -> Seeds:
    """Return sidecars: as told by an app, as an editor on Windows keeps them, and one with all keys."""
    told = {"donor": DONOR, "recorded_at": "2026-01-02T03:04:05Z", "platform": "ios", "reason": "tired"}
    more = told | {"app_version": "1.7", "gender": "female", "age_band": "0-4 weeks", "reason_code": "ti"}
    texts = {"told": json.dumps(told), "indented": json.dumps(more, indent=2)}
    return {name: text.encode() for name, text in texts.items()} | {"utf-16": json.dumps(told).encode("utf-16")}


def catalog() -> Seeds:
    """Return the packaged catalog's files, and one that uses what YAML offers."""
    from cry_pipeline.catalog.loading import PACKAGED, SECTIONS

    files = {section: (PACKAGED / f"{section}.yaml").read_bytes() for section in SECTIONS}
    fancy = "a: &a {x: 1, y: [1, 2.5, ~, true]}\nb: {<<: *a, z: !!str 3}\nc: |\n  text\nd: [*a, *a]\n? e\n: 'f'\n"
    return files | {"fancy": fancy.encode()}


def tables() -> Seeds:
    """Return an inventory, a quarantine, and tables of others in their place: sealed by us, and not."""
    import pandas as pd

    from cry_pipeline import artefacts
    from cry_pipeline.corpus.schemas import INVENTORY, QUARANTINE

    file = {"root": "inbox", "path": f"a/{NAMES[0]}", "source": "inbox", "bytes": 4044, "sha256": "0" * 64}
    ours = {
        "inventory": (INVENTORY, file | dict.fromkeys(("sidecar", "sidecar_sha256", "refused", "detail"))),
        "quarantine": (QUARANTINE, file | {"reason": "truncated", "detail": "It ends early."}),
    }
    foreign, plain = pd.DataFrame({"path": [1], "sha256": [None]}), io.BytesIO()
    foreign.to_parquet(plain)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "table.parquet"
        made: Seeds = {"unsealed": plain.getvalue()}
        for name, (schema, row) in ours.items():
            schema.write(path, schema.table_of([row | {"processing": "raw"}]), "0" * 64)
            made[name] = path.read_bytes()
        artefacts.write_table(path, foreign, "0" * 64)
        return made | {"foreign": path.read_bytes()}


def sealed_json() -> Seeds:
    """Return a JSON file with its seal."""
    from cry_pipeline import artefacts

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "evidence.json"
        artefacts.write_json(path, {"digest": "0" * 64, "metrics": {"uar": [0.2, 0.1, 0.3]}, "verdict": "\u00fcber"})
        return {"evidence": path.read_bytes()}


def checkpoints() -> Seeds:
    """Return a fitted model's file."""
    import numpy as np

    from cry_pipeline.training.checkpoints import Checkpoint, write_checkpoint

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.safetensors"
        tensors = {"weights": np.ones((3, 4), np.float32), "calibration.slope": np.ones(1)}
        write_checkpoint(path, Checkpoint("majority", ("hungry", "tired"), {"kind": "majority"}, tensors))
        return {"majority": path.read_bytes()}


def bundle() -> Seeds:
    """Return the files of a bundle, by their paths in it; its graph is none, nobody looks into it before it is run."""
    from cry_pipeline.inference.bundle import write_manifest

    contents = {
        "model.onnx": b"a graph " * 40,
        "weights.safetensors": checkpoints()["majority"],
        "feature_spec.json": json.dumps({"sample_rate_hz": 8000}).encode(),
        "labels.json": json.dumps({"target": "cry", "classes": ["not_cry", "cry"], "min_duration_s": 1.0}).encode(),
        "calibration.json": json.dumps(
            {"method": "platt", "slopes": [1.0], "intercepts": [[0.0, 0.1]], "threshold": 0.5}
        ).encode(),
        "evidence.json": json.dumps({"verdict": "above chance", "sentence": "It is.", "synthetic": True}).encode(),
        "provenance.json": b"{}",
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "cry").mkdir()
        for name, content in contents.items():
            (folder / "cry" / name).write_bytes(content)
        write_manifest(folder, "0" * 64, {"cry_pipeline": "1"})
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
