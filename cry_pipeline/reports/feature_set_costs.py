"""What a second of audio takes in each feature set: frames, values, bytes, and CPU time.

Belongs here: measuring feature sets on a few recordings. Does not: benchmarks of whole extractions
(cry_pipeline_tests/benchmarks), and what is shown beside the numbers (feature_sets.py).
"""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.catalog.base import FEATURE_KINDS
from cry_pipeline.features.store.rows import FeatureRows, stack_rows

if TYPE_CHECKING:
    from cry_pipeline.corpus.sources import Roots
    from cry_pipeline.reports.figures.feature_sets import Imaged

REPEATS = 5


def measure(
    sets: "Sequence[Imaged]", examples: pd.DataFrame, recordings: pd.DataFrame, roots: "Roots"
) -> list[dict[str, Any]]:
    """Return a row for each feature set, as :data:`cry_pipeline.reports.schemas.FEATURE_SETS` says.

    Args:
        sets: with the features of ``examples``.
        examples: rows of the manifest; their audio is decoded, and each is transformed anew.
        recordings: the manifest.
        roots: where audio files lie.
    """
    from cry_pipeline.features.kinds import feature_set_digest

    seconds = float(examples["duration_s"].sum())
    rows = []
    for imaged in sets:
        spec, stored = imaged.spec, imaged.rows
        bytes_of = {name: array.nbytes * (name in spec.kinds) for name, array in stored.arrays.items()}
        transform_s, statistics_s = extraction_cost(spec, _samples(examples, roots, spec.sample_rate_hz))
        rows.append(
            {
                "feature_set": imaged.name,
                "sample_rate_hz": spec.sample_rate_hz,
                "window_ms": 1e3 * spec.window_samples / spec.sample_rate_hz,
                "hop_ms": 1e3 * spec.hop_samples / spec.sample_rate_hz,
                "fmin_hz": spec.fmin_hz,
                "fmax_hz": spec.fmax_hz,
                **resampled(recordings, spec),
                "frames_per_s": stored.offsets[-1] / seconds,
                **{f"{name}_width": array.shape[1] for name, array in stored.arrays.items()},
                **{f"{name}_bytes_per_s": size / seconds for name, size in bytes_of.items()},
                "bytes_per_s": sum(bytes_of.values()) / seconds,
                "transform_ms_per_s": 1e3 * transform_s / seconds,
                "statistics_ms_per_s": 1e3 * statistics_s / seconds,
                "cost_ms_per_s": 1e3 * (transform_s + statistics_s) / seconds,
                "digest": feature_set_digest(spec),
            }
        )
    return rows


def with_what_is_not_kept(
    rows: FeatureRows, spec: FeatureSetSpec, examples: pd.DataFrame, roots: "Roots"
) -> FeatureRows:
    """Return ``rows``, those of ``examples``, and computed from their audio the kinds that the store does not keep."""
    lacking = [kind for kind in FEATURE_KINDS if kind not in spec.kinds]
    if not lacking:
        return rows
    from cry_pipeline.features.computing import FeatureSetComputer

    whole = spec.model_copy(update={"kinds": FEATURE_KINDS})
    made = FeatureSetComputer(whole)(_samples(examples, roots, spec.sample_rate_hz))
    computed = stack_rows({str(place): values for place, values in enumerate(made) if values}).arrays
    return replace(rows, arrays={kind: (rows.arrays | computed)[kind] for kind in FEATURE_KINDS})


def extraction_cost(spec: FeatureSetSpec, recordings: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return CPU seconds of transforms and of pooled statistics over ``recordings``, float32 [samples] each.

    Of the statistics: what they add, with the check and the rounding of what is stored. One recording at a time in
    this thread, as extraction does on a CPU; the least of five rounds after one to warm up, since whatever else the
    machine does can only add.
    """
    import torch

    from cry_pipeline.features.computing import FeatureSetComputer

    computer = FeatureSetComputer(spec)

    def round_s() -> tuple[float, float]:
        started = time.thread_time()
        for samples in recordings:
            computer.features([samples])
        between = time.thread_time()
        for samples in recordings:
            computer([samples])
        transforms_s = between - started
        return transforms_s, time.thread_time() - between - transforms_s

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rounds = [round_s() for _ in range(1 + REPEATS)][1:]
    finally:
        torch.set_num_threads(threads)
    return min(rounds, key=sum)


def resampled(recordings: pd.DataFrame, spec: FeatureSetSpec) -> dict[str, float]:
    """Return the shares of ``recordings`` that are upsampled (empty upper bins) and downsampled (lost highs)."""
    own_hz = recordings["sample_rate_hz"]
    return {
        "upsampled": float((own_hz < spec.sample_rate_hz).mean()),
        "downsampled": float((own_hz > spec.sample_rate_hz).mean()),
    }


def machine() -> str:
    """Return what costs were measured on, in words."""
    import torch

    return f"{platform.machine()} with {os.cpu_count()} CPUs, PyTorch {torch.__version__}"


def _samples(examples: pd.DataFrame, roots: "Roots", sample_rate_hz: int) -> list[np.ndarray]:
    from cry_pipeline.corpus.decoding import load_samples

    places = zip(examples["root"].astype(str), examples["path"].astype(str), strict=True)
    return [load_samples(roots.locate(*place), sample_rate_hz) for place in places]
