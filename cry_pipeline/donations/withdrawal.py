"""A donor or a recording → out of everything: tombstone first, then every copy and all that was made of it.

Belongs here: the order, what is remembered until it is done, the proof, and what is out of reach. Does not: what
becomes of a file (withdrawn_files.py), of features (features/store/withdrawing.py), of models (withdrawn_results.py),
and of Dagster's records (orchestration/forgetting.py).

Until nothing is found any more, a file beside the tombstones remembers in plain words what is being withdrawn: killed
anywhere, the next call goes on, though the tables that knew the recordings are gone by then.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cry_pipeline.artefacts import MissingFileError, read_json, write_json
from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.tombstones import ASKED_FOR, UNFINISHED, add_tombstones, check_reason, read_tombstones
from cry_pipeline.donations.byte_search import Finder, Hit, found_in, search_folder
from cry_pipeline.donations.known_files import corpus_of
from cry_pipeline.donations.traces import Buried, Traces, find_traces
from cry_pipeline.donations.withdrawn_files import Item, from_places, in_files
from cry_pipeline.donations.withdrawn_results import remove_results, results_of
from cry_pipeline.features.store.opening import open_storage
from cry_pipeline.features.store.withdrawing import withdraw_rows
from cry_pipeline.publishing import mirror
from cry_pipeline.settings import Settings
from cry_pipeline.storage.bucket import Bucket, side_by_side
from cry_pipeline.storage.places import open_place
from cry_pipeline.storage.root import FILES, TREE, DataRoot

WAY_OUT = "put a copy of it back, or remove it and withdraw the donor again by name"
NOTHING = Traces((), ())
PASSES = 2
"""A process that was at work when it began may write once more what it had in memory."""


class Records(Protocol):
    """The records of whoever runs the pipeline, which are not files of ours: Dagster's."""

    def forget(self, traces: Traces, *, change: bool) -> Iterator[Item]:
        """Yield where ``traces`` are found, and with ``change`` mask them there."""
        ...

    def search(self, find: Finder) -> Iterator[Hit]:
        """Yield what is found in records that lie in no file of the data folder."""
        ...


@dataclass(frozen=True)
class Withdrawn:
    """What was done, or would be; what a search of all bytes found then; and what is out of reach, in sentences."""

    traces: Traces
    done: list[Item]
    left: list[Hit]
    out_of_reach: list[str]


def withdraw(
    settings: Settings,
    specs: Collection[FeatureSetSpec],
    records: Records,
    donors: Iterable[str],
    recordings: Iterable[str],
    *,
    reason: str = ASKED_FOR,
    change: bool,
) -> Withdrawn:
    """Withdraw ``donors`` and ``recordings``, and whatever an earlier call was withdrawing; nobody else may write.

    Args:
        settings: of the installation.
        specs: the feature sets of the catalog.
        records: of whoever runs the pipeline.
        donors: in lower case.
        recordings: their ids.
        reason: why; a file that comes again is refused with it.
        change: whether anything is done; else it is only told.

    Raises:
        SearchError: a place cannot be searched, so that nothing is proved.
        DamagedFileError, SecretError, SourceError, OSError: what must be known cannot be read. The next call goes on.
        TrackingError: MLflow, which was told of runs, does not answer. The next call goes on.
    """
    check_reason(reason)
    before = unfinished(settings)
    traces = find_traces(settings, {*donors, *before.donors}, {*recordings, *before.recordings}) | before
    out_of_reach = list(_out_of_reach(settings, traces))
    if not change:
        return Withdrawn(traces, _once(settings, specs, records, traces, change=False), [], out_of_reach)
    write_json(settings.withdrawn / UNFINISHED, traces.content())
    add_tombstones(
        settings.withdrawn, settings.secret, donors=traces.donors, recordings=traces.recordings, reason=reason
    )
    done, left = [], []
    for _ in range(PASSES):
        done += _once(settings, specs, records, traces, change=True)
        forget_in_root(settings)
        left = sorted({*search(settings, traces.find), *records.search(traces.find)})
        if not left:
            (settings.withdrawn / UNFINISHED).unlink()
            forget_in_root(settings)
            break
    return Withdrawn(traces, done, left, out_of_reach)


def unfinished(settings: Settings) -> Traces:
    """Return what a call that was cut short was withdrawing; without one, traces of nothing."""
    try:
        return Traces.parsed(read_json(settings.withdrawn / UNFINISHED, WAY_OUT))
    except MissingFileError:
        return NOTHING


