"""What enters which key: the revision and the libraries of every stage, in one table.

Belongs here: what all keys are made of, and :data:`STAGES`, from which ``docs/keys.md`` is made. Does not: a stage's
spec and inputs (each stage gives its own), nor the one canonical form and hash (digests.py).

*Equal digest ⇒ equal result* holds only if all that can change a result is in the digest. A key therefore has four
parts: the spec (parameters), the inputs (digests of what was read), the stage's revision, and the versions of the
libraries that can change its values. Dagster's ``code_version`` is the same less the inputs, so that the UI cannot call
fresh what the cache calls changed.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cry_pipeline.digests import digest


@dataclass(frozen=True)
class Stage:
    """One kind of artefact: what its key holds.

    ``revision`` is raised by hand when a change of code changes results; a guard in the tests notices that it should
    be. Of ``libraries`` the minor version enters the key, of those in ``exact`` the whole version.
    """

    holds: str
    """What spec and inputs are, in words, for ``docs/keys.md``."""
    revision: int
    libraries: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()


DRAWN = ("matplotlib", "numpy")
"""Of what shows figures and resampled differences."""

RUN_HOLDS = (
    "the model's parameters, its implementation's own revision, the classes in order, the seed; the folds' rows, the "
    "feature set and the versions of those rows, what the model reads of the manifest; of networks the class of "
    "accelerator, the precision, the weights started from (their sha256, or random)"
)
"""A run's stage is that of the libraries that fit its model: of values, a network, or an ensemble of both."""
RUN_REVISION = 3
"""Raised when another choice of the rows that a fold sees, or of its seed, changes predictions."""

