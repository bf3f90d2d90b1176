"""The one writer of reports: current is what is whole, and no table is written that is not what its schema says."""

from dataclasses import replace
from pathlib import Path

import pytest

from cry_pipeline.catalog import Catalog
from cry_pipeline.reports import report
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.tables import Schema, TableError, number

CATALOG = Catalog.model_construct()
MATERIAL = Material(CATALOG, [])
NUMBERS = Report(
    name="numbers",
    stage="leaderboard",
    file="numbers",
    title="Numbers",
    description="Of a test.",
    content=lambda material: [0.5, 1.0],
    schema=Schema("the table of numbers", {"value": number("a share", 0, 1)}),
    rows=lambda content: [{"value": value} for value in content],
    page=lambda content, material: {},
    noted=lambda: {"machine": "a"},
    plots=lambda content: {"plot": b"png"},
    beside=lambda material: {"not_run": {}},
)


@pytest.fixture(autouse=True)
def without_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "fill", lambda template, **values: f"{values['page']}: {values['title']}")


def test_page_and_table_are_written_once(tmp_path: Path) -> None:
    first, again = NUMBERS.write(MATERIAL, tmp_path), NUMBERS.write(MATERIAL, tmp_path)
    assert (first.computed, first.reused, first.plots) == (1, 0, {"plot": b"png"})
    assert (again.computed, again.reused, again.plots) == (0, 1, {}), "what is current is not drawn"
    assert first.digest == again.digest
    assert first.table is not None
    assert again.table is not None
    assert first.table.equals(again.table)
    assert again.beside == {"not_run": {}}
    assert again.page.read_text().startswith("numbers.html: Numbers")


@pytest.mark.parametrize("damaged", ["numbers.html", "numbers.parquet"])
@pytest.mark.parametrize("how", ["changed", "removed"])
def test_both_are_made_again_where_either_is_not_what_was_written(damaged: str, how: str, tmp_path: Path) -> None:
    NUMBERS.write(MATERIAL, tmp_path)
    path = tmp_path / damaged
    content = path.read_bytes()
    path.unlink() if how == "removed" else path.write_bytes(content[:-40] + b"x" + content[-39:])
    assert NUMBERS.write(MATERIAL, tmp_path).computed
    assert NUMBERS.write(MATERIAL, tmp_path).reused


def test_a_table_that_is_not_what_its_schema_says_is_not_written(tmp_path: Path) -> None:
    wrong = replace(NUMBERS, content=lambda material: [0.5, 1.5])
    with pytest.raises(TableError, match=r"the table of numbers has 1 faults .* value"):
        wrong.write(MATERIAL, tmp_path)
    assert list(tmp_path.iterdir()) == [], "nor its page"


def test_a_page_has_no_table(tmp_path: Path) -> None:
    page = replace(NUMBERS, schema=None)
    assert page.write(MATERIAL, tmp_path).table is None
    assert page.write(MATERIAL, tmp_path).reused
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.html"]
    with pytest.raises(ValueError, match="has no table"):
        page.table([])
