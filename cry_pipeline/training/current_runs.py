"""Which run of an experiment there is: the one that was finished last.

Belongs here: the note of it beside the runs, and whether it is of the folds and parameters of now. Does not: a run's
digest (run_keys.py), which nobody else can tell: it holds what the machine that trained made of the parameters.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cry_pipeline.artefacts import DamagedFileError, MissingFileError, read_json, write_json
from cry_pipeline.catalog import Catalog
from cry_pipeline.folds.copies import parse_copy
from cry_pipeline.folds.splitting import folds_code_version
from cry_pipeline.training.run_keys import folds_digest, run_code_version

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger("cry_pipeline")
FILE = "current.json"


class NotTrainedError(ValueError):
    """There is no run of an experiment as it is now; the message says what it was not trained on."""


class RunReference(BaseModel):
    """A finished run, as noted in ``<runs>/<experiment>/current.json``.

    ``folds`` is the digest of the rows that it was trained on: those of its cohort and protocol less ``left_out``,
    recordings without features and why. ``rule`` is the folds' code version: of their cohort and protocol, and not of
    rows (None in what earlier versions noted). ``machine`` is what of the machine its digest holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str
    digest: str
    code_version: str
    folds: str
    rule: str | None = None
    features: str | None
    left_out: dict[str, str]
    machine: dict[str, str]


def run_folder(experiment: str, digest: str, runs: Path) -> Path:
    """Return where the run with this digest is kept: ``<runs>/<experiment>/<first 16 digits>``."""
    return runs / experiment / digest[:16]


def note_run(
    experiment: str, catalog: Catalog, digest: str, inputs: Mapping[str, Any], left_out: dict[str, str], runs: Path
) -> RunReference:
    """Let a run that is finished be its experiment's current one; ``inputs`` are those among its digest's parts."""
    reference = RunReference(
        experiment=experiment,
        digest=digest,
        code_version=run_code_version(catalog.experiments[experiment], catalog),
        folds=inputs["folds"],
        rule=_rule(experiment, catalog),
        features=inputs["features"],
        left_out=left_out,
        machine=inputs.get("machine", {}),
    )
    write_json(runs / experiment / FILE, reference.model_dump(mode="json"))
    return reference


def current_run(experiment: str, runs: Path) -> RunReference:
    """Return the run of ``experiment`` that was finished last.

    Raises:
        NotTrainedError: none was, or the note of it is damaged, which is said too; materializing the run again, whose
            folds are reused, writes it anew.
    """
    path = runs / experiment / FILE
    try:
        run = RunReference.model_validate(read_json(path))
    except MissingFileError:
        raise NotTrainedError(f"{experiment} has not been trained yet: materialize runs/{experiment}.") from None
    except (DamagedFileError, ValidationError) as error:
        LOG.warning("%s does not say which run there is (%s)", path, error)
        raise NotTrainedError(f"{path} is damaged: materialize runs/{experiment} again.") from None
    if run.experiment != experiment:
        raise NotTrainedError(f"{path} is of {run.experiment}: materialize runs/{experiment} again.")
    return run


def run_of_now(
    experiment: str,
    catalog: Catalog,
    folds: "pd.DataFrame",
    runs: Path,
    feature_digest: str | None = None,
    digest_of: "Callable[[RunReference, pd.DataFrame], str]" = lambda _, rows: folds_digest(rows),
) -> "tuple[RunReference, pd.DataFrame]":
    """Return the run that there is of ``experiment``, and the rows of ``folds`` that it was trained and tested on.

    Args:
        experiment: its name in the catalog.
        catalog: as it is now.
        folds: of the experiment's cohort and protocol, as they are now.
        runs: root folder of all runs.
        feature_digest: of the feature set as it is now; None to take any.
        digest_of: gives the digest of the rows that a run was trained on, if it is known already.

    Raises:
        NotTrainedError: there is no run, or it is of other folds, parameters, code, libraries or features than now's.
    """
    run = current_run(experiment, runs)
    trained_on = without(folds, run.left_out)
    other = None
    if run.code_version != run_code_version(catalog.experiments[experiment], catalog):
        other = "with these parameters, or this code"
    elif run.folds != digest_of(run, trained_on):
        other = "on these folds"
    elif feature_digest and run.features and run.features != feature_digest:
        other = "on these features"
    if other:
        raise NotTrainedError(f"{experiment} has not been trained {other} yet: materialize runs/{experiment}.")
    return run, trained_on


def is_as_written(run: RunReference, catalog: Catalog, feature_digest: str) -> bool:
    """Return whether a run is of the code, parameters, rule of folds and features of now, whatever its rows."""
    code_version = run_code_version(catalog.experiments[run.experiment], catalog)
    return (run.code_version, run.rule) == (code_version, _rule(run.experiment, catalog)) and (
        run.features in (None, feature_digest)
    )


def _rule(experiment: str, catalog: Catalog) -> str:
    spec = catalog.experiments[experiment]
    return folds_code_version(catalog.protocols[spec.protocol], catalog.cohorts[spec.cohort])


def without(folds: "pd.DataFrame", left_out: Mapping[str, str]) -> "pd.DataFrame":
    """Return ``folds`` less the recordings in ``left_out``, and less all copies of them."""
    if not left_out:
        return folds
    return folds[[parse_copy(name)[0] not in left_out for name in folds["recording_id"]]].reset_index(drop=True)
