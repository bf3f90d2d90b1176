"""What can be compared: the runs of now, and those of before that are still there.

Belongs here: looking them up for an installation. Does not: comparing them (evaluation/pairs.py), or keeping them
(retention.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.evaluation.records import Evidence
    from cry_pipeline.reports.material import Kept


def kept_of(now: "Sequence[Evidence]", catalog: Catalog, workspace: Workspace) -> "Kept":
    """Return the runs behind the evidence of ``now``, and earlier ones of all experiments on the same folds."""
    from cry_pipeline.evaluation.kept_runs import comparable
    from cry_pipeline.features.store.store import described
    from cry_pipeline.reports.compare import EARLIER
    from cry_pipeline.reports.material import Kept

    settings = workspace.settings
    runs = comparable(now, catalog.experiments, settings.evidence, settings.runs, earlier=EARLIER)
    digests = {run.evidence.provenance.feature_digest for run in runs if run.hears}
    return Kept(runs, {digest: described(settings.features, digest) for digest in sorted(digests)})
