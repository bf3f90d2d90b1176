"""A bundle: the folder that holds an exported champion and all that is said about it.

Belongs here: which files there are, writing them whole, and reading them strictly. Does not: making their content
(building.py, card.py), and choosing which bundle is the champion (promotion.py).

    manifest.json                 digest of what went in; size and sha256 of every other file
    MODEL_CARD.md
    cry/, reason/                 one folder for each target (reason may be absent):
        model.onnx                samples → probabilities, the feature transform inside
        weights.safetensors       weights and standardisation of every fold model
        feature_spec.json  labels.json  calibration.json  evidence.json  provenance.json
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cry_pipeline.artefacts import read_plain, sync
from cry_pipeline.digests import sha256_of
from cry_pipeline.targets import QUESTIONS, Target
from cry_pipeline.training.calibration import Recalibration

MANIFEST, CARD = "manifest.json", "MODEL_CARD.md"
MODEL, WEIGHTS = "model.onnx", "weights.safetensors"
FEATURES, LABELS, CALIBRATION, EVIDENCE, PROVENANCE = (
    f"{name}.json" for name in ("feature_spec", "labels", "calibration", "evidence", "provenance")
)
WAY_OUT = "export the champion again with `cry-pipeline run`, or go back with `cry-pipeline champion rollback`"
MAX_BYTES = 2**32
"""Of all files together, which are read into memory; an ensemble of five ResNet-50 has a fourth of that."""
FORMAT, READ = 2, (1, 2)
"""What is written, raised when a change of the files means that older code cannot read them; and what is read. In
format 1 probabilities were calibrated by temperatures, the inverses of slopes, alone."""


class BundleError(ValueError):
    """A folder is not a bundle, or not what was written; the message names the file and what to do."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class FeatureInput(_Content):
    """Of ``feature_spec.json``, what decoding has to know; the rest is inside the graph."""

    sample_rate_hz: int


class Labels(_Content):
    """``labels.json``: ``classes`` in the order of the graph's outputs."""

    target: Target
    classes: tuple[str, ...]
    min_duration_s: float = Field(description="shorter recordings were not trained on")


class AnswerRule(_Content):
    """``calibration.json``: how probabilities were calibrated, and from which on they are acted upon."""

    method: str
    slopes: tuple[float, ...] = Field(description="of each fold model")
    intercepts: tuple[tuple[float, ...], ...] = Field(description="of each fold model, by class")
    threshold: float = Field(description="least probability of a cry, or of a reason that is given as the answer")
    at_threshold: dict[str, float] = Field(default_factory=dict, description="out-of-fold recall, precision …")

    @model_validator(mode="before")
    @classmethod
    def _of_format_1(cls, given: Any) -> Any:
        """Raises: ValueError: the temperatures are no numbers above 0."""
        if not isinstance(given, dict) or "temperatures" not in given:
            return given
        said = given["temperatures"]
        if not (isinstance(said, list) and all(isinstance(value, float | int) and value > 0 for value in said)):
            raise ValueError("temperatures: not all are numbers above 0")
        return given | {"slopes": [1 / value for value in said], "intercepts": [[0.0] for _ in said]}

    @model_validator(mode="after")
    def _one_for_each_model(self) -> Self:
        if len(self.slopes) != len(self.intercepts):
            raise ValueError(f"{len(self.slopes)} slopes, but intercepts of {len(self.intercepts)} fold models")
        return self

    @property
    def recalibrations(self) -> list[Recalibration]:
        """What calibrates each fold model; an intercept that stands alone is that of every class."""
        return [Recalibration(*own) for own in zip(self.slopes, self.intercepts, strict=True)]


class EvidenceSummary(_Content):
    """Of ``evidence.json``, what a prediction needs."""

    verdict: str
    sentence: str
    synthetic: bool

    @property
    def supports_an_answer(self) -> bool:
        """Whether the evidence says that the model knows anything."""
        return self.verdict == "above chance"


@dataclass(frozen=True)
class TargetFiles:
    """One target's part of a bundle, read."""

    model: bytes
    features: FeatureInput
    labels: Labels
    rule: AnswerRule
    evidence: EvidenceSummary


@dataclass(frozen=True)
class Bundle:
    """A bundle, read and verified; ``targets`` has ``cry`` and perhaps ``reason``."""

    folder: Path
    digest: str
    targets: dict[Target, TargetFiles]


