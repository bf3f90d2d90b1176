"""Candidates → a bundle's files.

Belongs here: loading the fold models of a run, exporting them, and writing what is known about them. Does not: the
graph (export.py), the card's text (card.py), the folder's rules (bundle.py), and promotion (promotion.py).
"""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cry_pipeline import keys
from cry_pipeline.features.kinds import feature_set_digest, parameters
from cry_pipeline.inference import bundle as files
from cry_pipeline.inference.candidates import STAGE, Candidate, CandidateError, bundle_digest, of_repeat
from cry_pipeline.inference.card import model_card
from cry_pipeline.targets import Target
from cry_pipeline.version import __version__

LOG = logging.getLogger("cry_pipeline")
THRESHOLD = 0.5
"""Of a cry: more probable than not, where cries are as frequent as in the corpus. Of a reason: more probable than all
others together."""
METHOD = "softmax(slope * log p + intercepts) of each fold model's probabilities p, mean over the fold models"


def build_bundle(candidates: Mapping[Target, Candidate], folder: Path) -> None:
    """Write the bundle that ``candidates`` make into ``folder``, which exists and is empty.

    Raises:
        ExportError: the graph differs from torch, or a run is of models that cannot be exported.
        CandidateError: the fold models of a run do not fit together.
    """
    from cry_pipeline.inference.confusers import ask, made, write_asked
    from cry_pipeline.inference.export import exports_ended

    cry = candidates.get("cry")
    operating: dict[Target, dict[str, float]] = {
        target: operating_point(candidate) for target, candidate in candidates.items()
    }
    with ThreadPoolExecutor() as threads, exports_ended():  # each waits for the process that exports
        writing = {
            target: threads.submit(_write_target, candidate, folder / target, operating[target])
            for target, candidate in candidates.items()
        }
        sounds = made(cry.confusers, cry.feature_set.sample_rate_hz) if cry and cry.confusers else None
        differences = {target: written.result() for target, written in writing.items()}
    asked = ask(folder / "cry" / files.MODEL, THRESHOLD, sounds) if sounds else None
    if asked:
        write_asked(folder / "cry", asked)
    card = model_card(candidates, operating, bundle_digest(candidates), asked)
    (folder / files.CARD).write_text(card, encoding="utf-8")
    experiments = {target: candidate.experiment for target, candidate in candidates.items()}
    about = {"cry_pipeline": __version__, "experiments": experiments, "largest_difference_from_torch": differences}
    files.write_manifest(folder, bundle_digest(candidates), about)


def operating_point(candidate: Candidate) -> dict[str, float]:
    """Return what the out-of-fold predictions of repeat 0, as the bundle calibrates them, get right at THRESHOLD.

    For ``cry`` recall, specificity and precision of calling a recording a cry; for ``reason`` the share of recordings
    that get an answer, and the accuracy of these answers (absent where none does).
    """
    stored = of_repeat(candidate.predictions, 0)
    probabilities = candidate.probabilities
    truth = stored["label"].map(candidate.cohort.classes.index).to_numpy()
    if candidate.cohort.target == "cry":
        said, cry = probabilities[:, 1] >= THRESHOLD, truth == 1
        shares = {"recall": _share(said[cry]), "specificity": _share(~said[~cry]), "precision": _share(cry[said])}
    else:
        answered = probabilities.max(axis=1) >= THRESHOLD
        right = probabilities.argmax(axis=1) == truth
        shares = {"answered": _share(answered), "accuracy_of_answers": _share(right[answered])}
    return {name: round(value, 4) for name, value in shares.items() if np.isfinite(value)}


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def _write_target(candidate: Candidate, folder: Path, operating: dict[str, float]) -> float:
    """Write one target's files; return the largest difference between the graph and torch."""
    from safetensors.numpy import save

    from cry_pipeline.inference.export import Request, export_run
    from cry_pipeline.training.checkpoints import HEADER, read_checkpoint
    from cry_pipeline.training.fold_folders import CHECKPOINT, read_provenance

    folder.mkdir()
    LOG.info("Exporting %s: %d fold models into one graph", candidate.experiment, len(candidate.members))
    tensors, headers, folds = {}, {}, []
    for fold in candidate.members:
        checkpoint = read_checkpoint(candidate.fold(fold) / CHECKPOINT)
        if checkpoint.classes != candidate.cohort.classes:
            raise CandidateError(
                f"{candidate.experiment}: fold {fold} tells {', '.join(checkpoint.classes)} apart, the cohort "
                f"{', '.join(candidate.cohort.classes)}: train the run again"
            )
        tensors |= {f"fold-{fold}/{name}": values for name, values in checkpoint.tensors.items()}
        headers[f"fold-{fold}"] = {"kind": checkpoint.kind, "classes": checkpoint.classes, "spec": checkpoint.spec}
        folds.append(read_provenance(candidate.fold(fold)))
    difference = export_run(
        Request(
            [str(candidate.fold(fold) / CHECKPOINT) for fold in candidate.members],
            candidate.recalibrations,
            parameters(candidate.feature_set),
            candidate.cohort.min_duration_s,
            str(folder / files.MODEL),
        )
    )
    (folder / files.WEIGHTS).write_bytes(save(tensors, metadata={HEADER: json.dumps(headers, sort_keys=True)}))
    for name, content in _documents(candidate, operating, folds).items():
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return difference


def _documents(candidate: Candidate, operating: dict[str, float], folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON files that stand beside the graph."""
    evidence, cohort = candidate.evidence, candidate.cohort
    return {
        files.FEATURES: parameters(candidate.feature_set),
        files.LABELS: {"target": cohort.target, "classes": cohort.classes, "min_duration_s": cohort.min_duration_s},
        files.CALIBRATION: {
            "method": METHOD,
            "slopes": [own.slope for own in candidate.recalibrations],
            "intercepts": [own.intercepts for own in candidate.recalibrations],
            "threshold": THRESHOLD,
            "at_threshold": operating,
        },
        files.EVIDENCE: {
            "sentence": evidence.sentence,
            "synthetic": evidence.synthetic,
            **evidence.model_dump(mode="json", by_alias=True),
        },
        files.PROVENANCE: {
            "experiment": candidate.experiment,
            "run": evidence.provenance.run_digest,
            "evidence": evidence.digest,
            "feature_set": feature_set_digest(candidate.feature_set),
            "export_revision": keys.STAGES[STAGE].revision,
            "exported_with": {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")},
            "folds": folds,
        },
    }
