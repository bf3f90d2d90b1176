"""Reporting checklists: where each item of TRIPOD+AI and REFORMS is answered, or that it is not.

Belongs here: reading the lists and leading to what answers them. Does not: the items and answers (checklist.yaml), and
the page's words and looks (``templates/``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cry_pipeline.catalog.yaml_files import read_yaml
from cry_pipeline.reports.pages import PAGES
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.tables import FILLED, Schema, text

ANSWERS = ("yes", "partly", "no", "does not apply")
"""Whether an item is answered, the best first."""
FILE = Path(__file__).parent / "checklist.yaml"
OF_EXPERIMENTS = "experiments"
"""Names, as a place, the section of each experiment's page."""

CHECKLIST = Schema(
    "where the items of reporting checklists are answered",
    {
        "checklist": text("that asks", matches=FILLED),
        "item": text("its number there", matches=FILLED),
        "asks": text("what it asks for, in our words", matches=FILLED),
        "answered": text("whether it is answered", among=ANSWERS),
        "says": text("what the answer is, or why there is none", matches=FILLED),
        "at": text("pages of the site and files of the code that answer it, with ; between them; or empty"),
    },
    unique=["checklist", "item"],
)


class Item(BaseModel):
    """An item of a list, and what of it is answered where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: str
    asks: str
    answered: str
    says: str
    at: tuple[str, ...] = ()

    @field_validator("answered")
    @classmethod
    def _is_an_answer(cls, given: str) -> str:
        if given not in ANSWERS:
            raise ValueError(f"{given!r} is none of {', '.join(ANSWERS)}")
        return given

    @property
    def places(self) -> "list[Place]":
        """Where it is answered, as a page leads there."""
        return [place_of(name) for name in self.at]


class Checklist(BaseModel):
    """A list: what it is for, where it is from, and its items."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    source: str
    items: tuple[Item, ...] = Field(min_length=1)

    @property
    def counts(self) -> dict[str, int]:
        """How many items are answered how; those of which there are none are left out."""
        found = Counter(item.answered for item in self.items)
        return {answer: found[answer] for answer in ANSWERS if found[answer]}


@dataclass(frozen=True)
class Place:
    """A place that answers something: its words, and the page that it leads to; None for a file of the code."""

    words: str
    page: str | None


def place_of(name: str) -> Place:
    """Return the place that the list calls ``name``."""
    page, _, section = name.partition("#")
    within = f", {section.replace('_', ' ')}" if section else ""
    if page == OF_EXPERIMENTS:
        return Place(f"each experiment's page{within}", "leaderboard.html")
    if page in PAGES:
        return Place(f"{PAGES[page]}{within}", name)
    return Place(name, None)


def checklists() -> list[Checklist]:
    """Return the lists.

    Raises:
        YamlError: the file is no YAML.
        pydantic.ValidationError: it is no list of checklists.
    """
    return [Checklist.model_validate(entry) for entry in read_yaml(FILE)]


def checklist_page(lists: Sequence[Checklist]) -> dict[str, Any]:
    """Return what the page shows."""
    return {"synthetic": False, "lists": lists, "answers": ANSWERS}


def _rows(lists: Sequence[Checklist]) -> list[Mapping[str, Any]]:
    return [
        {"checklist": each.name, **item.model_dump(exclude={"at"}), "at": "; ".join(item.at)}
        for each in lists
        for item in each.items
    ]


def _inputs(material: Material) -> dict[str, Any]:
    return {"lists": [each.model_dump(mode="json") for each in checklists()]}


CHECKLIST_PAGE = Report(
    name="checklist",
    stage="checklist_page",
    file="checklist",
    title="Reporting checklist",
    description="What TRIPOD+AI and REFORMS ask of a study of prediction: where it is answered, or that it is not.",
    reads=(),
    inputs=_inputs,
    content=lambda material: checklists(),
    page=lambda lists, material: checklist_page(lists),
    schema=CHECKLIST,
    rows=_rows,
    glance=("checklist", "item", "answered", "asks"),
)
