"""What the store costs by itself: commits, growth, random and whole reads.

Belongs here: figures of rows that were made up. Does not: how rows are computed (computing.py).
"""

import resource
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline.catalog import FeatureSetSpec, load_catalog
from cry_pipeline.catalog.base import FEATURE_KINDS
from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.features.computing import FeatureSetComputer
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.kinds import KINDS, kinds_of
from cry_pipeline.features.store.encoding import encode
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.benchmarks.computing import NATIVE, manifest
from cry_pipeline_tests.benchmarks.measuring import Figure, best_of, limit, median_s, ratio
from cry_pipeline_tests.features.store.looks import folder_of
from cry_pipeline_tests.stated import Stated, samples_of_name

FRAMES = 440
"""Of 7 s at 8 kHz."""
SECOND = 63
BATCH = 32
COHORT = 457
PART = 256
PER_FRAME = ("spectrogram", "mel", "mfcc")


def made_up(ids: Sequence[str], frames: int) -> FeatureRows:
    """Return rows of random values."""
    rng = np.random.default_rng(0)
    return stack_rows(
        {
            name: {
                kind: rng.normal(-50, 10, (frames, about.width(NATIVE))[about.rows == "recording" :]).astype(
                    about.dtype
                )
                for kind, about in kinds_of(NATIVE).items()
            }
            for name in ids
        },
        [samples_of_name(name) for name in ids],
    )


def measures(paths: Sequence[Path], folder: Path, rows: int) -> Iterator[Figure]:
    """Yield all figures of this room, of stores that grow to so many ``rows``."""
    yield from packing(paths, folder)
    yield from commits(folder)
    yield from reads(folder)
    yield from growth(paths, folder, rows)


