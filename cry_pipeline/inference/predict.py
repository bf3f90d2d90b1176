"""Prediction from a bundle alone: is it a cry, and may anything be said about why?

Belongs here: files → decoding → graphs → an answer or an abstention. Does not: what the graph computes (export.py),
the bundle's files (bundle.py), the command line (predict_cli.py). Imports neither torch, Lightning nor Dagster.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES, Audio, DecodeError, decode, resample
from cry_pipeline.inference.bundle import Bundle, Target, TargetFiles, read_bundle
from cry_pipeline.inference.graphs import open_graph, run_graph


class TooShortError(DecodeError):
    """A recording is shorter than any that the models were trained on."""

    reason = "too_short"


@dataclass(frozen=True)
class Prediction:
    """What a bundle says of one file.

    Args:
        path: the file, as it was named.
        cry_probability: that the recording holds a cry; None where the file cannot be used.
        reasons: probability of each reason, in the bundle's order; empty where it holds no model of reasons. Not to
            be acted upon where ``abstained``.
        abstained: whether no reason is given.
        verdict: the answer, or why there is none, in a sentence with the evidence's own verdict.
        bundle: first 16 digits of the bundle's digest.
        error: why the file cannot be used, or None.
    """

    path: str
    cry_probability: float | None
    reasons: dict[str, float]
    abstained: bool
    verdict: str
    bundle: str
    error: str | None = None

    def as_json(self) -> str:
        """Return one line of JSON with path, cry_probability, reasons, abstained, verdict and bundle."""
        content = {
            "path": self.path,
            "cry_probability": self.cry_probability,
            "reasons": self.reasons,
            "abstained": self.abstained,
            "verdict": self.verdict,
            "bundle": self.bundle,
        }
        return json.dumps(content, allow_nan=False)


class Predictor:
    """A bundle, verified and ready: its graphs are opened once, for any number of files."""

    def __init__(self, folder: Path) -> None:
        self.bundle: Bundle = read_bundle(folder)
        self.name = self.bundle.digest[:16]
        self._graphs = {target: open_graph(part.model) for target, part in self.bundle.targets.items()}

    def predict(self, path: Path) -> Prediction:
        """Return what the bundle says of the file at ``path``.

        Raises:
            DecodeError: it cannot be decoded, or is too short.
            OSError: it cannot be read.
        """
        audio = decode(path)
        probabilities = {target: self._probabilities(target, audio, path) for target in self.bundle.targets}
        cry = probabilities["cry"]["cry"]
        reasons = probabilities.get("reason", {})
        abstained, verdict = self._answer(cry, reasons)
        return Prediction(str(path), cry, reasons, abstained, verdict, self.name)

    def predict_files(self, paths: Iterable[Path]) -> Iterator[Prediction]:
        """Yield what the bundle says of each file; of one that cannot be used, its ``error``."""
        for path in paths:
            try:
                yield self.predict(path)
            except (DecodeError, OSError) as error:
                yield Prediction(str(path), None, {}, True, f"error: {error}", self.name, str(error))

    def _probabilities(self, target: Target, audio: Audio, path: Path) -> dict[str, float]:
        part = self.bundle.targets[target]
        if len(audio.samples) < part.labels.min_duration_s * audio.sample_rate_hz:
            lasts = len(audio.samples) / audio.sample_rate_hz
            raise TooShortError(
                f"{path} lasts {lasts:.2f} s; the models know recordings of at least {part.labels.min_duration_s:g} s"
            )
        samples = resample(audio.samples, audio.sample_rate_hz, part.features.sample_rate_hz)
        means, _ = run_graph(self._graphs[target], samples.astype(np.float32, copy=False))
        return {name: float(value) for name, value in zip(part.labels.classes, means[0], strict=True)}

    def _answer(self, cry: float, reasons: dict[str, float]) -> tuple[bool, str]:
        """Return whether to abstain from a reason, and the sentence that says what and why."""
        targets = self.bundle.targets
        prefix = "SYNTHETIC DATA: " if any(part.finding.synthetic for part in targets.values()) else ""
        is_cry, said = _cry(targets["cry"], cry)
        reason = targets.get("reason")
        if not is_cry:
            return True, f"{prefix}{said}; no reason is given"
        if reason is None:
            return True, f"{prefix}{said}; this bundle gives no reasons"
        if not reason.finding.supports_an_answer:
            return True, f"{prefix}{said}; no reason is given: {reason.finding.sentence}"
        best = max(reasons, key=reasons.__getitem__)
        at, threshold = reasons[best], reason.calibration.threshold
        if at < threshold:
            unsure = f"the likeliest, {best}, is at {at:.2f}, below {threshold:.2f}"
            return True, f"{prefix}{said}; no reason is given: {unsure}"
        return False, f"{prefix}{said}; {best} ({at:.2f}): {reason.finding.sentence}"


def _cry(part: TargetFiles, probability: float) -> tuple[bool, str]:
    """Return whether it is taken for a cry, and the words for it."""
    threshold, finding = part.calibration.threshold, part.finding
    if not finding.supports_an_answer:
        return False, f"whether it is a cry cannot be told: {finding.sentence}"
    is_cry = probability >= threshold
    return is_cry, f"{'a cry' if is_cry else 'not a cry'} ({probability:.2f}, threshold {threshold:.2f})"


def audio_files(paths: Iterable[Path]) -> list[Path]:
    """Return ``paths`` with each folder replaced by the audio files in it and below, sorted; hidden ones left out.

    Raises:
        FileNotFoundError: a folder holds no audio file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if _is_audio(file, path))
        if not inside:
            raise FileNotFoundError(f"{path} holds no audio file; known are {', '.join(sorted(AUDIO_SUFFIXES))}")
        found += inside
    return found


def _is_audio(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in AUDIO_SUFFIXES and file.is_file()


def predict(path: str | Path, bundle: str | Path | None = None) -> Prediction:
    """Return what a bundle says of one audio file: is it a cry, and why, or why there is no answer to that.

    Args:
        path: an audio file.
        bundle: folder of a bundle; the champion of the settings' data folder by default.

    Raises:
        DecodeError: the file cannot be decoded, or is too short.
        OSError: it cannot be read.
        BundleError: the bundle is not one, or not what was written.
        ChampionError: no bundle is named and there is no champion.
    """
    return predictor(bundle).predict(Path(path))


def predict_many(paths: Iterable[str | Path], bundle: str | Path | None = None) -> Iterator[Prediction]:
    """Yield what a bundle says of each of ``paths``, files or folders; a file that cannot be used has an ``error``."""
    return predictor(bundle).predict_files(audio_files(Path(path) for path in paths))


def predictor(bundle: str | Path | None = None) -> Predictor:
    """Return the predictor of a bundle's folder, the champion by default; opened once in a process."""
    if bundle is not None:
        return _opened(Path(bundle).resolve())
    from cry_pipeline.inference.champions import current
    from cry_pipeline.settings import load_settings

    return _opened(current(load_settings().models).resolve())


@lru_cache(maxsize=4)
def _opened(folder: Path) -> Predictor:
    return Predictor(folder)
