"""What is dropped into the inbox → ``raw/donations``: the archive, from which ``raw/inventory`` lists donations."""

from pathlib import Path

import dagster as dg
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.corpus.manifest import manifest_spec
from cry_pipeline.orchestration.asset_keys import DONATIONS
from cry_pipeline.orchestration.reporting import OWNERS, materialized, points, table
from cry_pipeline.orchestration.resources import Workspace

LISTED = 100
"""Rows of a table in the metadata."""


@dg.asset(
    key=DONATIONS,
    group_name="raw",
    kinds={"file"},
    owners=OWNERS,
    description="The archive of donations: what can be used of the inbox is copied there, by the sha256 of its bytes, "
    "and then taken away. What cannot stays in the inbox, with the reason.",
    code_version=keys.code_version("intake", manifest_spec()),
)
def donations(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Take in what was donated."""
    from cry_pipeline.corpus.archive import ARCHIVED, Archive
    from cry_pipeline.corpus.intake import intake_digest, take_in
    from cry_pipeline.corpus.mirror import Mirror
    from cry_pipeline.corpus.resolution import resolve_corpus
    from cry_pipeline.corpus.sources import Roots
    from cry_pipeline.corpus.tombstones import read_tombstones

    settings = workspace.settings
    settings.inbox.mkdir(parents=True, exist_ok=True)
    archive = Archive.open(settings.archive, settings.cache)
    roots = Roots(resolve_corpus(settings).path, settings.inbox, archive)
    stones = read_tombstones(settings.withdrawn, settings.secret)
    made = take_in(roots, settings.cache, workspace.workers, stones=stones, mirror=Mirror.of(settings))
    archived, refused = archive.read(), made.refused
    return materialized(
        context,
        intake_digest(archive, made),
        donations=len(archived),
        donors=archived["donor"].nunique(),
        added=len(made.added),
        refused=len(refused),
        computed=made.probed,
        reused=made.reused,
        rows=archived,
        schema=ARCHIVED,
        lies_in=None if "://" in settings.archive else Path(settings.archive),
        archive=settings.archive,
        files_refused=table(pd.DataFrame(refused, columns=["path", "refused", "detail"]).head(LISTED)),
        left_aside=table(pd.DataFrame(made.aside, columns=["root", "path", "why"]).head(LISTED)),
        contradictions=points(made.contradictions[:LISTED]),
    )
