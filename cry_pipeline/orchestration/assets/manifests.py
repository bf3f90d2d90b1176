"""Corpus and archive → ``raw/inventory``, with ``raw/judgements`` → ``manifests/recordings``, ``…/quarantine``."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import table_digest
from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.manifest import manifest_spec
from cry_pipeline.corpus.schemas import INVENTORY as INVENTORY_TABLE
from cry_pipeline.corpus.schemas import QUARANTINE as QUARANTINE_TABLE
from cry_pipeline.corpus.schemas import RECORDINGS as RECORDINGS_TABLE
from cry_pipeline.orchestration.asset_keys import DONATIONS, INVENTORY, JUDGEMENTS, QUARANTINE, RECORDINGS
from cry_pipeline.orchestration.reporting import OWNERS, materialized, table
from cry_pipeline.orchestration.resources import Workspace


@dg.asset(
    key=INVENTORY,
    deps=[DONATIONS],
    group_name="raw",
    kinds={"parquet"},
    owners=OWNERS,
    description="Path, size and sha256 of every file of the corpus and the archive of donations; and what the inbox "
    "holds that was refused.",
    code_version=keys.code_version("inventory", None),
)
def inventory(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Find the corpus, list its files and those of the archive, hash what is new."""
    from cry_pipeline.corpus.resolution import resolve_corpus, write_resolution
    from cry_pipeline.corpus.sources import fingerprint, write_inventory

    settings = workspace.settings
    corpus = resolve_corpus(settings)
    settings.inbox.mkdir(parents=True, exist_ok=True)
    write_resolution(corpus, settings.manifests)
    files = workspace.inventory()
    path = settings.manifests / "inventory.parquet"
    write_inventory(files, path)
    by_source = files.groupby(["source", "processing"], as_index=False)
    return materialized(
        context,
        fingerprint(files),
        files=len(files),
        audio_mb=files["bytes"].sum() / 1e6,
        computed=files.attrs["computed"],
        reused=files.attrs["reused"],
        rows=files,
        schema=INVENTORY_TABLE,
        lies_in=path,
        corpus=corpus.notice,
        left_aside=table(pd.DataFrame(files.attrs["left_aside"], columns=["root", "path", "why"]).head(100)),
        sources=table(by_source.agg(files=("path", "size"), bytes=("bytes", "sum"))),
    )


def manifest_assets(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the assets of manifest and quarantine; the catalog says which of several judgements counts."""
    rule = catalog.donations.judgements
    code = keys.code_version("manifest", {**manifest_spec(), "judgements": rule.parts})

    described = {
        RECORDINGS: "The manifest: one validated row for each recording that can be used.",
        QUARANTINE: "Files refused, each with the reason. Every file of the inventory is here or in the manifest.",
    }

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                key,
                deps=[INVENTORY, JUDGEMENTS],
                group_name="manifests",
                kinds={"parquet", "pandas"},
                owners=OWNERS,
                description=description,
                code_version=code,
            )
            for key, description in described.items()
        ]
    )
    def manifests(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[dg.MaterializeResult]:
        """Decode and measure what is new; refuse what cannot be used."""
        from cry_pipeline.corpus.judgements import JUDGEMENTS as JUDGED
        from cry_pipeline.corpus.judgements import counting
        from cry_pipeline.corpus.manifest import build_manifest, write_manifest
        from cry_pipeline.corpus.sources import read_inventory

        settings = workspace.settings
        judged = counting(JUDGED.read(settings.manifests / "judgements.parquet"), rule)
        made = build_manifest(
            read_inventory(settings.manifests / "inventory.parquet"),
            workspace.roots(),
            settings.cache,
            workspace.workers,
            dict(zip(judged["recording_id"], judged["verdict"], strict=True)),
        )
        write_manifest(made, settings.manifests)
        counted = len(made.recordings)
        counts = made.recordings.groupby(["source", "reason"], as_index=False)
        yield materialized(
            context,
            table_digest(made.recordings),
            key=RECORDINGS,
            recordings=counted,
            donors=made.recordings["donor"].nunique(),
            hours=made.recordings["duration_s"].sum() / 3600,
            computed=made.probed,
            reused=made.reused,
            rows=made.recordings,
            schema=RECORDINGS_TABLE,
            lies_in=settings.manifests / "recordings.parquet",
            plots=_overview(made.recordings) if made.probed and counted else None,
            contradictions=list(made.contradictions[:100]),
            decoder_cage=made.decoder_cage,
            reasons=table(counts.agg(recordings=("recording_id", "size"), donors=("donor", "nunique"))),
        )
        refused = made.quarantine.groupby("reason", as_index=False)
        yield materialized(
            context,
            table_digest(made.quarantine),
            key=QUARANTINE,
            refused=len(made.quarantine),
            computed=made.probed,
            reused=made.reused,
            rows=made.quarantine,
            schema=QUARANTINE_TABLE,
            lies_in=settings.manifests / "quarantine.parquet",
            reasons=table(refused.agg(files=("path", "size"))),
            files=table(made.quarantine[["root", "path", "reason", "detail"]].head(100)),
        )

    return manifests


def _overview(recordings: pd.DataFrame) -> dict[str, bytes]:
    from cry_pipeline.reports.figures.data import recordings_overview

    return {"reasons and durations": recordings_overview(recordings)}
