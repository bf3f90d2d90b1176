"""``models/champion``: the bundle that predicts, promoted only where it has earned it."""

from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.orchestration.asset_keys import CHAMPION, evidence_key, run_key
from cry_pipeline.orchestration.checks import told
from cry_pipeline.orchestration.conditions import when_stale
from cry_pipeline.orchestration.current import Now
from cry_pipeline.orchestration.found import find_evidence
from cry_pipeline.orchestration.reporting import OWNERS, materialized, points, table
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from cry_pipeline.evaluation.records import Evidence
    from cry_pipeline.inference.candidates import Candidate
    from cry_pipeline.inference.promotion import Decision
    from cry_pipeline.targets import Target

PER_FOLD = 8
"""Recordings of each fold that the check hears again; promotion itself compares all of them."""


def champion_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the champion's asset; none where the catalog names no candidates."""
    return [champion_asset(catalog)] if catalog.champion.cry else []


def champion_checks(catalog: Catalog) -> list[dg.AssetChecksDefinition]:
    """Return the champion's checks, as :func:`champion_assets`."""
    return [parity_check(), challenger_check()] if catalog.champion.cry else []


def candidate_names(catalog: Catalog) -> "dict[Target, tuple[str, ...]]":
    """Return the experiments that may be exported, by target; a target without any is left out."""
    names: dict[Target, tuple[str, ...]] = {"cry": catalog.champion.cry, "reason": catalog.champion.reason}
    return {target: experiments for target, experiments in names.items() if experiments}


def candidates_of(catalog: Catalog, workspace: Workspace) -> "dict[Target, Candidate]":
    """Return the best candidate for each target, of those that have been run, with what is known of other models."""
    from cry_pipeline.inference.candidates import best

    evidence = {known.provenance.experiment: known for known in find_evidence(catalog, workspace).evidence}
    taken: dict[Target, Candidate] = {
        target: best(candidate_of(evidence[name], catalog, workspace) for name in names if name in evidence)
        for target, names in candidate_names(catalog).items()
    }
    return {
        target: replace(
            candidate,
            others=tuple(_others(candidate.evidence, evidence.values())),
            confusers=catalog.champion.confusers if target == "cry" else 0,
        )
        for target, candidate in taken.items()
    }


def _others(evidence: "Evidence", known: "Iterable[Evidence]") -> "Iterator[Evidence]":
    """Yield what is known of other models on the same cohort."""
    for other in known:
        if other.provenance.cohort == evidence.provenance.cohort and other.digest != evidence.digest:
            yield other


def candidate_of(evidence: "Evidence", catalog: Catalog, workspace: Workspace) -> "Candidate":
    """Return the experiment that ``evidence`` is of, with its run."""
    from cry_pipeline.inference.candidates import Candidate
    from cry_pipeline.training.runs import read_run

    name, run = evidence.provenance.experiment, evidence.provenance.run_digest
    experiment, runs = catalog.experiments[name], workspace.settings.runs
    return Candidate(
        name,
        catalog.cohorts[experiment.cohort],
        catalog.feature_sets[experiment.feature_set],
        runs / name / run[:16],
        read_run(name, run, Now(catalog, workspace).trained(name)[1], runs),
        evidence,
    )


def audio_of(workspace: Workspace) -> "Callable[[str], Path | None]":
    """Return a function from a recording id to its file; None of a recording that is no more in the manifest."""
    columns = ["recording_id", "root", "path"]
    places = {row[0]: (row[1], row[2]) for row in workspace.recordings()[columns].itertuples(index=False)}
    roots = workspace.roots()
    return lambda recording: roots.locate(*places[recording]) if recording in places else None


