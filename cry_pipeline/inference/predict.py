"""Prediction from a bundle alone: is it a cry, and may anything be said about why?

Belongs here: files → decoding → graphs → an answer or an abstention. Does not: what the graph computes (export.py),
the bundle's files (bundle.py), the command line (command/predict.py). Imports neither torch, Lightning nor Dagster.
"""

import json
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from cry_pipeline.corpus.cage.decoder import CageError
from cry_pipeline.corpus.decoding import Audio, DecodeError, decode_bytes, resample
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.inference.bundle import Bundle, TargetFiles, read_bundle
from cry_pipeline.inference.graphs import open_graph, run_graph
from cry_pipeline.inference.listing import list_audio
from cry_pipeline.inference.windows import Segment, stretches, timeline, windows
from cry_pipeline.targets import Target

LOG = logging.getLogger("cry_pipeline")
SHOWN = 3
"""Cries of a long recording that its verdict names; ``segments`` have them all."""


class TooShortError(DecodeError):
    """A recording is shorter than any that the models were trained on."""

    reason = "too_short"


@dataclass(frozen=True)
class Prediction:
    """What a bundle says of one file.

    Args:
        path: the file, as it was named.
        cry_probability: that the recording holds a cry, of a long one that its likeliest stretch does; None where the
            file cannot be used.
        reasons: probability of each reason, in the bundle's order; empty where it holds no model of reasons. Not to
            be acted upon where ``abstained``.
        abstained: whether no reason is given.
        verdict: the answer, or why there is none, in a sentence with the evidence's own verdict.
        bundle: first 16 digits of the bundle's digest.
        error: why the file cannot be used, or None.
        duration_s: how long it lasts; None where it cannot be used.
        segments: when it is a cry and when not, without gaps; a single one where it is not long (see windows.py).
    """

    path: str
    cry_probability: float | None
    reasons: dict[str, float]
    abstained: bool
    verdict: str
    bundle: str
    error: str | None = None
    duration_s: float | None = None
    segments: list[Segment] = field(default_factory=list)

    def as_json(self) -> str:
        """Return one line of JSON; ``reasons`` is empty where it abstains, ``error`` null where it can be used."""
        content = {
            "path": self.path,
            "cry_probability": self.cry_probability,
            "reasons": {} if self.abstained else self.reasons,
            "abstained": self.abstained,
            "verdict": self.verdict,
            "bundle": self.bundle,
            "error": self.error,
            "duration_s": self.duration_s,
            "segments": [asdict(segment) for segment in self.segments],
        }
        return json.dumps(content, allow_nan=False)


