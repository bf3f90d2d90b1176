"""Training by itself: how often, when enough is new, and the sensor that evaluates all conditions.

Belongs here: when a run is due, and the sensor ``retraining``. Does not: whether an asset is what its inputs make
(conditions.py), the inbox (automation.py), and whether a challenger is promoted (inference/promotion.py).
"""

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.conditions import Stale
from cry_pipeline.orchestration.jobs import by_default
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.training.current_runs import RunReference

CRONS = {"off": "0 3 * * 1", "weekly": "0 3 * * 1", "daily": "0 3 * * *"}
"""When a run may be trained again, at most once between two ticks; off: for whoever turns the sensor on by hand."""
RETRAINING_S = 3600
"""There is no hurry to notice what is trained once a week, and an hour lets a fault pass before the next attempt. Each
look leaves 45 kB of log, because conditions of our own are evaluated in the code location."""


class EnoughIsNew(dg.AutomationCondition):
    """A run's code or parameters have changed, or enough donors have come since the champion was trained.

    Asked only of what is stale: of a current run the answer is of no use.
    """

    def __init__(self, name: str, catalog: Catalog, settings: Settings) -> None:
        self._experiment, self._catalog, self._settings = name, catalog, settings

    @property
    def name(self) -> str:
        """How the UI calls it."""
        return f"code changed, or {self._catalog.donations.retraining.min_new_donors} donors are new"

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered from one evaluation to the next."""
        return False

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """Return whether the run is worth the training."""
        asked = not context.candidate_subset.is_empty and is_enough(self._experiment, self._catalog, self._settings)
        return dg.AutomationResult(context, context.candidate_subset if asked else context.get_empty_subset())


def when_due(name: str, catalog: Catalog, settings: Settings) -> dg.AutomationCondition[dg.AssetKey]:
    """Ask for the run of experiment ``name`` while it is stale and enough is new: once a week, or as the setting says.

    However many donations arrive; and again if it failed.
    """
    condition = dg.AutomationCondition
    ticked = condition.cron_tick_passed(CRONS[settings.retraining]).since_last_handled()
    due = Stale() & (ticked | condition.execution_failed()) & EnoughIsNew(name, catalog, settings)
    return due.with_label("stale, sound, due, and enough is new")


def is_enough(name: str, catalog: Catalog, settings: Settings) -> bool:
    """Return whether to train experiment ``name`` again.

    Its code, parameters, folds' rule or features are others than those of its last run, or there is none; or something
    is new of at least as many donors as the catalog says.
    """
    from cry_pipeline.folds.splitting import read_folds
    from cry_pipeline.orchestration.current import feature_digest_of
    from cry_pipeline.training.current_runs import NotTrainedError, current_run, is_as_written

    try:
        run = current_run(name, settings.runs)
    except NotTrainedError:
        return True
    if not is_as_written(run, catalog, feature_digest_of(name, catalog)):
        return True
    folds = read_folds(settings.folds / f"{catalog.experiments[name].folds_name}.parquet")
    donors = new_donors(run, folds, catalog, settings)
    return donors is None or len(donors) >= catalog.donations.retraining.min_new_donors


def new_donors(run: "RunReference", folds: "pd.DataFrame", catalog: Catalog, settings: Settings) -> set[str] | None:
    """Return the donors of ``folds`` of whom something is new since the champion was trained; None if nobody can tell.

    That is: they have a recording that its run did not have, with another label, or lack one that it had. The
    champion's run counts where it is of the same cohort, also if a challenger was refused meanwhile; else ``run``, the
    experiment's own last.
    """
    from cry_pipeline.inference.champions import ChampionError, history
    from cry_pipeline.inference.rivals import stored_predictions
    from cry_pipeline.training.current_runs import without
    from cry_pipeline.training.fold_folders import DamagedFoldError

    cohort, known = catalog.experiments[run.experiment].cohort, {"experiment": run.experiment, "run": run.digest}
    try:
        for of_target in history(settings.models)[-1:]:
            for made_of in of_target.runs.values():
                its = catalog.experiments.get(made_of["experiment"])
                known = made_of if its is not None and its.cohort == cohort else known
        before = stored_predictions(known, settings.runs)
    except (ChampionError, DamagedFoldError):
        return None
    told = {frame: _told(rows) for frame, rows in (("before", before), ("now", without(folds, run.left_out)))}
    return {donor for donor, _, _ in told["before"] ^ told["now"]}


def _told(rows: "pd.DataFrame") -> set[tuple[str, str, str]]:
    from cry_pipeline.folds.copies import parse_copy

    columns = zip(rows["donor"], rows["recording_id"], rows["label"], strict=True)
    return {(str(donor), parse_copy(str(recording))[0], str(label)) for donor, recording, label in columns}


def retraining_sensor(catalog: Catalog, settings: Settings) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions; what is of the study alone is never trained by itself."""
    off, enough = settings.retraining == "off", catalog.donations.retraining.min_new_donors
    with warnings.catch_warnings():
        # Conditions of our own are evaluated where our code is; Dagster calls that beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            "retraining",
            target=by_default() & dg.AssetSelection.groups("runs", "evidence", "reports", "models", "donations"),
            default_status=dg.DefaultSensorStatus.STOPPED if off else dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=RETRAINING_S,
            use_user_code_server=True,
            description="Trains, evaluates and reports what is stale, weekly or daily as CRY_PIPELINE_RETRAINING says, "
            f"once {enough} donors are new; where that is off, weekly once somebody turns this on.",
        )