def champion_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the asset that exports the best candidates and promotes them if they are not worse."""
    from cry_pipeline.inference.candidates import bundle_code_version

    study, _ = catalog.study_only()
    names = [name for experiments in candidate_names(catalog).values() for name in experiments if name not in study]

    @dg.asset(
        key=CHAMPION,
        # A candidate of the study is held against the others if it is there; nobody waits for it.
        deps=[key(name, catalog) for key in (run_key, evidence_key) for name in names],
        group_name="models",
        kinds={"onnx"},
        owners=OWNERS,
        description="The exported model: from samples to the probability of a cry and of reasons. A candidate is "
        "promoted if it is not worse than the champion by more than the margin, and predicts what it did offline.",
        code_version=bundle_code_version(catalog, candidate_names(catalog)),
        automation_condition=when_stale(),
    )
    def champion(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.inference.champions import champion_folder
        from cry_pipeline.inference.refusals import standing

        candidates = candidates_of(catalog, workspace)
        decision, champion = promoted(candidates, catalog, workspace)
        bundle = champion_folder(workspace.settings.models, champion)
        refused = standing(workspace.settings.models)
        return materialized(
            context,
            # A refusal changes nothing in use, and pages say it all the same.
            digest(champion=champion, refused=refused.candidate) if refused else champion,
            evidence=table(_about(candidates)),
            lies_in=bundle,
            computed=int(decision.promoted),
            reused=int(not decision.promoted),
            promoted=decision.promoted,
            why=points(decision.why),
            candidate=decision.candidate,
            bundle=dg.MetadataValue.path(str(bundle)),
        )

    return champion


def promoted(candidates: "dict[Target, Candidate]", catalog: Catalog, workspace: Workspace) -> "tuple[Decision, str]":
    """Promote the candidates if they are not worse; return the decision and the digest of the champion there is then.

    Raises:
        Failure: there is none before and none after.
    """
    from cry_pipeline.inference.promotion import promote

    settings, margin = workspace.settings, catalog.donations.retraining.margin
    decision = promote(candidates, audio_of(workspace), models=settings.models, runs=settings.runs, margin=margin)
    if decision.champion is None:
        raise dg.Failure("No champion: " + "; ".join(decision.why))
    return decision, decision.champion


def _about(candidates: "Mapping[Target, Candidate]") -> "pd.DataFrame":
    """Return experiment, headline and verdict of each candidate."""
    import pandas as pd

    return pd.DataFrame(
        {
            "target": target,
            "experiment": candidate.experiment,
            "headline": candidate.evidence.headline.value,
            "verdict": candidate.evidence.sentence,
        }
        for target, candidate in candidates.items()
    )


def parity_check() -> dg.AssetChecksDefinition:
    """Return the check that the champion says of audio files what its fold models said of stored features."""

    @dg.asset_check(
        asset=CHAMPION,
        name="equals_offline",
        blocking=True,
        description="The bundle is whole, and its predictions of audio files equal the stored out-of-fold ones to "
        "1e-4 in probabilities.",
    )
    def equals_offline(workspace: Workspace) -> dg.AssetCheckResult:
        from cry_pipeline.inference.bundle import read_bundle
        from cry_pipeline.inference.champions import current, history
        from cry_pipeline.inference.parity import check_parity
        from cry_pipeline.inference.rivals import stored_predictions

        def check() -> dg.AssetCheckResult:
            settings = workspace.settings
            bundle = read_bundle(current(settings.models))
            made_of = history(settings.models)[-1].runs
            stored: dict[Target, pd.DataFrame] = {
                target: stored_predictions(made_of[target], settings.runs) for target in bundle.targets
            }
            parity = check_parity(bundle, stored, audio_of(workspace), per_fold=PER_FOLD)
            return dg.AssetCheckResult(
                passed=parity.ok,
                metadata={"recordings": parity.recordings, "largest_difference": parity.largest},
                description=parity.sentence,
            )

        return told(check)

    return equals_offline


def challenger_check() -> dg.AssetChecksDefinition:
    """Return the check that warns where the latest challenger was refused: nothing gets better until somebody looks."""

    @dg.asset_check(
        asset=CHAMPION,
        name="challenger_promoted",
        description="The best candidate of now is the champion; if it was refused, why.",
    )
    def challenger_promoted(workspace: Workspace) -> dg.AssetCheckResult:
        from cry_pipeline.inference.refusals import standing

        def check() -> dg.AssetCheckResult:
            refused = standing(workspace.settings.models)
            if refused is None:
                return dg.AssetCheckResult(passed=True, description="The best candidate is the champion.")
            return dg.AssetCheckResult(
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"candidate": refused.candidate, "why": points(refused.why)},
                description=f"Refused {refused.at}: {'; '.join(refused.why)}",
            )

        return told(check)

    return challenger_promoted
