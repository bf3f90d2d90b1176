"""A run of two untrained networks on sixteen short sounds, exported once for all tests."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from filelock import FileLock

from cry_pipeline.catalog import CohortSpec, FeatureSetSpec, LfebAttentionLstmSpec, load_catalog
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.records import Provenance
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.hybrid import RowStandardiser
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.inference import building
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.inference.export import Request, export_run
from cry_pipeline.training.calibration import Recalibration, calibrated, columns
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.fold_folders import write_fold
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm
from cry_pipeline.training.trainer import FittedNetwork
from cry_pipeline_tests.stated import manifest_of

FEATURES: FeatureSetSpec = load_catalog().feature_sets["mel64_8k"]
NETWORK = LfebAttentionLstmSpec.model_validate(
    {"kind": "lfeb_attention_lstm", "bins": 16, "channels": (4, 4, 4, 4), "heads": 2, "lstm_units": 4}
)
CLASSES = {"cry": ("not_cry", "cry"), "reason": ("hungry", "tired")}
RECALIBRATIONS = [Recalibration(2.0, (0.0, 0.3)), Recalibration(0.5, (0.0, -0.4))]
KEYS = ["recording_id", "donor", "label", "repeat", "fold"]


@dataclass(frozen=True)
class Made:
    """The run's members and folds, its audio files by recording id, and the exported graph."""

    members: tuple[FittedNetwork, ...]
    files: dict[str, Path]
    rows: Rows
    folds: pd.DataFrame
    graph: Path
    difference: float
    root: Path


