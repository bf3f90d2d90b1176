"""Made-up rows of an installation of any size: files, probes, features' indexes, predictions. There is no sound.

Belongs here: the rows that stages are given. Does not: the stages (stages.py), and measuring them (measuring.py).

They are as the corpus is: two uploads of three have a cleaned copy's name or none, a donor has four uploads on average
and sometimes many more, and most are hungry. No file is on the disk: what a listing would say of it is made up, and its
sha256 is that of its number. What it holds is in the cache of probes, so that nobody decodes it.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.filenames import REASONS
from cry_pipeline.corpus.listing import Found
from cry_pipeline.corpus.probing import KEPT, PROBES
from cry_pipeline.corpus.sources import CLEANED
from cry_pipeline.digests import canonical_json
from cry_pipeline.features.kinds import feature_set_digest, kept_kinds
from cry_pipeline.features.store.parts import FORMAT, part_name
from cry_pipeline.features.store.storage import INDEX, PARTS

if TYPE_CHECKING:
    from cry_pipeline.reports.material import Donations

RATE_HZ, SECONDS = 8000, 7
PART_ROWS = 256
"""Recordings of a part, as extraction makes them."""
FILES = 13
"""Files of a part besides its index."""
UPLOADS_PER_DONOR = 4.0
CODES = ("hu", "bu", "bp", "dc", "ti")
SHARES = (0.836, 0.02, 0.035, 0.06, 0.049)
"""Of the corpus' cleaned recordings."""
BEGAN = datetime(2014, 1, 1, tzinfo=UTC)
ANDROID = "donateacry-android-upload-bucket"
CLEANED_EVERY = 3
"""Of so many files one is the cleaned copy of the one before."""


def samples_of(name: str) -> str:
    """Return the made-up sha256 of what a recording's samples would be, or of a file of that name."""
    return hashlib.sha256(name.encode()).hexdigest()


def paths(rows: int) -> Iterator[str]:
    """Yield the path of each file in a corpus."""
    rng = np.random.default_rng(rows)
    sizes = rng.geometric(1 / UPLOADS_PER_DONOR, size=rows)
    owners = rng.permutation(np.repeat(np.arange(rows), sizes)[:rows])
    reasons = rng.choice(len(CODES), size=rows, p=SHARES)
    for number in range(rows):
        upload = number - (number % CLEANED_EVERY == CLEANED_EVERY - 1)
        donor, code = uuid.UUID(int=int(owners[upload]) + (1 << 127)), CODES[reasons[upload]]
        at = BEGAN + timedelta(seconds=upload)
        name = f"{donor}-{int(at.timestamp() * 1000)}-1.0-m-04-{code}"
        yield f"{ANDROID}/{name}.3gp" if upload == number else f"{CLEANED}/{REASONS[code]}/{name}.wav"


def found(rows: int, corpus: Path) -> Iterator[Found]:
    """Yield what a listing of the corpus would."""
    seconds = int(BEGAN.timestamp())
    times = {"st_mtime": float(seconds), "st_mtime_ns": seconds * 10**9, "st_ctime_ns": seconds * 10**9}
    for number, path in enumerate(paths(rows)):
        status = os.stat_result((0o100644, number, 1, 1, 0, 0, 50_000, seconds, seconds, seconds), times)
        yield Found(path, corpus / path, status)


def ids(rows: int) -> list[str]:
    """Return the ids of all recordings, rising."""
    return sorted(map(samples_of, paths(rows)))


def write_probes(cache: Path, names: Sequence[str]) -> None:
    """Write the cache of probes, as if all had been decoded."""
    rows, rng = len(names), np.random.default_rng(len(names))
    samples = RATE_HZ * SECONDS + rng.integers(0, RATE_HZ, rows)
    table = pd.DataFrame(
        {
            "sha256": names,
            "peak": rng.uniform(0.1, 1, rows),
            "rms_dbfs": rng.uniform(-60, -10, rows),
            "clipped_fraction": 0.0,
            "silent_fraction": rng.uniform(0, 0.5, rows),
            "voiced_fraction": rng.uniform(0, 1, rows),
            "duration_s": samples / RATE_HZ,
            "sample_rate_hz": RATE_HZ,
            "samples": samples,
            "samples_digest": [samples_of(name) for name in names],
            "codec": "pcm_s16le",
            "channels": 1,
            "reason": None,
            "detail": None,
        }
    )
    dtypes = {
        name: "str" if column.dtype == "string[pyarrow]" else column.dtype for name, column in KEPT.columns.items()
    }
    KEPT.write(cache / PROBES, table.astype(dtypes), keys.code_version("probe", None))


