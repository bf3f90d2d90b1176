"""What each file holds, decoded once: measures, or why it cannot be used, cached by the sha256 of its bytes.

Belongs here: decoding and measuring many files, and the cache. Does not: names, duplicates and thresholds
(manifest.py): a probe depends on nothing but the file's bytes and this code.
"""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.corpus.audio import DecoderCrashedError, DecoderMemoryError, DecoderTimeoutError
from cry_pipeline.corpus.cage.decoder import CageError
from cry_pipeline.corpus.cage.pool import stop as stop_decoders
from cry_pipeline.corpus.decoding import DecodeError, decode_bytes
from cry_pipeline.corpus.quality import FLOOR_DBFS, Quality, measure
from cry_pipeline.corpus.reading import MAX_BYTES, read_regular
from cry_pipeline.corpus.refusals import REFUSALS, Refusal
from cry_pipeline.digests import sha256_of
from cry_pipeline.progress import track
from cry_pipeline.tables import FILLED, Schema, integer, number, sha256, text

LOG = logging.getLogger("cry_pipeline")

PROBES = "probes.parquet"
NO_MEMORY = Refusal(DecoderMemoryError.reason, "Reading it needs more memory than there is.")
CHANGED = Refusal("changed", "The file has changed since the inventory was taken; the next one takes it in.")
SAVED_EVERY_S, SAVING_SHARE = 30.0, 20.0
"""Probes are kept after so many seconds, or so many times those that keeping them took."""
HELD = (DecoderCrashedError.reason, DecoderTimeoutError.reason, DecoderMemoryError.reason)
"""Refusals of what would have ended, held up or filled the pipeline's own process."""
PASSING = (CHANGED.reason, DecoderTimeoutError.reason, DecoderMemoryError.reason)
"""Refusals that another look at the same bytes may not come to: the machine may have been busy, or full."""
READ_AT_ONCE_BYTES = 2 * MAX_BYTES
"""How much of files may be in memory at once, however many threads there are."""


@dataclass(frozen=True)
class Probe(Quality):
    """What one file holds; ``samples`` per channel, and ``samples_digest`` of what was decoded of them."""

    duration_s: float
    sample_rate_hz: int
    samples: int
    samples_digest: str
    codec: str
    channels: int