STAGES: dict[str, Stage] = {
    "hashes": Stage("folder, path, size, mtime, ctime and inode of a file", revision=2),
    "intake": Stage("what the manifest is made under, less the inventory", revision=1),
    "inventory": Stage(
        "what the sources hold: path, size and sha256 of every file, or why it was not read; of donations what the "
        "archive holds, and what was refused",
        revision=3,
    ),
    "probe": Stage("sha256 of the file's bytes", revision=4, exact=("av", "numpy", "soxr")),
    "judgements": Stage("what every judgement says", revision=1),
    "manifest": Stage(
        "the shortest duration; fingerprint of the inventory; what counts of what was judged; the probes' key",
        revision=4,
    ),
    "feature_set": Stage(
        "the feature set's parameters; the revision of each kind that it holds. Each row has a key of its own beside"
        " it: recording_id and samples_digest",
        revision=3,
        exact=("soxr",),
    ),
    "folds": Stage(
        "the protocol; the cohort's rows (id, donor, label; the time for temporal)",
        revision=1,
        libraries=("scikit-learn",),
    ),
    "null": Stage(
        "how many times labels are dealt, and from which seed; the protocol; the digest of the run",
        revision=1,
        libraries=("numpy", "scikit-learn"),
    ),
    "evidence": Stage(
        "the cohort's classes and target, resamples, seed; digests of the run, its null, its features and the runs "
        "that probe shortcuts; where the recordings come from, and what the manifest tells of them",
        revision=4,
        libraries=("numpy", "scipy"),
    ),
    "leaderboard": Stage(
        "the page's templates; digests of all evidence; what there is no evidence of", revision=7, libraries=DRAWN
    ),
    "experiment_page": Stage(
        "the page's templates; digests of the evidence and of its twin's; descriptions in the catalog",
        revision=9,
        libraries=DRAWN,
    ),
    "site": Stage(
        "the page's templates; digests of all evidence; what there is no evidence of; a refused challenger; "
        "descriptions of the cohorts",
        revision=7,
        libraries=DRAWN,
    ),
    "leakage_ladder": Stage(
        "the page's templates; which experiments are its rungs; digests of their evidence", revision=4, libraries=DRAWN
    ),
    "hybrid_ablation": Stage(
        "the page's templates; which experiments are compared; digests of their evidence", revision=4, libraries=DRAWN
    ),
    "model_comparison": Stage(
        "the page's templates; which models have a network; digests of their evidence", revision=3, libraries=DRAWN
    ),
    "feature_sets_report": Stage(
        "the page's templates; digests and descriptions of the feature sets; the recordings shown, and how many were "
        "resampled; digests of all evidence",
        revision=5,
        libraries=DRAWN,
    ),
    "champion_page": Stage(
        "the page's templates; the champion's history, answers and model card; whether its runs are the latest ones",
        revision=3,
        libraries=("markdown-it-py",),
    ),
    "manifest_page": Stage(
        "the page's templates; the cohorts; digests of manifest and quarantine; how the corpus came about",
        revision=2,
        libraries=DRAWN,
    ),
    "donations_page": Stage(
        "the page's templates; the cohorts that take donations, and which they hold; digests of donations' rows of "
        "manifest and quarantine, of triage and judgements; when each arrived; which features there are",
        revision=3,
        libraries=DRAWN,
    ),
    "live_page": Stage(
        "the page's templates; what the catalog says of donations; what happened to them: see donations.live",
        revision=2,
        libraries=(*DRAWN, "scipy"),
    ),
    "store_page": Stage(
        "the page's templates; what is stored of each feature set; which experiments use it, and digests of all "
        "evidence",
        revision=3,
        libraries=DRAWN,
    ),
    "how_much_page": Stage(
        "the page's templates; digests of the evidence of what asks for the reason, and of the detectors that are "
        "trained on shares of the donors",
        revision=3,
        libraries=(*DRAWN, "scikit-learn", "scipy"),
    ),
    "relistening_page": Stage(
        "the page's templates; which judgement counts; digests of judgements, samples and the champion's run",
        revision=2,
        libraries=(*DRAWN, "scikit-learn"),
    ),
    "contradicted_labels": Stage(
        "the page's templates; digests of the evidence of the models that are asked, and of manifest and quarantine",
        revision=1,
        libraries=DRAWN,
    ),
    "confusers_page": Stage(
        "the page's templates; what the champion says of made-up sounds that are no cries",
        revision=1,
        libraries=DRAWN,
    ),
    "flow_page": Stage(
        "the page's templates; the cohorts; digests of manifest and quarantine; what has no features; digests of all "
        "evidence",
        revision=1,
    ),
    "checklist_page": Stage("the page's templates; what the lists ask, and where it is answered", revision=1),
    "compare": Stage(
        "the page's templates and script; digests of the evidence of now and of earlier runs on the same folds, and "
        "when these were trained; of which feature sets the parameters are known",
        revision=4,
        libraries=("numpy",),
    ),
    "scores": Stage("the bundle that was asked; each row is of one recording_id", revision=1),
    "triage": Stage(
        "the precision and the audit share asked for; the champions' out-of-fold predictions; the scores of donations",
        revision=1,
    ),
    "bundle": Stage(
        "classes and shortest duration of the cohorts; digests of the runs and their evidence; the verdicts; which "
        "made-up sounds are asked",
        revision=5,
        libraries=("onnx", "onnxscript", "torch"),
    ),
    "run_values": Stage(RUN_HOLDS, RUN_REVISION, libraries=("scikit-learn",)),
    "run_network": Stage(RUN_HOLDS, RUN_REVISION, libraries=("pytorch-lightning", "torch")),
    "run_ensemble": Stage(RUN_HOLDS, RUN_REVISION, libraries=("pytorch-lightning", "scikit-learn", "torch")),
}
"""Every stage that keeps something under a key."""


def code_parts(stage: str, spec: Any) -> dict[str, Any]:
    """Return what a key of ``stage`` holds besides the data: ``spec``, ``revision``, ``libraries``; JSON types.

    A library that is not installed has the version ``none``: the graph can be looked at without it.

    Raises:
        KeyError: there is no such stage.
    """
    entry = STAGES[stage]
    libraries = {name: minor_version(name) for name in entry.libraries} | {name: _version(name) for name in entry.exact}
    return {"stage": stage, "spec": spec, "revision": entry.revision, "libraries": libraries}


def code_version(stage: str, spec: Any) -> str:
    """Return the sha256 of :func:`code_parts`, for Dagster."""
    return digest(**code_parts(stage, spec))


def key(stage: str, spec: Any, inputs: Any) -> str:
    """Return the sha256, as 64 hex digits, under which an artefact of ``stage`` is kept: code and data."""
    return digest(**code_parts(stage, spec), inputs=inputs)


def minor_version(library: str) -> str:
    """Return ``major.minor`` of an installed distribution."""
    return ".".join(_version(library).split(".")[:2])


@cache
def _version(library: str) -> str:
    try:
        return version(library).partition("+")[0]
    except PackageNotFoundError:
        return "none"