def write_manifest(folder: Path, digest: str, about: Mapping[str, Any]) -> None:
    """Make ``folder`` a bundle by writing the manifest of all files in it, and sync them to disk.

    Args:
        folder: holds every other file already.
        digest: of what the bundle was made from.
        about: further entries, JSON types.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _describe(path.read_bytes()) for path in paths}
    (folder / MANIFEST).write_text(_render({"format": FORMAT, "digest": digest, **about, "files": files}), "utf-8")
    for path in [*paths, folder / MANIFEST, *(path for path in folder.iterdir() if path.is_dir()), folder]:
        sync(path)


def read_bundle(folder: Path) -> Bundle:
    """Read and verify the bundle in ``folder``: every file, byte for byte.

    Raises:
        BundleError: there is no bundle; a file is missing, changed, or not listed; the manifest was changed.
    """
    manifest = _read_manifest(folder)
    contents = _verified(folder, manifest["files"])
    targets: dict[Target, TargetFiles] = {}
    for target in QUESTIONS:
        if f"{target}/{MODEL}" in contents:
            targets[target] = _target(folder, target, contents)
    if "cry" not in targets:
        raise BundleError(f"{folder} holds no model that knows a cry: {WAY_OUT}")
    return Bundle(folder, manifest["digest"], targets)


def digest_of(folder: Path) -> str:
    """Return the digest that the manifest in ``folder`` states; the other files are not looked at.

    Raises:
        BundleError: there is no bundle, or its manifest was changed.
    """
    return _read_manifest(folder)["digest"]


def verify(folder: Path) -> str:
    """Return the digest of the bundle in ``folder`` after checking every byte; raises as :func:`read_bundle`."""
    return read_bundle(folder).digest


def _target(folder: Path, target: Target, contents: Mapping[str, bytes]) -> TargetFiles:
    try:
        part = {name: contents[f"{target}/{name}"] for name in (MODEL, FEATURES, LABELS, CALIBRATION, EVIDENCE)}
        return TargetFiles(
            part[MODEL],
            FeatureInput.model_validate_json(part[FEATURES]),
            Labels.model_validate_json(part[LABELS]),
            AnswerRule.model_validate_json(part[CALIBRATION]),
            EvidenceSummary.model_validate_json(part[EVIDENCE]),
        )
    except (KeyError, ValueError) as error:
        raise BundleError(f"{folder / target} is not part of a bundle ({error}): {WAY_OUT}") from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        text = read_plain(path).decode()
        manifest = json.loads(text)
        kind, digest, files = manifest["format"], manifest["digest"], manifest["files"]
        stated = {name: (int(about["bytes"]), str(about["sha256"])) for name, about in files.items()}
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no bundle, there is no {MANIFEST}: {WAY_OUT}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {WAY_OUT}") from error
    if kind not in READ:
        newer = isinstance(kind, int) and kind > FORMAT
        made_by = f", made by cry_pipeline {manifest.get('cry_pipeline')}" if newer else ""
        what_to_do = f"install that version or a newer one, or {WAY_OUT}" if newer else WAY_OUT
        known = " and ".join(map(str, READ))
        raise BundleError(f"{path} is of format {kind!r}{made_by}; this version reads {known}: {what_to_do}")
    if text != _render({name: value for name, value in manifest.items() if name != "sha256"}):
        raise BundleError(f"{path} is not what was written: {WAY_OUT}")
    if (total := sum(size for size, _ in stated.values())) > MAX_BYTES:
        raise BundleError(f"{folder} states {total} bytes; a bundle has at most {MAX_BYTES}: {WAY_OUT}")
    return {"digest": str(digest), "files": files}


def _verified(folder: Path, files: Mapping[str, Any]) -> dict[str, bytes]:
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    for name in sorted(present ^ set(files)):
        fault = "is missing" if name in files else "is not in the manifest"
        raise BundleError(f"{folder / name} {fault}: {WAY_OUT}")
    contents: dict[str, bytes] = {}
    for name, described in files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size == described["bytes"]:  # before it is read: it may be of any size
                contents[name] = read_plain(path)
        except OSError as error:
            raise BundleError(f"{path} cannot be read ({error.strerror}): {WAY_OUT}") from error
        if name not in contents or _describe(contents[name]) != described:
            raise BundleError(f"{path} is not what was written: {WAY_OUT}")
    return contents


def _render(manifest: Mapping[str, Any]) -> str:
    """Return the manifest's one text form, with the sha256 of itself, so that a change of any byte shows."""
    canonical = json.dumps(manifest, sort_keys=True, ensure_ascii=False)
    complete = {**manifest, "sha256": sha256_of(canonical.encode(errors="backslashreplace"))}
    return json.dumps(complete, indent=1, ensure_ascii=False) + "\n"


def _describe(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": sha256_of(content)}