def packing(paths: Sequence[Path], folder: Path) -> Iterator[Figure]:
    """What is written of a second of audio, by compression and by kinds kept, and what packing costs."""
    for name, spec in load_catalog().feature_sets.items():
        recordings = [load_samples(path, spec.sample_rate_hz) for path in paths[:: max(1, len(paths) // 128)]]
        whole = spec.model_copy(update={"kinds": FEATURE_KINDS})
        ids = [f"{place:064x}" for place in range(len(recordings))]
        made = zip(ids, FeatureSetComputer(whole)(recordings), strict=True)
        rows = stack_rows({recording: values for recording, values in made if values}, ids)
        sizes: dict[str, dict[str, int]] = {}
        for compression in ("none", "lz4", "zstd"):
            packed = whole.model_copy(update={"compression": compression})
            sizes[compression], costs = _packed(rows, packed, folder / f"packing-{compression}")
            share = sum(sizes[compression].values()) / rows.nbytes
            yield Figure(f"{name}, all kinds, {compression}: bytes over the arrays'", f"{share:.2f} ({costs})")
        kept = sum(sizes[spec.compression][kind] for kind in spec.kinds)
        seconds = sum(map(len, recordings)) / spec.sample_rate_hz
        detail = f"{kept / seconds / 1000:.1f} of {rows.nbytes / seconds / 1000:.1f} kB for a second of audio"
        yield limit(f"{name}, as the catalog keeps it: bytes over all arrays'", kept / rows.nbytes, 0.5, "×", detail)


def _packed(rows: FeatureRows, spec: FeatureSetSpec, folder: Path) -> tuple[dict[str, int], str]:
    """Return the bytes of each kind, and what encoding ``rows`` and reading them take, in words."""
    store = FeatureStore.open(folder, spec).of(dict(rows.keys))
    store.write(rows)
    ids = list(rows.recording_ids)
    best = best_of({"write": lambda: encode(rows, spec), "read": lambda: store.read(ids, PER_FRAME)}, rounds=3)
    shutil.rmtree(folder)
    files = encode(rows, spec)
    costs = ", ".join(f"{does} {1e9 * taken / rows.nbytes:.2f} ns a byte" for does, taken in best.items())
    return {kind: len(files[f"{kind}/c.0.0"]) for kind in FEATURE_KINDS}, costs


def commits(folder: Path, times: int = 40) -> Iterator[Figure]:
    """A durable commit of one recording."""
    store = FeatureStore.open(folder / "commits", NATIVE)
    rows = made_up(["warm", *map(str, range(times))], FRAMES)
    each = [_only(rows, index) for index in range(times + 1)]
    store.write(each[-1])
    yield limit(
        "durable commit of one recording, median", 1e3 * median_s(lambda i: store.write(each[i]), times), 25, "ms"
    )


def reads(folder: Path) -> Iterator[Figure]:
    """Random batches, and a whole cohort, from one part."""
    import zarr

    shutil.rmtree(folder / "reads", ignore_errors=True)
    ids = [f"{index:064x}" for index in range(COHORT)]
    store = FeatureStore.open(folder / "reads", NATIVE).of(Stated())
    part = store.write(made_up(ids, FRAMES))
    rng = np.random.default_rng(0)
    batches = [rng.choice(COHORT, BATCH, replace=False) for _ in range(5)]
    group = zarr.open_group(str(folder_of(store) / "parts" / part), mode="r", zarr_format=3)
    arrays = {kind: group[kind] for kind in PER_FRAME}

    def theirs() -> None:
        for batch in batches:
            for array in arrays.values():
                for row in batch:
                    np.asarray(array[row * FRAMES : (row + 1) * FRAMES])  # type: ignore[index]

    def ours() -> None:
        for batch in batches:
            store.read([ids[row] for row in batch], PER_FRAME)

    clips = BATCH * len(batches)
    for name, clock in (("CPU-second", time.process_time), ("second", time.perf_counter)):
        best = best_of({"ours": ours, "theirs": theirs}, rounds=3, clock=clock)
        yield ratio(
            f"random batches of {BATCH} from one part of {COHORT}, per {name}: zarr-python",
            best["theirs"] / best["ours"],
            16,
            f"{clips / best['ours']:.0f} and {clips / best['theirs']:.0f} clips per {name}",
        )
    whole = median_s(lambda _: FeatureStore.open(folder / "reads", NATIVE).of(Stated()).read(ids, PER_FRAME), 5)
    yield limit(f"cohort of {COHORT} into memory, store opened anew", whole, 0.5, "s")


def growth(paths: Sequence[Path], folder: Path, rows: int) -> Iterator[Figure]:
    """One-second rows in parts of 256, up to so many; at 500 and 20,000 what an addition costs."""
    shutil.rmtree(folder / "growth", ignore_errors=True)
    values = made_up([str(index) for index in range(PART)], SECOND)
    per_row, additions, memory_kib, held = [], {}, [], 0
    stops = sorted({min(500, rows), min(20_000, rows), rows})
    for stop in stops:
        store = FeatureStore.open(folder / "growth", NATIVE)
        while held < stop:
            count = min(PART, stop - held)
            part = _first(values, [f"{index:064x}" for index in range(held, held + count)])
            started = time.perf_counter()
            store.write(part)
            if count == PART:
                per_row.append((held, (time.perf_counter() - started) / count))
                memory_kib.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            held += count
        additions[stop] = _addition_s(paths, folder, stop)
        yield from _nothing_to_do(paths, folder, stop) if stop == stops[min(1, len(stops) - 1)] else ()
    few, many = stops[0], stops[min(1, len(stops) - 1)]
    detail = f"{1e3 * additions[many]:.0f} ms, {1e3 * additions[few]:.0f} ms at {few}"
    yield limit(f"adding 1 recording to {many:,} over {few}", additions[many] / additions[few], 1.3, "×", detail)
    early = statistics.median([cost for held, cost in per_row if held <= 2500])
    late = statistics.median([cost for _, cost in per_row[-10:]])
    yield limit(f"cost per row at {rows:,} over the first 2,500", late / early, 1.2, "×", f"{1e3 * late:.2f} ms each")
    grown = (memory_kib[-1] - memory_kib[min(8, len(memory_kib) - 1)]) / 1024
    yield Figure(f"memory added while writing from 2,000 to {rows:,} rows", f"{grown:.0f} MB")
    opening = median_s(lambda _: FeatureStore.open(folder / "growth", NATIVE).of(Stated()).recording_ids(), 5)
    yield limit(f"opening a store of {rows:,} rows and naming them", opening, 1, "s")
    shutil.rmtree(folder / "growth")


def _addition_s(paths: Sequence[Path], folder: Path, held: int, times: int = 7) -> float:
    """Return the time in which one recording of a manifest that is else there is added, from file to commit."""
    new, roots = manifest(paths[:1], times + 1, folder / f"new{held}", first=held)
    manifests = [pd.concat([new[index : index + 1], _held(held)[1:]]) for index in range(times + 1)]

    def add(index: int) -> None:
        report = extract(manifests[index], roots, FeatureStore.open(folder / "growth", NATIVE))
        if (report.computed, report.reused) != (1, held - 1):
            raise RuntimeError(f"{report} is not one recording added to {held - 1}")

    add(-1)
    return median_s(add, times)


def _nothing_to_do(paths: Sequence[Path], folder: Path, held: int) -> Iterator[Figure]:
    recordings, roots = _held(held), Roots(Path("/"))
    taken = median_s(lambda _: extract(recordings, roots, FeatureStore.open(folder / "growth", NATIVE)), 5)
    yield limit(f"nothing to do for {held:,} rows", taken, 1, "s")


def _held(rows: int) -> pd.DataFrame:
    """Return the manifest of made-up recordings whose features are there already, and whose files are nowhere."""
    ids = [f"{index:064x}" for index in range(rows)]
    samples = [samples_of_name(name) for name in ids]
    return pd.DataFrame({"recording_id": ids, "root": "corpus", "path": "none", "samples_digest": samples})


def _only(rows: FeatureRows, index: int) -> FeatureRows:
    arrays = {kind: np.atleast_2d(rows.of(kind, index)) for kind in rows.arrays}
    ends = np.array([0, FRAMES], np.int64)
    return FeatureRows((rows.recording_ids[index],), ends, arrays, (rows.samples_digests[index],))


def _first(rows: FeatureRows, names: Sequence[str]) -> FeatureRows:
    """Return the first rows of ``rows`` under other ``names``."""
    count = len(names)
    frames = int(rows.offsets[count])
    arrays = {kind: array[: frames if KINDS[kind].rows == "frame" else count] for kind, array in rows.arrays.items()}
    samples = tuple(samples_of_name(name) for name in names)
    return FeatureRows(tuple(names), rows.offsets[: count + 1].copy(), arrays, samples)
