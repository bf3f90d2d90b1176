"""What the corpus' tables must look like.

Belongs here: their schemas. Does not: making the tables (sources.py, manifest.py), and those of caches, which lie with
them (hashes.py, probing.py).
"""

from typing import get_args

import pandas as pd

from cry_pipeline.catalog.specs import Source
from cry_pipeline.corpus.filenames import AGE_BANDS, GENDERS, REASONS, ConsentScope
from cry_pipeline.corpus.quality import FLOOR_DBFS
from cry_pipeline.corpus.refusals import REFUSALS
from cry_pipeline.tables import FILLED, Schema, flag, instant, integer, number, sha256, text

_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

_FILE = {
    "source": text("where it comes from", among=get_args(Source)),
    "processing": text("raw upload or the curators' cleaned copy", among=["raw", "cleaned"]),
    "root": text("folder that path is relative to", among=["corpus", "inbox", "archive"]),
    "path": text("POSIX path of the file", matches=FILLED),
    "bytes": integer("size of the file", 0),
}

INVENTORY = Schema(
    "the inventory",
    {
        **{name: _FILE[name] for name in ("root", "path", "source", "processing", "bytes")},
        "sha256": sha256("sha256 of the file's bytes; none where they were not read", nullable=True),
        "sidecar": text("POSIX path of the file that tells of it", nullable=True),
        "sidecar_sha256": sha256(
            "sha256 of that file; in the archive, of all it tells but when it came", nullable=True
        ),
        "refused": text("why it is refused, in one word, if that is known by now", among=REFUSALS, nullable=True),
        "detail": text("the same in a sentence", nullable=True),
    },
    unique=["root", "path"],
)

QUARANTINE = Schema(
    "the quarantine",
    {
        **{name: _FILE[name] for name in ("root", "path", "source", "bytes")},
        "sha256": sha256("sha256 of the file's bytes; none where they were not read", nullable=True),
        "reason": text("why it was refused, in one word", among=REFUSALS),
        "detail": text("why it was refused, in a sentence", matches=FILLED),
    },
    unique=["root", "path"],
)


SCOPES: tuple[str, ...] = get_args(ConsentScope)
"""What a donor may agree to: that models are trained on a recording, only asked about it, or that it is kept."""
SAID = ("cry", "not_cry", "unusable")
"""What a judgement that counts may say; see judgements.py."""


def _same_donation(recordings: pd.DataFrame) -> "pd.Series[bool]":
    epoch_ms = recordings["recorded_at"].dt.as_unit("ms").astype("int64").astype(str)
    return recordings["donation_id"] == recordings["donor"] + ":" + epoch_ms


def _same_duration(recordings: pd.DataFrame) -> "pd.Series[bool]":
    return recordings["duration_s"] == recordings["samples"] / recordings["sample_rate_hz"]


RECORDINGS = Schema(
    "the manifest",
    {
        "recording_id": sha256("sha256 of the file's bytes"),
        "donation_id": text("donor and epoch in ms; an upload and its cleaned copy share it"),
        "donor": text("app-instance UUID: an install, not a baby", matches=_UUID),
        **_FILE,
        "name": text("the file's own name, as it came", matches=FILLED),
        "folder_label": text("folder of a cleaned file: the curators' label", nullable=True),
        "recorded_at": instant("when the app recorded it"),
        "platform": text("app or device that recorded it", matches=FILLED),
        "app_version": text("version of the app", nullable=True),
        "gender": text("of the baby", among=GENDERS.values(), nullable=True),
        "age_band": text("of the baby", among=AGE_BANDS.values(), nullable=True),
        "reason_code": text("the parents' guess, coded", among=REASONS),
        "reason": text("the parents' guess", among=REASONS.values()),
        "consent_scope": text("what a donation may be used for; none: training", among=SCOPES, nullable=True),
        "kept": flag("whether the curators kept the upload as a cry", nullable=True),
        "judgement": text("what people said of a donation after listening", among=SAID, nullable=True),
        "duration_s": number("length", 0),
        "sample_rate_hz": integer("of the file", 1),
        "samples": integer("decoded, per channel", 1),
        "samples_digest": sha256("sha256 of the decoded mono samples, float32, at the file's own rate"),
        "codec": text("libav's name of the decoder"),
        "channels": integer("of the file", 1),
        "peak": number("max |x|, full scale is 1", 0, 1),
        "rms_dbfs": number("10·log10(mean(x²))", FLOOR_DBFS, 0),
        "clipped_fraction": number("share of samples at full scale", 0, 1),
        "silent_fraction": number("share of 20 ms frames below -50 dBFS", 0, 1),
        "voiced_fraction": number("share of 40 ms frames with a pitch of 200-800 Hz; a heuristic", 0, 1),
    },
    unique=["recording_id"],
    rules={
        "donation_id is donor and epoch in ms": _same_donation,
        "duration_s is samples / sample_rate_hz": _same_duration,
    },
)
