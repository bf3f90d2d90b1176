"""How fast features are computed, from samples and from files, one thread and all cores.

Belongs here: the transforms and the way to them. Does not: what the store does by itself (storing.py).
"""

import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cry_pipeline.catalog import FeatureSetSpec, load_catalog
from cry_pipeline.corpus.decoding import decode, load_samples
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.features.computing import BLOCK_SAMPLES, FeatureSetComputer, FeatureTransform, padded
from cry_pipeline.features.extraction import extract, extract_all
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.features.transforms import dct_matrix, decibels, frame, mel_filters
from cry_pipeline_tests.benchmarks import librosas, rivals
from cry_pipeline_tests.benchmarks.measuring import Figure, best_of, limit, ratio, seen
from cry_pipeline_tests.stated import manifest_of

NATIVE = load_catalog().feature_sets["mel64_8k"]
SPEECH = FeatureSetSpec.model_validate(
    {"sample_rate_hz": 16_000, "n_fft": 512, "window_samples": 400, "hop_samples": 160}
    | {"mels": 64, "fmax_hz": 8000, "mfcc": 20}
)
ARTICLE = load_catalog().feature_sets["babycare_22k"]
WORKERS = 2


def manifest(
    paths: Sequence[Path], rows: int = 0, folder: Path | None = None, first: int = 0
) -> tuple[pd.DataFrame, Roots]:
    """Return the manifest of the WAVs ``paths``, and their root.

    With ``rows``, of so many copies of them in a new ``folder``, each with bytes, and so an id, of its own; they are
    numbered from ``first``.
    """
    if folder is not None:
        folder.mkdir()
        copies = [folder / f"{index}.wav" for index in range(rows)]
        for index, copy in enumerate(copies):
            copy.write_bytes(_numbered(paths[index % len(paths)].read_bytes(), first + index))
        paths = copies
    return manifest_of(Path("/"), [str(path)[1:] for path in paths]), Roots(Path("/"))


def _numbered(wav: bytes, number: int) -> bytes:
    """Return a WAV of the same samples with one more chunk, which says ``number``."""
    body = wav[8:] + b"note" + struct.pack("<II", 4, number)
    return wav[:4] + struct.pack("<I", len(body)) + body


