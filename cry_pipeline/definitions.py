"""The code location: the whole graph in one screen.

raw/donations → raw/inventory, raw/judgements → manifests/recordings, manifests/quarantine
              → features/<feature_set>       one per feature set of the catalog
              → folds/<cohort>_<protocol>    one per pair that an experiment names
              → runs/<cohort>/<protocol>/<model> → evidence/… → reports/<report> → reports/site
                                                              → models/champion → donations/triage
                                                              → reports/of_study (the study only)
                                                              → reports/mlflow (with a tracking server only)
"""

import dagster as dg

from cry_pipeline.catalog import load_catalog
from cry_pipeline.orchestration.asset_keys import STUDY
from cry_pipeline.orchestration.assets.champion import champion_assets, champion_checks
from cry_pipeline.orchestration.assets.evidence import evidence_assets
from cry_pipeline.orchestration.assets.features import feature_assets
from cry_pipeline.orchestration.assets.folds import folds_assets
from cry_pipeline.orchestration.assets.intake import donations
from cry_pipeline.orchestration.assets.judgements import judgements
from cry_pipeline.orchestration.assets.manifests import inventory, manifest_assets
from cry_pipeline.orchestration.assets.mirror import mirror_assets
from cry_pipeline.orchestration.assets.reports import report_assets
from cry_pipeline.orchestration.assets.runs import run_assets
from cry_pipeline.orchestration.assets.study import study_assets
from cry_pipeline.orchestration.assets.triage import triage_asset, triage_checks
from cry_pipeline.orchestration.automation import inbox_sensor, weekly_catch_up
from cry_pipeline.orchestration.checks import donations_taken, donor_checks, feature_checks, schema
from cry_pipeline.orchestration.executor import one_writer
from cry_pipeline.orchestration.failures import failures_sensor
from cry_pipeline.orchestration.jobs import all_jobs
from cry_pipeline.orchestration.judging import judging_sensor
from cry_pipeline.orchestration.maintenance import maintenance_job, maintenance_schedule
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.retraining import retraining_sensor
from cry_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return all that Dagster is to know of one installation; of the study only where the setting ``study`` is on.

    What is not in the graph is in none of its dialogs: "materialize all" would start hours of training without a word.
    """
    catalog = load_catalog(settings.catalog)
    assets = [
        donations,
        inventory,
        judgements,
        manifest_assets(catalog),
        feature_assets(catalog),
        *folds_assets(catalog),
        *run_assets(catalog, settings),
        *evidence_assets(catalog),
        *report_assets(catalog),
        *champion_assets(catalog),
        *mirror_assets(catalog),
        triage_asset(catalog),
        *study_assets(catalog),
    ]
    checks = [
        schema,
        donations_taken,
        *feature_checks(catalog),
        *donor_checks(catalog),
        *champion_checks(catalog),
        *triage_checks(catalog),
    ]
    if not settings.study:
        assets = [asset for asset in assets if STUDY not in asset.group_names_by_key.values()]
        keys = {key for asset in assets for key in asset.keys}
        checks = [check for check in checks if {each.asset_key for each in check.check_specs} <= keys]
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=[*all_jobs(study=settings.study), maintenance_job(catalog)],
        sensors=[inbox_sensor, judging_sensor, retraining_sensor(catalog, settings), failures_sensor(settings)],
        schedules=[weekly_catch_up, maintenance_schedule],
        resources={"workspace": Workspace.of(settings)},
        executor=one_writer(settings),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Read settings and catalog only when a code location is loaded, not when this module is imported."""
    return build_definitions(load_settings())
