"""What people said of recordings → ``raw/judgements``."""

import dagster as dg

from cry_pipeline import keys
from cry_pipeline.orchestration.asset_keys import JUDGEMENTS
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace


@dg.asset(
    key=JUDGEMENTS,
    group_name="raw",
    kinds={"parquet"},
    owners=OWNERS,
    description="What people said of recordings after listening: every judgement, also those that others supersede.",
    code_version=keys.code_version("judgements", None),
)
def judgements(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Read the files of all judgements into one table, unless it is made of just these."""
    from cry_pipeline.corpus.judgements import JUDGEMENTS as TABLE
    from cry_pipeline.corpus.judgements import judgements_digest, read_judgements, write_judgements

    judged, path = read_judgements(workspace.settings.judgements), workspace.settings.manifests / "judgements.parquet"
    computed = write_judgements(path, judged)
    by_verdict = judged.groupby("verdict", as_index=False)
    return materialized(
        context,
        judgements_digest(judged),
        computed=computed,
        reused=len(judged) - computed,
        judgements=len(judged),
        recordings=judged["recording_id"].nunique(),
        people=judged["who"].nunique(),
        rows=judged,
        schema=TABLE,
        lies_in=path,
        verdicts=table(by_verdict.agg(judgements=("judgement", "size"))),
    )
