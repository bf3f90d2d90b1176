"""The `cry-pipeline store` commands.

Belongs here: arguments and tables. Does not: work (each command calls the feature store), nor anything heavy at import.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import catalog, feature_set_names, megabytes, named, print_table, say, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cry_pipeline.catalog import Catalog
    from cry_pipeline.features.store.garbage import Garbage
    from cry_pipeline.features.store.store import FeatureStore

store_app = typer.Typer(
    help="The feature store: what is kept, whether it is sound, and how to make it smaller.", no_args_is_help=True
)
Names = Annotated[
    list[str] | None,
    typer.Argument(help="Feature sets of the catalog; all by default.", autocompletion=feature_set_names),
]


@store_app.command("ls")
def store_ls() -> None:
    """List every stored feature set, also those that the catalog no longer has."""
    from cry_pipeline.features.store.garbage import feature_sets
    from cry_pipeline.features.store.opening import open_storage

    stores = _stores(None)
    rows = []
    for name, store in stores.items():
        info = store.info()
        rows.append(
            {
                "feature set": name,
                "digest": info.digest[:12],
                "recordings": info.recordings,
                "parts": info.parts,
                "size": megabytes(info.bytes),
                "superseded": megabytes(info.superseded_bytes),
            }
        )
    listed = {store.digest for store in stores.values()}
    root = open_storage(settings().features)
    for digest in feature_sets(root):
        if digest not in listed:
            parts = len(root.below(digest).parts())
            cells = ("(not in the catalog)", digest[:12], "", parts, megabytes(root.size(digest)), "")
            rows.append(dict(zip(rows[0], cells, strict=True)))
    print_table(rows)


@store_app.command("info")
def store_info(
    name: Annotated[str, typer.Argument(help="A feature set of the catalog.", autocompletion=feature_set_names)],
) -> None:
    """Show a feature set's size, rows, parts, parameters and digest, and the experiments and runs that use it."""
    from cry_pipeline.features.kinds import parameters
    from cry_pipeline.features.store.users import feature_uses

    store = _stores([name])[name]
    info = store.info()
    about = {
        "digest": info.digest,
        "where": store.uri,
        "recordings": info.recordings,
        "parts": info.parts,
        "size": megabytes(info.bytes),
        "superseded": f"{info.superseded_parts} parts, {megabytes(info.superseded_bytes)}",
        **parameters(store.spec),
    }
    users = [f"experiment {key}" for key, entry in _catalog().experiments.items() if entry.feature_set == name]
    users += [f"run {use.run}" for use in feature_uses(settings().runs) if use.feature_set == info.digest]
    print_table([{"property": key, "value": str(value)} for key, value in about.items()])
    print_table([{"used by": user} for user in users or ["nobody"]])


@store_app.command("verify")
def store_verify(names: Names = None) -> None:
    """Check every byte of every part. Bad parts are set aside; materialize their feature set again.

    The exit code is 1 if anything was wrong.
    """
    from cry_pipeline.features.store.checking import verify

    faults = 0
    for name, store in _stores(names).items():
        report = verify(store)
        faults += len(report.faults)
        verdict = f"{len(report.faults)} faults" if report.faults else "sound"
        say(f"{name}: {report.parts} parts, {megabytes(report.bytes)}: {verdict}")
        for where, what in report.faults.items():
            say(f"  {where}: {what}")
    if faults:
        raise typer.Exit(1)


@store_app.command("compact")
def store_compact(names: Names = None) -> None:
    """Put small parts together; the small ones stay until `store gc` removes them."""
    from cry_pipeline.features.store.compaction import compact

    for name, store in _stores(names).items():
        report = compact(store)
        say(f"{name}: {report.superseded} parts → {len(report.written)}, {megabytes(report.bytes)}")


@store_app.command("gc")
def store_gc(
    names: Names = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it; without this option it is only listed.")] = False,
    unlisted: Annotated[
        bool, typer.Option("--unlisted", help="Also feature sets that neither the catalog nor a run uses.")
    ] = False,
) -> None:
    """List what no run, and no reader of the last 24 hours, can need; with --remove, remove it.

    That is: parts that a compaction superseded, and leftovers of killed writers.
    """
    from cry_pipeline.features.store.garbage import collect_garbage, collect_unlisted
    from cry_pipeline.features.store.opening import open_storage
    from cry_pipeline.features.store.users import feature_uses

    uses = feature_uses(settings().runs)
    keep = {part for use in uses for part in use.parts}
    garbage = {name: collect_garbage(store, keep, dry_run=not remove) for name, store in _stores(names).items()}
    if unlisted:
        needed = {store.digest for store in _stores(None).values()} | {use.feature_set for use in uses}
        garbage["(not in the catalog)"] = collect_unlisted(
            open_storage(settings().features), needed, dry_run=not remove
        )
    _print_garbage(garbage, removed=remove)


def _print_garbage(garbage: "Mapping[str, Garbage]", *, removed: bool) -> None:
    rows = [
        {"feature set": name, "what": path, "size": megabytes(size)}
        for name, part in garbage.items()
        for path, size in part.bytes_by_path.items()
    ]
    if rows:
        print_table(rows)
    total = megabytes(sum(part.bytes for part in garbage.values()))
    hint = "" if not rows else ": removed" if removed else ": would be removed; do it with --remove"
    say(f"{len(rows)} items, {total}{hint}.")


def _catalog() -> "Catalog":
    return catalog(settings().catalog)


def _stores(names: list[str] | None) -> "dict[str, FeatureStore]":
    """Return the stores of the feature sets ``names`` of the catalog; of all of them by default."""
    from cry_pipeline.features.store.store import FeatureStore

    specs = _catalog().feature_sets
    wanted = {name: named(name, specs, "feature set") for name in names} if names else specs
    return {name: FeatureStore.open(settings().features, spec) for name, spec in wanted.items()}
