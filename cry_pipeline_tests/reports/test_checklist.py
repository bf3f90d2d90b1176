"""The reporting checklist: complete, honest where nothing answers, and every place that it names is there."""

import re
from pathlib import Path

import pytest

import cry_pipeline
from cry_pipeline.catalog import load_catalog
from cry_pipeline.reports.checklist import CHECKLIST_PAGE, OF_EXPERIMENTS, checklists
from cry_pipeline.reports.page_keys import TEMPLATES
from cry_pipeline.reports.pages import PAGES
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

ROOT = Path(cry_pipeline.__file__).parents[1]
TEMPLATES_AT = Path(cry_pipeline.__file__).parent / "reports" / "templates"
LISTS = {each.name: each for each in checklists()}
PLACES = sorted({place for each in LISTS.values() for item in each.items for place in item.at})


def numbers(main: dict[int, str]) -> list[str]:
    """Items as a list numbers them: ``main`` has, by number, the letter of its last sub-item, "" where it has none."""
    return [
        f"{number}{chr(letter)}" if last else str(number)
        for number, last in main.items()
        for letter in (range(ord("a"), ord(last) + 1) if last else [0])
    ]


def test_no_item_is_missing() -> None:
    tripod = dict.fromkeys(range(1, 28), "") | {
        3: "c", 5: "b", 6: "c", 8: "c", 9: "c", 12: "g", 18: "f", 20: "c", 23: "b", 27: "c",
    }  # fmt: skip
    reforms = {1: "c", 2: "e", 3: "g", 4: "c", 5: "f", 6: "c", 7: "c", 8: "b"}
    assert [item.item for item in LISTS["TRIPOD+AI"].items] == numbers(tripod)
    assert [item.item for item in LISTS["REFORMS"].items] == numbers(reforms)
    assert len(LISTS["REFORMS"].items) == 32


def test_what_is_answered_names_a_place_and_what_is_not_names_none() -> None:
    for each in LISTS.values():
        for item in each.items:
            assert bool(item.at) == (item.answered in ("yes", "partly")), f"{each.name} {item.item}"


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_there(place: str) -> None:
    name, _, section = place.partition("#")
    if name != OF_EXPERIMENTS and name not in PAGES:
        assert (ROOT / name).is_file(), "neither a page of the site nor a file of the code"
        return
    if section:
        file = f"{name.removesuffix('.html')}.html.j2" if name in PAGES else "experiment.html.j2"
        assert file in TEMPLATES.values()
        text = (TEMPLATES_AT / file).read_text(encoding="utf-8") + (TEMPLATES_AT / "macros.html.j2").read_text("utf-8")
        assert re.search(rf'\bid="{section}"', text), f"{file} has no section {section}"


def test_the_page_says_how_much_is_answered_and_what_is_not() -> None:
    html = html_of(CHECKLIST_PAGE, Material(load_catalog(), []))
    text = Page(html).text
    assert {link.partition("#")[0] for link in links_of(html)} <= set(PAGES)
    for each in LISTS.values():
        assert f"answered {each.counts['yes']} of {len(each.items)} items" in text
        assert f"not answered {each.counts['no']} of" in text
    assert "18d Registration no Not registered. nowhere" in text


def test_the_table_has_a_row_for_each_item() -> None:
    table = CHECKLIST_PAGE.table(checklists())
    assert len(table) == sum(len(each.items) for each in LISTS.values())
