"""What reports are made from: the evidence that there is now, and the runs behind it.

Belongs here: looking up, for the recordings and parameters of now, what was evaluated. Does not: making any of it
(assets/), or what a report does with it (evaluation).
"""

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cry_pipeline.artefacts import MissingFileError
from cry_pipeline.catalog import Catalog
from cry_pipeline.folds.copies import recordings_of
from cry_pipeline.orchestration.current import Now, feature_digest_of
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.evaluation.predictions import OutOfFold
    from cry_pipeline.evaluation.records import Evidence
    from cry_pipeline.reports.run_details import RunDetails

LOG = logging.getLogger("cry_pipeline")


class Found(NamedTuple):
    """Evidence of the catalog's experiments, in its order, and why there is none of the others, by name."""

    evidence: "list[Evidence]"
    not_run: dict[str, str]


def find_evidence(catalog: Catalog, workspace: Workspace, *, of_before: bool = False) -> Found:
    """Return the evidence of all experiments, as the folds and parameters of now make it.

    What was not materialized, or only for folds or parameters of before, is ``not_run``, and so is damaged evidence:
    it stops no report. Each has the verdict that it has among all that were tried. With ``of_before`` what is of the
    parameters of now, and only of other recordings, is among the evidence nevertheless, and why in ``not_run``: until
    enough donations are judged for another training, there is no other, and a page would show nothing from the first
    one on.
    """
    from cry_pipeline.evaluation.evidence import evidence_digest, evidence_folder, read_evidence
    from cry_pipeline.evaluation.families import in_families
    from cry_pipeline.evaluation.predictions import EvidenceError
    from cry_pipeline.evaluation.records import DAMAGED, NOT_RUN, OF_BEFORE
    from cry_pipeline.training.current_runs import NotTrainedError

    evidence, not_run, now = [], {}, Now(catalog, workspace)
    for name, experiment in catalog.experiments.items():
        if not workspace.folds_path(experiment.folds_name).exists():
            not_run[name] = NOT_RUN
            continue
        cohort = catalog.cohorts[experiment.cohort]
        try:
            key = evidence_digest(now.provenance_of(name), cohort.classes, cohort.target)
            evidence.append(read_evidence(evidence_folder(workspace.settings.evidence, name, key), key))
        except (MissingFileError, NotTrainedError):
            known = _of_before(name, catalog, workspace, now) if of_before else None
            evidence += [known] if known else []
            not_run[name] = OF_BEFORE if known else NOT_RUN
        except EvidenceError as error:
            LOG.warning("%s", error)
            not_run[name] = DAMAGED
    return Found(in_families(evidence), not_run)


def _of_before(name: str, catalog: Catalog, workspace: Workspace, now: Now) -> "Evidence | None":
    """Return the evidence of the last run of experiment ``name``, of other recordings than those of now.

    None where parameters or code are others, too, or a recording of then is no more: what was withdrawn, say.
    """
    from cry_pipeline.evaluation.kept_runs import kept_runs
    from cry_pipeline.evaluation.predictions import EvidenceError
    from cry_pipeline.training.current_runs import NotTrainedError, current_run, is_as_written
    from cry_pipeline.training.fold_folders import DamagedFoldError

    settings = workspace.settings
    try:
        run = current_run(name, settings.runs)
        if not is_as_written(run, catalog, feature_digest_of(name, catalog)):
            return None
        there = kept_runs(name, settings.evidence, settings.runs)
        kept = next((one for one in there if one.digest == run.digest), None)
        known = set(now.recordings()["recording_id"])
        return kept.evidence if kept and known.issuperset(recordings_of(kept.rows().recording_ids)) else None
    except NotTrainedError:
        return None
    except (EvidenceError, DamagedFoldError) as error:
        LOG.warning("%s is not shown as it was before: %s", name, error)
        return None


def predictions_of(
    names: Collection[str], evidence: "Sequence[Evidence]", catalog: Catalog, workspace: Workspace
) -> "dict[str, OutOfFold]":
    """Return the out-of-fold predictions of those experiments among ``names`` that there is evidence of.

    A run that is damaged is said and left out: it stops no report, and is trained again when it is materialized.
    """
    from cry_pipeline.training.fold_folders import DamagedFoldError

    rows, now = {}, Now(catalog, workspace)
    for result in evidence:
        name = result.provenance.experiment
        try:
            if name in names:
                rows[name] = _rows(result, workspace, now)
        except DamagedFoldError as error:
            LOG.warning("%s is left out of reports that compare its predictions: %s", name, error)
    return rows


def details_of(result: "Evidence", catalog: Catalog, workspace: Workspace) -> "RunDetails":
    """Return what the run behind ``result`` left for its page."""
    from cry_pipeline.reports.run_details import read_details, show_mistakes, surest_mistakes

    run = result.provenance
    experiment, mistakes = catalog.experiments[run.experiment], []
    if catalog.models[experiment.model].inputs:
        store = workspace.store(catalog.feature_sets[experiment.feature_set])
        rows = _rows(result, workspace, Now(catalog, workspace))
        mistakes = show_mistakes(surest_mistakes(rows), workspace.recordings(), store)
    return read_details(workspace.settings.runs / run.experiment / run.run_digest[:16], mistakes)


def _rows(result: "Evidence", workspace: Workspace, now: Now) -> "OutOfFold":
    from cry_pipeline.evaluation.kept_runs import kept_runs
    from cry_pipeline.evaluation.predictions import out_of_fold
    from cry_pipeline.training.current_runs import NotTrainedError
    from cry_pipeline.training.runs import read_run

    run, settings = result.provenance, workspace.settings
    try:
        _, folds = now.trained(run.experiment)
    except NotTrainedError:  # of the recordings of before
        there = kept_runs(run.experiment, settings.evidence, settings.runs)
        return next(kept for kept in there if kept.digest == run.run_digest).rows()
    predictions = read_run(run.experiment, run.run_digest, folds, settings.runs)
    return out_of_fold(predictions, folds, result.classes, run.experiment)