def _either(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are a refusal and nothing else, or a probe and nothing else."""
    measured, refused = table[[field.name for field in fields(Probe)]].notna(), table[["reason", "detail"]].notna()
    return (measured.all(axis=1) & ~refused.any(axis=1)) | (refused.all(axis=1) & ~measured.any(axis=1))


KEPT = Schema(
    "the cache of probes",
    {
        "sha256": sha256("sha256 of the file's bytes"),
        "peak": number("max |x|, full scale is 1", 0, 1, nullable=True),
        "rms_dbfs": number("10·log10(mean(x²))", FLOOR_DBFS, 0, nullable=True),
        "clipped_fraction": number("share of samples at full scale", 0, 1, nullable=True),
        "silent_fraction": number("share of silent frames", 0, 1, nullable=True),
        "voiced_fraction": number("share of voiced frames", 0, 1, nullable=True),
        "duration_s": number("length", 0, nullable=True),
        "sample_rate_hz": integer("of the file", 1, nullable=True),
        "samples": integer("decoded, per channel", 0, nullable=True),
        "samples_digest": sha256("sha256 of the decoded mono samples, float32", nullable=True),
        "codec": text("libav's name of the decoder", nullable=True),
        "channels": integer("of the file", 1, nullable=True),
        "reason": text("why it is refused, in one word", among=REFUSALS, nullable=True),
        "detail": text("why it is refused, in a sentence", matches=FILLED, nullable=True),
    },
    unique=["sha256"],
    rules={"a file has all measures, or a reason and a detail": _either},
)


def samples_digest(samples: np.ndarray) -> str:
    """Return the sha256, as 64 hex digits, of mono ``samples`` ``[samples]`` as little-endian float32.

    A decoder that comes to the same samples changes nothing that is made of them; one that does not shows here.
    """
    return sha256_of(np.ascontiguousarray(samples, dtype="<f4").data)


def probe_files(files: Mapping[str, Path], cache: Path, workers: int = 1) -> tuple[dict[str, Probe | Refusal], int]:
    """Return what each of ``files`` holds, and how many were computed, by :func:`probe_missing`; the others were known.

    Args:
        files: by the sha256 of their bytes.
        cache: folder of the probes that are kept.
        workers: threads that decode.

    Raises:
        CageError: as :func:`probe_missing`.
    """
    known = read_probes(cache)
    places = places_of(known, list(files))
    fresh = probe_missing({name: files[name] for name in _absent(files, places)}, known, cache, workers)
    there = known.iloc[places[places >= 0]]
    outcomes = dict(zip(there["sha256"], outcomes_of(there), strict=True)) | fresh
    return {sha256: outcomes[sha256] for sha256 in files}, len(fresh)


def read_probes(cache: Path) -> pd.DataFrame:
    """Return the probes that are kept, KEPT by sha256; none where they are damaged or of another revision."""
    path = cache / PROBES
    table = KEPT.current(path, keys.code_version("probe", None))
    if table is None:
        if path.exists():
            LOG.warning("%s is damaged or of another revision: all files are decoded again", path)
        table = KEPT.table_of([], text="str")
    return table.sort_values("sha256", ignore_index=True)


def places_of(known: pd.DataFrame, contents: Collection[str]) -> np.ndarray:
    """Return the row of each of ``contents``, sha256, in the probes ``known``, int64; -1 where there is none."""
    sorted_, wanted = known["sha256"].to_numpy("S64"), np.array(list(contents), dtype="S64")
    if not len(sorted_):
        return np.full(len(wanted), -1)
    places = np.minimum(np.searchsorted(sorted_, wanted), len(sorted_) - 1)
    return np.where(sorted_[places] == wanted, places, -1)


def probe_missing(
    missing: Mapping[str, Path], known: pd.DataFrame, cache: Path, workers: int = 1
) -> dict[str, Probe | Refusal]:
    """Probe files, given by the sha256 of their bytes, in ``workers`` threads; libav and numpy free the GIL.

    What was computed is kept in ``cache`` beside what is ``known`` there, even if the work is cut short.

    Whatever a file does to its probe, it is refused and the others go on: ``changed`` where it is gone or has other
    bytes, ``defect`` (with the traceback in the log) where reading it ends in an error that nobody thought of,
    ``decoder_crashed``, ``decoder_timeout`` or ``decoder_memory`` where only the cage kept it from worse.

    Raises:
        CageError: the decoder cannot be had as the settings ask for, or was stopped.
    """
    fresh: dict[str, Probe | Refusal] = {}
    room, save_next = _Room(READ_AT_ONCE_BYTES), time.monotonic() + SAVED_EVERY_S
    try:
        with ThreadPoolExecutor(workers) as pool:
            probed = pool.map(lambda item: (item[0], _probe(item[0], item[1], room)), missing.items())
            try:
                for sha256, outcome in track(probed, "probing", total=len(missing)):
                    fresh[sha256] = outcome
                    if time.monotonic() > save_next:
                        started = time.monotonic()
                        _keep(cache, known, fresh)
                        # A table of millions takes a while to write, and all of it is written each time.
                        took = time.monotonic() - started
                        save_next = time.monotonic() + max(SAVED_EVERY_S, SAVING_SHARE * took)
            except BaseException:
                stop_decoders()  # or the threads would wait for them, and this for the threads
                raise
    finally:
        _keep(cache, known, fresh)
    return fresh


def _absent(contents: Iterable[str], places: np.ndarray) -> list[str]:
    return [content for content, place in zip(contents, places, strict=True) if place < 0]


class _Room:
    """Memory for files being read: who asks for more than is left waits, unless nobody else has any."""

    def __init__(self, most: int) -> None:
        self._most, self._taken, self._change = most, 0, Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._taken or self._taken + size <= self._most)
            self._taken += size
        try:
            yield
        finally:
            with self._change:
                self._taken -= size
                self._change.notify_all()


def _probe(sha256: str, path: Path, room: _Room) -> Probe | Refusal:
    try:
        with room.of(path.stat().st_size):
            data = read_regular(path)
            return _measured(data) if sha256_of(data) == sha256 else CHANGED
    except OSError as error:
        LOG.info("%s cannot be read any more: %s", path, error)
        return CHANGED
    except CageError:
        raise
    except DecodeError as error:
        if error.reason in HELD:
            LOG.warning("%s %s", path, error)
        return Refusal(error.reason, f"The file {error}.")
    except MemoryError:
        LOG.exception("%s needs more memory than there is", path)
        return NO_MEMORY
    except Exception as error:  # whatever one file does, the others go on
        LOG.exception("%s makes its probe fail", path)
        return Refusal("defect", f"Reading it fails with {type(error).__name__}: {error}. The log says where.")


def _keep(cache: Path, known: pd.DataFrame, fresh: Mapping[str, Probe | Refusal]) -> None:
    """Keep what the next look at the same bytes would come to, too."""
    lasting = {sha256: outcome for sha256, outcome in fresh.items() if getattr(outcome, "reason", None) not in PASSING}
    if lasting:
        _write_cache(cache / PROBES, pd.concat([known, probes_table(lasting)], ignore_index=True))


def probes_table(outcomes: Mapping[str, Probe | Refusal]) -> pd.DataFrame:
    """Return ``outcomes``, by the sha256 of what was probed, as KEPT."""
    return KEPT.table_of([{"sha256": content, **vars(outcome)} for content, outcome in outcomes.items()], text="str")


def _measured(data: bytes) -> Probe:
    audio = decode_bytes(data)
    samples = audio.samples.size
    return Probe(
        **asdict(measure(audio.samples, audio.sample_rate_hz)),
        duration_s=samples / audio.sample_rate_hz,
        sample_rate_hz=audio.sample_rate_hz,
        samples=samples,
        samples_digest=samples_digest(audio.samples),
        codec=audio.codec,
        channels=audio.channels,
    )


def outcomes_of(probes: pd.DataFrame) -> list[Probe | Refusal]:
    """Return what rows of KEPT say."""
    rows = probes.drop(columns="sha256").to_dict("records")
    return [_outcome({str(name): value for name, value in row.items()}) for row in rows]


def _outcome(row: dict[str, Any]) -> Probe | Refusal:
    reason, detail = row.pop("reason"), row.pop("detail")
    return Refusal(reason, detail) if isinstance(reason, str) else Probe(**row)


def _write_cache(path: Path, table: pd.DataFrame) -> None:
    KEPT.write(path, table.sort_values("sha256", ignore_index=True), keys.code_version("probe", None))