def write_index(root: Path, spec: FeatureSetSpec, names: Sequence[str]) -> None:
    """Write the ``part.json`` of the parts of a store that holds so many rows; their arrays are not there."""
    folder, feature_set = root / feature_set_digest(spec), feature_set_digest(spec)
    frames = spec.frames(RATE_HZ * SECONDS * spec.sample_rate_hz // RATE_HZ)
    for start in range(0, len(names), PART_ROWS):
        own = names[start : start + PART_ROWS]
        content = canonical_json(_index_of(spec, feature_set, own, frames)).encode()
        part = folder / PARTS / part_name(content)
        part.mkdir(parents=True)
        (part / INDEX).write_bytes(content)


def _index_of(spec: FeatureSetSpec, feature_set: str, own: Sequence[str], frames: int) -> dict[str, Any]:
    arrays = {
        name: {"shape": [len(own) * (frames if kind.rows == "frame" else 1), kind.width(spec)], "dtype": "float16"}
        for name, kind in kept_kinds(spec).items()
    }
    files = {f"{name}/zarr.json": "0" * 64 for name in arrays} | {f"{name}/c.0.0": "0" * 64 for name in arrays}
    files |= {f"file{number}": "0" * 64 for number in range(FILES - len(files))}
    return {
        "format": FORMAT,
        "feature_set": feature_set,
        "written_at": BEGAN.isoformat(timespec="seconds"),
        "writer": own[0][:32],
        "supersedes": [],
        "made_by": [{"cry_pipeline": "0"}],
        "recording_ids": list(own),
        "samples_digests": [samples_of(name) for name in own],
        "frames": [frames] * len(own),
        "arrays": arrays,
        "files": files,
        "sizes": dict.fromkeys(files, 1),
    }


def predictions_of(folds: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return predictions that are right more often than not, of every tested row of ``folds``."""
    rng = np.random.default_rng(len(folds))
    codes = pd.Index(classes).get_indexer(pd.Index(folds["label"]))
    logits = rng.normal(0, 1, (len(folds), len(classes)))
    logits[np.arange(len(folds)), codes] += 1
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return folds.assign(**{f"p_{name}": shares[:, code] for code, name in enumerate(classes)})


def became(recordings: pd.DataFrame) -> "Donations":
    """Return what became of all donations: a third of each decision, nobody's word, features in every set."""
    from cry_pipeline.corpus.judgements import COUNTING
    from cry_pipeline.reports.material import Donations
    from cry_pipeline.reports.schemas import DECISIONS

    names = recordings["recording_id"].tolist()
    triage = pd.DataFrame(
        {
            "recording_id": names,
            "bundle": "b" * 64,
            "score": np.linspace(0, 1, len(names)),
            "decision": [DECISIONS[number % len(DECISIONS)] for number in range(len(names))],
            "audit": False,
            "lower": 0.1,
            "upper": 0.9,
        }
    )
    arrived = pd.Series(recordings["recorded_at"].to_numpy(), index=names)
    return Donations(triage, COUNTING.table_of([]), arrived, dict.fromkeys(("mel64_8k", "mel128_8k"), names))


def featured(known: "Donations", names: Sequence[str]) -> "Donations":
    """Return ``known`` with features of ``names`` in two sets."""
    return replace(known, featured={"mel64_8k": names, "mel128_8k": names})


def as_if_donated(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return ``recordings`` as if all had come by the inbox."""
    return recordings.assign(source="inbox", root="archive").astype(recordings.dtypes.to_dict())