def search(settings: Settings, find: Finder) -> Iterator[Hit]:
    """Yield what is found in any byte that the installation has: the data folder, and what settings put elsewhere.

    Raises:
        SearchError: a file cannot be searched.
        OSError, TrackingError: a place cannot be reached.
    """
    remembers = settings.withdrawn / UNFINISHED
    read_only = {settings.corpus_copy, settings.corpus_copy.with_suffix(".json")}
    yield from search_folder(settings.data, find, lambda path: path == remembers or path in read_only)
    root = DataRoot.of(settings)
    if root is not None:
        unfinished = f"{FILES}/{remembers.relative_to(settings.data).as_posix()}/"
        paths = [entry.path for entry in root.bucket.objects(FILES) if not entry.path.startswith(unfinished)]
        yield from _search_bucket(root.bucket, [TREE, *paths] if paths else [], find)
    for uri in (settings.features, settings.archive, settings.inbox_place):
        place = open_place(uri)
        if isinstance(place, Bucket):
            yield from _search_bucket(place, [entry.path for entry in place.entries()], find)
        elif not place.folder.is_relative_to(settings.data):
            yield from search_folder(place.folder, find)
    for where, content in mirror.contents(settings):
        yield from (Hit(where, what) for what in sorted(found_in(content, find)))


def _search_bucket(bucket: Bucket, paths: Collection[str], find: Finder) -> Iterator[Hit]:
    found = side_by_side(lambda path: found_in(bucket.read(path), find) | find(path.encode()), paths)
    for path, hits in zip(paths, found, strict=True):
        yield from (Hit(f"{bucket.uri}/{path}", what) for what in sorted(hits))


def forget_in_root(settings: Settings) -> None:
    """Let the data root, if it lies in a bucket, have what is left, and nothing that was: nobody else writes."""
    root = DataRoot.of(settings)
    if root is not None:
        root.push()
        root.collect(0, change=True)


def verify(
    settings: Settings, records: Records, donors: Collection[str] = (), recordings: Collection[str] = ()
) -> list[Hit]:
    """Return where anything is found of ``donors`` and ``recordings``; without any, of all that has a tombstone.

    What has a tombstone is found by donor and id only; of those who are named also hashes, names of files and a piece
    of the sound, as far as they are known here still.

    Raises:
        SearchError, OSError, TrackingError: as :func:`search`.
        SecretError: the tombstones cannot be read without the installation's secret.
    """
    if donors or recordings:
        find: Finder = find_traces(settings, donors, recordings).find
    else:
        find = Buried(read_tombstones(settings.withdrawn, settings.secret))
    return sorted({*search(settings, find), *records.search(find)})


def _once(
    settings: Settings, specs: Collection[FeatureSetSpec], records: Records, traces: Traces, *, change: bool
) -> list[Item]:
    items = list(from_places(settings, traces, change=change))
    results = results_of(settings, traces.recordings)
    items += [Item(_shown(settings, path), f"{what} removed") for path, what in sorted(results.paths.items())]
    # Before they go here: whatever MLflow has that is not here goes, too, so that a killed call is gone on with.
    items += [Item(place, what) for place, what in mirror.forget(settings, results.runs, change=change)]
    if change:
        remove_results(settings, results)
    holdings = withdraw_rows(open_storage(settings.features), specs, traces.recordings, change=change)
    items += [Item(f"{settings.features}/{holding.path}", holding.what) for holding in holdings]
    items += in_files(settings, traces, {*results.paths}, change=change)
    items += records.forget(traces, change=change)
    return items


def _shown(settings: Settings, path: Path) -> str:
    return path.relative_to(settings.data).as_posix()


def _out_of_reach(settings: Settings, traces: Traces) -> Iterator[str]:
    """Yield what withdrawing does not reach, so that a person has to."""
    corpus, inside = corpus_of(settings), settings.corpora
    files = [path for root, path in traces.files if root == "corpus"]
    if files and corpus is not None and not corpus.is_relative_to(inside):
        where = settings.corpus if corpus == settings.corpus_copy else corpus
        yield (
            f"{where} is only read: {len(files)} files stay there, and are left out of everything. Remove them there "
            f"yourself: {', '.join(files[:3])}{' …' if len(files) > 3 else ''}"
        )
    if traces.siblings:
        yield (
            f"{len(traces.siblings)} recordings of the same donations, a cleaned copy or its upload, which stay unless "
            f"they are withdrawn, too: {', '.join(traces.siblings[:3])}{' …' if len(traces.siblings) > 3 else ''}"
        )
    yield (
        "copies that somebody took out: `site export`, `review export`, `export croissant`, `export lhotse`, bundles "
        "and pages that were sent or published"
    )
    yield from mirror.out_of_reach(settings)
    yield "backups, snapshots of the disk, and freed blocks of it that were not written over yet"
    if settings.data_root is not None:
        yield (
            "data folders of other nodes, until they look at the data root next: then their copies follow and their "
            "caches are emptied; and Dagster's records there, where nodes do not share them"
        )
    if any("://" in place for place in (settings.features, settings.archive, settings.inbox_place)):
        yield "earlier versions of objects, where the bucket keeps versions: remove them with the service's own tools"
    if settings.database_url is not None:
        yield "the database server's write-ahead log until it is reused, its replicas, and its backups"
    yield "processes that are running: start `cry-pipeline serve` and `cry-pipeline ui` anew"
