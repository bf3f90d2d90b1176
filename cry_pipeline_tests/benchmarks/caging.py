"""What it costs that strangers' files are decoded in a process of their own.

Belongs here: the way from files to parts with the cage and without. Does not: how fast it is at all (computing.py).
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cry_pipeline.corpus.cage import pool
from cry_pipeline.corpus.cage.decoder import CagedDecoder
from cry_pipeline.corpus.cage.pool import DecoderPool
from cry_pipeline.corpus.decoding import decode
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.benchmarks.computing import NATIVE, WORKERS, manifest
from cry_pipeline_tests.benchmarks.measuring import Figure, best_of, limit
from cry_pipeline_tests.corpus.audio_files import caf

UPLOADS = 200


def uploads(folder: Path, corpus: Path | None) -> list[Path]:
    """Return uploads of ``corpus`` that libav decodes, phones' formats in turn; without one, made-up ones."""
    if corpus:
        found = [
            path
            for suffix in ("3gp", "caf")
            for path in sorted(corpus.glob(f"donateacry-*-upload-bucket/*.{suffix}"))[: UPLOADS // 2]
        ]
        return [path for path in found if _usable(path)]
    folder.mkdir()
    content = caf()
    paths = [folder / f"{index}.caf" for index in range(UPLOADS)]
    for index, path in enumerate(paths):
        path.write_bytes(content + index.to_bytes(8, "little"))  # an id of its own
    return paths


def _usable(path: Path) -> bool:
    try:
        return bool(decode(path).samples.size)
    except ValueError:
        return False


def measures(corpus: Path | None, folder: Path) -> Iterator[Figure]:
    """Yield all figures of this room."""
    paths = uploads(folder / "uploads", corpus)
    recordings, roots = manifest(paths)
    pools = {"caged": DecoderPool("best"), "uncaged": DecoderPool("off")}

    def to_parts(name: str) -> None:
        pool._shared = pools[name]
        shutil.rmtree(folder / "store", ignore_errors=True)
        report = extract(recordings, roots, FeatureStore.open(folder / "store", NATIVE), workers=WORKERS)
        if report.computed != len(recordings):
            raise RuntimeError(f"only {report.computed} of {len(recordings)} recordings were computed")

    def decoded(name: str) -> None:
        pool._shared = pools[name]
        for path in paths[::4]:
            decode(path)

    pool.shared()  # is this process' own from here on, whichever of the two
    best = best_of({name: lambda name=name: to_parts(name) for name in pools}, rounds=5, clock=time.perf_counter)
    each = " and ".join(f"{len(paths) / best[name]:.0f}" for name in pools)
    detail = f"{each} uploads/s of {len(paths)}, {', '.join(pools['caged'].parts or ())}"
    yield limit(
        f"phones' uploads to durable parts, {WORKERS} workers: in the cage over outside of it",
        best["caged"] / best["uncaged"],
        1.15,
        "×",
        detail,
    )
    alone = best_of({name: lambda name=name: decoded(name) for name in pools}, clock=time.perf_counter)
    each = " and ".join(f"{1e3 * alone[name] / len(paths[::4]):.2f}" for name in pools)
    yield Figure("… decoding alone, one thread", f"{alone['caged'] / alone['uncaged']:.2f} × ({each} ms)")
    started = time.perf_counter()
    CagedDecoder().close()
    yield Figure("… to start a decoder, once for each worker", f"{time.perf_counter() - started:.2f} s")
    pools["caged"].stop()
