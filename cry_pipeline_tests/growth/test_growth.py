"""What a row costs does not grow with how many rows there are: in calls and bytes, which no busy machine changes.

Work is counted at n, 2n and 4n rows. The second step adds twice what the first one does where each row costs the same,
and four times where each is held against all others.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.features.store.checking import set_aside_damaged
from cry_pipeline.features.store.folder_storage import FolderStorage
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.reports.donations_page import donated
from cry_pipeline.reports.material import Tables
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.growth import costs
from cry_pipeline_tests.growth import rows as made_up
from cry_pipeline_tests.growth.page import PAGE, curves_of, measured_of, page_tables
from cry_pipeline_tests.growth.stages import STAGES, Place, warm_up

ROWS = (100, 200, 400)
LINEAR, QUADRATIC = 2.0, 4.0
MOST = 2.5
COUNTED = ("inventory, first", "inventory, again", "manifest", "data versions", "cohort", "folds, donor_hashed")
BYTES = {"hashes.parquet": 260, "inventory.parquet": 200, "recordings.parquet": 450, "part.json": 170}
"""Bytes of a row at most, by the file that it lies in."""


@contextmanager
def counting() -> Iterator[list[int]]:
    """Count the calls of Python's and of C's functions meanwhile."""
    count = [0]

    def one(frame: FrameType, event: str, argument: Any) -> None:
        count[0] += event in ("call", "c_call")

    sys.setprofile(one)
    try:
        yield count
    finally:
        sys.setprofile(None)


def growth(calls: Callable[[int], int]) -> float:
    """Return how many times what the first step adds the second one does."""
    few, some, many = map(calls, ROWS)
    return (many - some) / (some - few)


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], int]:
    """Calls of each stage by rows, and bytes of each file."""
    warm_up()
    found = {}
    for rows in (ROWS[0], *ROWS):  # the first ones fill caches, and are counted again
        place = Place(tmp_path_factory.mktemp("rows"), rows)
        place.lay()
        for stage in COUNTED:
            act = STAGES[stage][0](place)
            with counting() as count:
                act()
            found[stage, rows] = count[0]
        for name in BYTES:
            found[name, rows] = sum(path.stat().st_size for path in place.folder.rglob(name))
    return found


@pytest.mark.parametrize("stage", COUNTED)
def test_a_row_costs_as_many_calls_however_many_there_are(counts: dict[tuple[str, int], int], stage: str) -> None:
    assert growth(lambda rows: counts[stage, rows]) < MOST


@pytest.mark.parametrize("name", BYTES)
def test_a_row_takes_so_many_bytes(counts: dict[tuple[str, int], int], name: str) -> None:
    few, many = ROWS[1:]
    assert (counts[name, many] - counts[name, few]) / (many - few) <= BYTES[name]


class Compared(str):
    """A text that is counted each time it is held against another."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)  # pyright: ignore[reportReturnType]

    __hash__ = str.__hash__


def test_a_donation_is_looked_for_and_not_held_against_all_others(tmp_path: Path) -> None:
    catalog = load_catalog()

    def compared(rows: int) -> int:
        place = Place(tmp_path / str(rows), rows)
        place.lay()
        for stage in ("inventory, first", "manifest"):
            STAGES[stage][0](place)()
        recordings = made_up.as_if_donated(place.recordings)
        known = made_up.became(recordings)
        ids = [Compared(name) for name in recordings["recording_id"]]
        tables = Tables(recordings, recordings[:0], "made up")
        material = Material(catalog, [], tables=tables, donations=made_up.featured(known, ids))
        Compared.times = 0
        assert len(donated(material).rows) == rows
        return Compared.times

    assert compared(80) <= 2 * 2 * 80, "each is in two feature sets"


def test_asking_whether_parts_are_whole_is_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_catalog().feature_sets["mel64_8k"]
    monkeypatch.setattr(made_up, "PART_ROWS", 2)
    made_up.write_index(tmp_path, spec, made_up.ids(12))
    asked: list[str] = []
    really = FolderStorage.sizes
    monkeypatch.setattr(FolderStorage, "sizes", lambda self, path: asked.append(path) or really(self, path))
    store = FeatureStore.open(tmp_path, spec)
    assert store.info().parts == 6
    assert asked == ["parts"]
    # Their arrays were never written, so that each is looked at by itself before it is set aside.
    assert len(set_aside_damaged(store)) == 6
    assert len(asked) == 1 + 1 + 6


def test_money_of_a_thousand_is_the_same_of_however_many() -> None:
    few, many = (costs.bill(rows, 400.0, 3000.0) for rows in (10_000, 10_000_000))
    assert many.per_thousand_usd == pytest.approx(few.per_thousand_usd)
    assert many.puts == pytest.approx(1000 * few.puts)


def test_the_page_shows_what_was_measured_and_computed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [table.splitlines()[0] for table in page_tables(measured_of()) if table not in text]
    assert not missing, "python -m cry_pipeline_tests.growth --page writes it again"
    assert "](growth.png)" in text


def test_what_was_measured_is_of_the_stages_that_there_are() -> None:
    assert {cost.stage for cost in curves_of(measured_of())} == set(STAGES)