def member(seed: int) -> FittedNetwork:
    """A network with weights and batch statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LfebAttentionLstm(2, NETWORK)
        for _ in range(3):
            network(torch.randn(8, 3, 16, 40) * 2 + 1, torch.full((8,), 40))
        standardiser = RowStandardiser(torch.randn(3, 16) * 5 - 60, torch.rand(3, 16) * 10 + 5)
    return FittedNetwork(network, standardiser, CLASSES["cry"], NETWORK)


def sounds(folder: Path) -> dict[str, Path]:
    """Sixteen WAV files of 1 to 2.9 s at 8 and 16 kHz, by the sha256 of their bytes."""
    rng, files = np.random.default_rng(0), {}
    for number in range(16):
        rate = 8000 * (1 + number % 2)
        seconds = 1 + 0.127 * number
        time = np.arange(round(rate * seconds)) / rate
        wave = 0.3 * np.sin(2 * np.pi * (300 + 60 * number) * time) * np.sin(3 * time) + rng.normal(0, 0.02, len(time))
        path = folder / f"{number:02d}.wav"
        soundfile.write(path, wave, rate)
        files[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    return files


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two donors' recordings each pair of classes and folds; features by extraction, as the pipeline makes them."""
    root = tmp_path_factory.mktemp("inference")
    (root / "audio").mkdir()
    files = sounds(root / "audio")
    ids = list(files)
    folds = pd.DataFrame(
        {
            "recording_id": ids,
            "donor": [f"donor-{number // 2}" for number in range(16)],
            "label": [CLASSES["cry"][number // 2 % 2] for number in range(16)],
            "repeat": np.int64(0),
            "fold": [number // 4 % 2 for number in range(16)],
        }
    )
    recordings = manifest_of(root / "audio", [files[name].name for name in ids])
    store = FeatureStore.open(root / "features", FEATURES).of(samples_of(recordings))
    extract(recordings, Roots(root / "audio"), store)
    rows = rows_of(folds, CLASSES["cry"], store.read(sorted(ids), NETWORK.inputs))
    members = (member(1), member(2))
    checkpoints = [root / f"{number}.safetensors" for number in range(2)]
    for fitted, path in zip(members, checkpoints, strict=True):
        fitted.save(path)
    graph, difference = exported_once(checkpoints, tmp_path_factory.getbasetemp())
    return Made(members, files, rows, folds, graph, difference, root)


def exported_once(checkpoints: list[Path], base: Path) -> tuple[Path, float]:
    """Export for all processes that share the tests: it takes half a minute, and their networks are equal."""
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    graph, result = shared / "exported.onnx", shared / "exported.json"
    with FileLock(shared / "exported.lock"):
        if not result.exists():
            names = [str(path) for path in checkpoints]
            request = Request(names, RECALIBRATIONS, FEATURES.model_dump(mode="json"), 1.0, str(graph))
            result.write_text(json.dumps(export_run(request)))
    return graph, json.loads(result.read_text())


def out_of_fold_of(made: Made, target: str) -> pd.DataFrame:
    """What each member says, offline and uncalibrated, of the recordings of its own fold."""
    parts = []
    for fold, fitted in enumerate(made.members):
        own = made.folds[made.folds["fold"] == fold].sort_values("recording_id", ignore_index=True)
        said = fitted.predict_probabilities(made.rows.take(own["recording_id"].tolist()))
        said_of = {f"p_{name}": said[:, code] for code, name in enumerate(CLASSES[target])}
        names = dict(zip(CLASSES["cry"], CLASSES[target], strict=True))
        parts.append(
            own.assign(label=own["label"].map(names), **said_of, **columns(RECALIBRATIONS[fold], CLASSES[target]))
        )
    return pd.concat(parts, ignore_index=True)


def expected_of(made: Made, rows: Rows) -> np.ndarray:
    """Return what each member says of ``rows``, calibrated ``[members, recordings, classes]``."""
    return np.stack(
        [
            calibrated(fitted.predict_probabilities(rows), *own)
            for fitted, own in zip(made.members, RECALIBRATIONS, strict=True)
        ]
    )


def write_run(runs: Path, candidate: Candidate, members: tuple[FittedNetwork, ...]) -> None:
    """Write the candidate's run folder as training would have."""
    candidate.run.mkdir(parents=True)
    for fold, own in enumerate(members):
        predictions = candidate.predictions[candidate.predictions["fold"] == fold]
        fitted = FittedNetwork(own.network, own.standardiser, candidate.cohort.classes, NETWORK)
        digest = candidate.evidence.provenance.run_digest
        write_fold(candidate.fold(fold), fitted, predictions, {"digest": digest, "fold": fold})


@pytest.fixture
def candidate(made: Made, tmp_path: Path) -> Callable[..., Candidate]:
    """Return a function that makes a candidate; other predictions make another run."""

    def make(
        target: Literal["cry", "reason"] = "cry", predictions: pd.DataFrame | None = None, verdict: str = "above chance"
    ) -> Candidate:
        own = out_of_fold_of(made, target) if predictions is None else predictions
        run = hashlib.sha256(own.to_json().encode()).hexdigest()
        classes, name = CLASSES[target], f"{target}_network"
        labels = {name: name for name in classes} if target == "reason" else {"hungry": "hungry"}
        content = {"processing": "raw", "sources": ["inbox"], "target": target, "labels": labels, "classes": classes}
        provenance = Provenance(
            experiment=name,
            cohort=target,
            feature_set="mel64_8k",
            model="network",
            protocol="donor_grouped",
            protocol_kind="donor_grouped",
            keeps_donors_apart=True,
            seed=0,
            run_digest=run,
            feature_digest="f" * 64,
            sources=("inbox",),
        )
        found = evaluate(own, classes, target, folds=own[KEYS], provenance=provenance, resamples=100)
        found = found.model_copy(update={"verdict": verdict})
        folder = tmp_path / "runs" / name / run[:16]
        made_of = Candidate(name, CohortSpec.model_validate(content), FEATURES, folder, own, found)
        if not folder.exists():
            write_run(tmp_path / "runs", made_of, made.members)
        return made_of

    return make


@pytest.fixture
def _exported_before(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bundles of the same networks have the graph that was exported once: an export takes many seconds."""
    import cry_pipeline.inference.export as module

    def copy(request: Request) -> float:
        Path(request.path).write_bytes(made.graph.read_bytes())
        return made.difference

    monkeypatch.setattr(module, "export_run", copy)


@pytest.fixture
def bundle(candidate: Callable[..., Candidate], _exported_before: None, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that builds a bundle with evidence of the verdicts given."""

    def build(cry: str = "above chance", reason: str | None = None) -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir()
        made_of = {"cry": candidate("cry", verdict=cry)}
        if reason:
            made_of["reason"] = candidate("reason", verdict=reason)
        building.build_bundle(made_of, folder)  # pyright: ignore[reportArgumentType]
        return folder

    return build


def relabelled(predictions: pd.DataFrame, correct: float) -> pd.DataFrame:
    """Predictions that are right by ``correct`` (0 to 1) in every row."""
    classes = [str(name).removeprefix("p_") for name in predictions if str(name).startswith("p_")]
    columns = {
        f"p_{name}": np.where(predictions["label"] == name, correct, (1 - correct) / (len(classes) - 1))
        for name in classes
    }
    return predictions.assign(**columns)