class Predictor:
    """A bundle, verified and ready: its graphs are opened once, for any number of files."""

    def __init__(self, folder: Path) -> None:
        self.bundle: Bundle = read_bundle(folder)
        self.name = self.bundle.digest[:16]
        self._graphs = {target: open_graph(part.model, folder / target) for target, part in self.bundle.targets.items()}

    def predict(self, path: Path) -> Prediction:
        """Return what the bundle says of the file at ``path``.

        Raises:
            DecodeError: it cannot be decoded, or is too short.
            OSError: it cannot be read, is a pipe or a device, or has more bytes than any recording.
        """
        return self.predict_bytes(read_regular(path), str(path))

    def predict_bytes(self, data: bytes, name: str) -> Prediction:
        """Return what the bundle says of a file's content, which is stored nowhere; ``name`` is what errors call it.

        Raises:
            DecodeError: it cannot be decoded, or is too short.
        """
        try:
            audio = decode_bytes(data)
        except DecodeError as error:
            raise type(error)(f"{name} {error}") from error
        duration_s = len(audio.samples) / audio.sample_rate_hz
        said: dict[Target, np.ndarray] = {
            target: self._probabilities(target, audio, name) for target in self.bundle.targets
        }
        answers = self.bundle.targets["cry"]
        segments = [Segment(*at, _is_cry(answers, at[2])) for at in timeline(said["cry"][:, 1], duration_s)]
        cry = max(segment.cry_probability for segment in segments)
        reasons = self._reasons(said)
        abstained, verdict = self._answer(cry, reasons, segments)
        return Prediction(name, cry, reasons, abstained, verdict, self.name, None, duration_s, segments)

    def predict_files(self, paths: Iterable[Path]) -> Iterator[Prediction]:
        """Yield what the bundle says of each file, or why it cannot be used, its ``error``: none stops the others.

        Raises:
            CageError: the decoder cannot be had as the settings ask for.
        """
        for path in paths:
            try:
                prediction = self.predict(path)
            except DecodeError as error:
                prediction = self._failed(path, str(error))
            except OSError as error:
                prediction = self._failed(path, _unread(path, error))
            except CageError:
                raise
            except Exception as error:
                LOG.debug("%s", path, exc_info=True)
                prediction = self._failed(path, f"{path} cannot be used: {type(error).__name__}: {error}")
            yield prediction

    def _failed(self, path: Path, why: str) -> Prediction:
        return Prediction(str(path), None, {}, True, f"error: {why}", self.name, why)

    def _probabilities(self, target: Target, audio: Audio, name: str) -> np.ndarray:
        """Return the probabilities ``[windows, classes]`` of each window of a recording."""
        part = self.bundle.targets[target]
        count, least_s = len(audio.samples), part.labels.min_duration_s
        needed = math.ceil(least_s * audio.sample_rate_hz)
        if count < needed:
            raise TooShortError(
                f"{name} lasts {_below(count / audio.sample_rate_hz, least_s)} s; the models know recordings of at "
                f"least {least_s:g} s ({count} samples of {needed} at {audio.sample_rate_hz} Hz)"
            )
        rate_hz = part.features.sample_rate_hz
        samples = resample(audio.samples, audio.sample_rate_hz, rate_hz).astype(np.float32, copy=False)
        said = [
            run_graph(self._graphs[target], samples[round(start * rate_hz) : end and round(end * rate_hz)])[0][0]
            for start, end in windows(count / audio.sample_rate_hz)
        ]
        return np.asarray(said, dtype=np.float64)

    def _reasons(self, said: dict[Target, np.ndarray]) -> dict[str, float]:
        """Return the probability of each reason: the mean of the windows that hold a cry, of all where none does."""
        if "reason" not in said:
            return {}
        cries = said["cry"][:, 1] >= self.bundle.targets["cry"].rule.threshold
        means = said["reason"][cries if cries.any() else slice(None)].mean(axis=0)
        classes = self.bundle.targets["reason"].labels.classes
        return {name: float(value) for name, value in zip(classes, means, strict=True)}

    def _answer(self, cry: float, reasons: dict[str, float], segments: list[Segment]) -> tuple[bool, str]:
        """Return whether to abstain from a reason, and the sentence that says what and why."""
        targets = self.bundle.targets
        prefix = "SYNTHETIC DATA: " if any(part.evidence.synthetic for part in targets.values()) else ""
        is_cry, said = _cry(targets["cry"], cry, segments)
        reason = targets.get("reason")
        if not is_cry:
            return True, f"{prefix}{said}; no reason is given"
        if reason is None:
            return True, f"{prefix}{said}; this bundle gives no reasons"
        if not reason.evidence.supports_an_answer:
            return True, f"{prefix}{said}; no reason is given: {reason.evidence.sentence}"
        best = max(reasons, key=reasons.__getitem__)
        at, threshold = reasons[best], reason.rule.threshold
        if at < threshold:
            unsure = f"the likeliest, {best}, is at {at:.2f}, below {threshold:.2f}"
            return True, f"{prefix}{said}; no reason is given: {unsure}"
        return False, f"{prefix}{said}; {best} ({at:.2f}): {reason.evidence.sentence}"


def _is_cry(part: TargetFiles, probability: float) -> bool:
    return part.evidence.supports_an_answer and probability >= part.rule.threshold


def _cry(part: TargetFiles, probability: float, segments: list[Segment]) -> tuple[bool, str]:
    """Return whether it is taken for a cry, and the words for it; of a long recording also when."""
    threshold, evidence, is_cry = part.rule.threshold, part.evidence, _is_cry(part, probability)
    if not evidence.supports_an_answer:
        return False, f"whether it is a cry cannot be told: {evidence.sentence}"
    said = f"{'a cry' if is_cry else 'not a cry'} ({probability:.2f}, threshold {threshold:.2f})"
    if len(segments) == 1:
        return is_cry, said
    found, lasts = stretches(segments), f"{segments[-1].end_s:.0f} s"
    if not found:
        return is_cry, f"{said} anywhere in its {lasts}"
    more = f" and {len(found) - SHOWN} more times" if len(found) > SHOWN else ""
    times = ", ".join(f"{start:.0f} to {end:.0f} s" for start, end in found[:SHOWN])
    return is_cry, f"{said} from {times}{more}, of {lasts}"


def _unread(path: Path, error: OSError) -> str:
    """Return why the file at ``path`` could not be read, as a sentence."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which is not there"
    return f"{path} cannot be read: {error.strerror}" if error.strerror else str(error)


def _below(seconds: float, limit: float) -> str:
    """Return ``seconds``, which are fewer than ``limit``, with as many digits as show that: at least two."""
    return next((t for d in range(2, 9) if float(t := f"{seconds:.{d}f}") < limit), f"{seconds!r}")


def audio_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files that ``paths`` name, as :func:`list_audio` does; what is left out of folders is logged."""
    listed = list_audio(paths)
    if listed.left_out:
        LOG.warning("left out: %s", listed.sentence)
    return listed.files


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