def measures(paths: Sequence[Path], folder: Path) -> Iterator[Figure]:
    """Yield all figures of this room."""
    torch.set_num_threads(1)
    yield from from_samples(paths[:: max(1, len(paths) // 64)])
    yield from rivals.measures([load_samples(path, SPEECH.sample_rate_hz) for path in paths[:64]])
    yield from from_files(paths[:: max(1, len(paths) // 64)])
    yield from to_parts(paths, folder)
    yield from memory(paths, folder)


def from_samples(paths: Sequence[Path]) -> Iterator[Figure]:
    """One thread, decoded samples → features: at 8 kHz, 16 kHz, and 22 kHz as in the article."""
    for spec, aim in ((NATIVE, 6), (SPEECH, 5), (ARTICLE, 4)):
        rate_hz = spec.sample_rate_hz
        recordings = [load_samples(path, rate_hz) for path in paths]
        precise = [samples.astype(np.float64) for samples in recordings]  # librosa then is as precise as the promise
        computer = FeatureSetComputer(spec)
        best = best_of(
            {
                "ours": lambda: [computer.features([samples]) for samples in recordings],  # noqa: B023
                "torch": lambda: [_by_torch(computer.transform, samples) for samples in recordings],  # noqa: B023
                "librosa": lambda: [librosas.shared_stft(samples, spec) for samples in recordings],  # noqa: B023
                "equal": lambda: [librosas.shared_stft(samples, spec) for samples in precise],  # noqa: B023
                "stored": lambda: [computer([samples]) for samples in recordings],  # noqa: B023
            }
        )
        rate = {name: len(recordings) / seconds for name, seconds in best.items()}
        for rival, precision in (("equal", "float64, equal values"), ("librosa", "float32, its default")):
            detail = f"{rate['ours']:.0f} and {rate[rival]:.0f} clips per CPU-second"
            what = f"{rate_hz} Hz, from samples, one thread: librosa with one STFT in {precision}"
            yield ratio(what, best[rival] / best["ours"], aim, detail)
        detail = f"{rate['torch']:.0f} clips per CPU-second"
        yield seen(f"… the same transforms in torch, {rate_hz} Hz", best["torch"] / best["ours"], detail)
        what = f"… with pooled statistics, checked, as float16, {rate_hz} Hz: librosa without, in float32"
        detail = f"{rate['stored']:.0f} clips per CPU-second"
        yield ratio(what, best["librosa"] / best["stored"], 2.5, detail)
        if spec is NATIVE:
            stages_s = bare_stages_s(computer.transform, recordings)
            detail = f"{len(recordings) / stages_s:.0f} clips per CPU-second by the stages alone"
            yield limit(
                f"… over the sum of the bare stages in torch, {rate_hz} Hz", best["ours"] / stages_s, 1.15, "×", detail
            )


@torch.inference_mode()
def _by_torch(transform: FeatureTransform, samples: np.ndarray) -> None:
    transform.in_blocks(*padded([samples]), BLOCK_SAMPLES // transform.spec.n_fft)


@torch.inference_mode()
def bare_stages_s(transform: FeatureTransform, recordings: Sequence[np.ndarray]) -> float:
    """Return the CPU time of framing, windowing, FFT, power, mel product, logarithms and DCT, each by itself, in the
    recordings' order, its inputs at hand: the sum of each stage's shortest."""
    spec, total = transform.spec, 0.0
    mels, cosines = mel_filters(spec), dct_matrix(spec.mels, spec.mfcc)
    for samples in recordings:
        batch, lengths = padded([samples])
        frames = frame(batch.double(), lengths, spec.n_fft, spec.hop_samples, spec.padding)
        windowed = frames * transform.window
        spectrum = torch.fft.rfft(windowed)
        squares = torch.view_as_real(spectrum).float().square()
        power = squares[..., 0] + squares[..., 1]
        sums = power @ mels
        mel = decibels(sums, spec.floor_db)
        stages = {
            "frame": lambda: frame(batch.double(), lengths, spec.n_fft, spec.hop_samples, spec.padding),  # noqa: B023
            "window": lambda: frames * transform.window,  # noqa: B023
            "fft": lambda: torch.fft.rfft(windowed),  # noqa: B023
            "squares": lambda: torch.view_as_real(spectrum).float().square(),  # noqa: B023
            "power": lambda: squares[..., 0] + squares[..., 1],  # noqa: B023
            "filters": lambda: power @ mels,  # noqa: B023
            "decibels": lambda: (decibels(power, spec.floor_db), decibels(sums, spec.floor_db)),  # noqa: B023
            "cosines": lambda: mel @ cosines,  # noqa: B023
        }
        total += sum(best_of(stages).values())
    return total


@torch.inference_mode()
def from_files(paths: Sequence[Path]) -> Iterator[Figure]:
    """One thread, files → decoded → 16 kHz → features."""
    computer, rate_hz = FeatureSetComputer(SPEECH), SPEECH.sample_rate_hz
    best = best_of(
        {
            "torch": lambda: [computer.features([load_samples(path, rate_hz)]) for path in paths],
            "shared": lambda: [librosas.shared_stft(librosas.load(path, rate_hz), SPEECH) for path in paths],
            "three": lambda: [librosas.three_calls(librosas.load(path, rate_hz), SPEECH) for path in paths],
            "decode": lambda: [decode(path) for path in paths],
            "load": lambda: [load_samples(path, rate_hz) for path in paths],
        },
        rounds=3,
    )
    rate = {name: len(paths) / seconds for name, seconds in best.items()}
    ours = f"{rate['torch']:.0f} and"
    yield ratio(
        "16 kHz, from files, one thread: librosa with one STFT",
        best["shared"] / best["torch"],
        4,
        f"{ours} {rate['shared']:.0f} clips per CPU-second",
    )
    yield ratio(
        "… librosa's three calls",
        best["three"] / best["torch"],
        7,
        f"{ours} {rate['three']:.0f} clips per CPU-second",
    )
    each = {name: 1e3 * best[name] / len(paths) for name in ("decode", "load", "torch")}
    parts = (each["decode"], each["load"] - each["decode"], each["torch"] - each["load"])
    yield Figure("… of which decoding, resampling, transforms", " + ".join(f"{part:.2f}" for part in parts) + " ms")


def to_parts(paths: Sequence[Path], folder: Path) -> Iterator[Figure]:
    """Files → committed, verified, fsynced parts on all cores, against a plain loop in one process."""
    recordings, roots = manifest(paths)
    for name, spec in (("8 kHz", NATIVE), ("16 kHz", SPEECH)):

        def ours(spec: FeatureSetSpec = spec) -> None:
            shutil.rmtree(folder / "store", ignore_errors=True)
            report = extract(recordings, roots, FeatureStore.open(folder / "store", spec), workers=WORKERS)
            if report.computed != len(recordings):
                raise RuntimeError(f"only {report.computed} of {len(recordings)} recordings were computed")

        def loop(spec: FeatureSetSpec = spec) -> None:
            shutil.rmtree(folder / "saved", ignore_errors=True)
            (folder / "saved").mkdir()
            librosas.save_loop(paths, spec, folder / "saved")

        best = best_of({"ours": ours, "loop": loop}, rounds=2, clock=time.perf_counter)
        cpu = best_of({"ours": ours}, rounds=1)["ours"]
        rates = [len(paths) / best[rival] for rival in ("ours", "loop")]
        yield ratio(
            f"{name}, files to durable parts, {WORKERS} workers: librosa + np.save",
            best["loop"] / best["ours"],
            4,
            f"{rates[0]:.0f} and {rates[1]:.0f} clips/s; {len(paths) / cpu:.0f} per CPU-second",
        )
    yield from shared_decode(paths, folder)


def shared_decode(paths: Sequence[Path], folder: Path) -> Iterator[Figure]:
    """Two feature sets at one rate, together and one after the other."""
    recordings, roots = manifest(paths)
    specs = [load_catalog().feature_sets[name] for name in ("mel64_8k", "mel128_8k")]

    def run(together: bool) -> None:
        shutil.rmtree(folder / "store", ignore_errors=True)
        stores = [FeatureStore.open(folder / "store", spec) for spec in specs]
        for group in [stores] if together else [[store] for store in stores]:
            extract_all(recordings, roots, group, workers=WORKERS)

    best = best_of({"one": lambda: run(True), "two": lambda: run(False)}, rounds=2, clock=time.perf_counter)
    yield Figure("mel64_8k and mel128_8k together: one after the other", f"{best['two'] / best['one']:.2f}×")


def memory(paths: Sequence[Path], folder: Path) -> Iterator[Figure]:
    """Peak memory of an extraction, each in a process of its own."""
    few, many = 1000, 3000
    peaks = {}
    for rows in (few, many):
        shutil.rmtree(folder / "store", ignore_errors=True)
        command = [sys.executable, "-m", __spec__.name, str(folder / "store"), str(rows), *map(str, paths[:64])]
        shutil.rmtree(folder / f"store-{rows}", ignore_errors=True)
        peaks[rows] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024
    detail = f"{peaks[few]:.0f} MB, libraries included, at {few}"
    yield limit(f"peak memory, {many} over {few} recordings", peaks[many] / peaks[few], 1.1, "×", detail)


def main() -> None:
    """Extract so many recordings into a folder, and say the peak of memory in KiB: ``folder rows path…``."""
    folder, rows, *paths = sys.argv[1:]
    recordings, roots = manifest([Path(path) for path in paths], int(rows), Path(f"{folder}-{rows}"))
    extract(recordings, roots, FeatureStore.open(folder, NATIVE), workers=WORKERS)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")


if __name__ == "__main__":
    main()
