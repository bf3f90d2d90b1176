"""What each file holds, decoded once: measures, or why it cannot be used, cached by the sha256 of its bytes.

Belongs here: decoding and measuring many files, and the cache. Does not: names, duplicates and thresholds
(manifest.py): a probe depends on nothing but the file's bytes and this code.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import is_current, write_table
from cry_pipeline.corpus.decoding import DecodeError, decode_bytes
from cry_pipeline.corpus.quality import Quality, measure
from cry_pipeline.progress import track

LOG = logging.getLogger("cry_pipeline")

PROBES = "probes.parquet"


class StaleInventoryError(RuntimeError):
    """A file is not what the inventory says it is; a new inventory is needed."""


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be used: one of schemas.REFUSALS, and a sentence."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Probe(Quality):
    """What one file holds; ``samples`` per channel, and ``samples_digest`` of what was decoded of them."""

    duration_s: float
    sample_rate_hz: int
    samples: int
    samples_digest: str
    codec: str
    channels: int


TYPES = {"str": "str", "int": "Int64", "float": "float64"}
COLUMNS = {field.name: TYPES[getattr(field.type, "__name__", str(field.type))] for field in fields(Probe)}


def samples_digest(samples: np.ndarray) -> str:
    """Return the sha256, as 64 hex digits, of mono ``samples`` ``[samples]`` as little-endian float32.

    A decoder that comes to the same samples changes nothing that is made of them; one that does not shows here.
    """
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<f4").data).hexdigest()


def probe_files(files: Mapping[str, Path], cache: Path, workers: int = 1) -> tuple[dict[str, Probe | Refusal], int]:
    """Probe ``files``, given by the sha256 of their bytes, in ``workers`` threads; libav and numpy free the GIL.

    Returns the probes and how many were computed; the others came from ``cache/probes.parquet``, which is made
    again where it is damaged or of another revision. What was computed is kept even if a later file fails.

    Raises:
        StaleInventoryError: a file that has to be read is gone or has other bytes.
    """
    known = _read_cache(cache / PROBES)
    missing = [item for item in files.items() if item[0] not in known]
    fresh: dict[str, Probe | Refusal] = {}
    try:
        with ThreadPoolExecutor(workers) as pool:
            for sha256, outcome in track(pool.map(_probe, missing), "probing", total=len(missing)):
                fresh[sha256] = outcome
    finally:
        if fresh:
            _write_cache(cache / PROBES, known | fresh)
    return {sha256: fresh.get(sha256) or known[sha256] for sha256 in files}, len(fresh)


def _probe(item: tuple[str, Path]) -> tuple[str, Probe | Refusal]:
    sha256, path = item
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StaleInventoryError(f"{path} cannot be read ({error.strerror}): take the inventory again") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StaleInventoryError(f"{path} has changed since the inventory was taken: take it again")
    try:
        audio = decode_bytes(data)
    except DecodeError as error:
        return sha256, Refusal(error.reason, f"The file {error}.")
    samples = audio.samples.size
    return sha256, Probe(
        **asdict(measure(audio.samples, audio.sample_rate_hz)),
        duration_s=samples / audio.sample_rate_hz,
        sample_rate_hz=audio.sample_rate_hz,
        samples=samples,
        samples_digest=samples_digest(audio.samples),
        codec=audio.codec,
        channels=audio.channels,
    )


def _read_cache(path: Path) -> dict[str, Probe | Refusal]:
    if not is_current(path, keys.code_version("probe", None)):
        if path.exists():
            LOG.warning("%s is damaged or of another revision: all files are decoded again", path)
        return {}
    return {row.pop("sha256"): _outcome(row) for row in pd.read_parquet(path).to_dict("records")}


def _outcome(row: dict) -> Probe | Refusal:
    reason, detail = row.pop("reason"), row.pop("detail")
    return Refusal(reason, detail) if isinstance(reason, str) else Probe(**row)


def _write_cache(path: Path, outcomes: Mapping[str, Probe | Refusal]) -> None:
    rows: Iterable[dict] = ({"sha256": sha256, **asdict(outcome)} for sha256, outcome in sorted(outcomes.items()))
    types = {"sha256": "str", **COLUMNS, "reason": "str", "detail": "str"}
    write_table(path, pd.DataFrame(list(rows), columns=list(types)).astype(types), keys.code_version("probe", None))
