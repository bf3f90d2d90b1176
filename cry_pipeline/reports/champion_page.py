"""The champion: what it answers and from when on, how it came to be in use, what was before it, and its model card.

Belongs here: arranging these for the page, and the card as HTML. Does not: the card's words and the history (inference
has them, and does not know reports: orchestration hands them in), and the page's words and looks (``templates/``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.reports.material import Champion
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.targets import QUESTIONS

if TYPE_CHECKING:
    from markupsafe import Markup

BELOW = 1
"""Levels by which a card's headings are lower on the page, which has a title of its own."""


class ChampionPageError(ValueError):
    """There is nothing to show; the message says what to do."""


def champion_of(material: Material) -> Champion:
    """Return what the page is made of.

    Raises:
        ChampionPageError: nothing is.
    """
    if material.champion is None:
        raise ChampionPageError("There is no champion to show: hand it in, or one without history where there is none.")
    return material.champion


def champion_page(champion: Champion, evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Return what the page shows; ``evidence`` says which experiments have a page, and what their runs are now."""
    return {
        "synthetic": champion.synthetic,
        "champion": champion,
        "now": champion.history[-1] if champion.history else None,
        "history": [asdict(entry) | {"at": moment(entry.at)} for entry in reversed(champion.history)],
        "since": moment(champion.history[-1].at) if champion.history else "",
        "refused": refusal_of(champion),
        "questions": QUESTIONS,
        "runs": runs_of(champion, evidence),
        "card": card_html(champion.card),
    }


def refusal_of(champion: Champion) -> dict[str, Any] | None:
    """Return the challenger whose refusal stands, as pages show it."""
    refused = champion.refused
    return asdict(refused) | {"at": moment(refused.at)} if refused else None


def runs_of(champion: Champion, evidence: Sequence[Evidence]) -> dict[str, dict[str, Any]]:
    """Return, by target, the run in use: its experiment, whether that has a page, and whether it is its latest run."""
    found = {result.provenance.experiment: result.provenance.run_digest for result in evidence}
    return {
        target: {
            "experiment": run["experiment"],
            "run": run["run"],
            "page": run["experiment"] in found,
            "latest": found.get(run["experiment"]) == run["run"],
        }
        for target, run in (champion.history[-1].runs if champion.history else {}).items()
    }


def card_html(card: str) -> "Markup":
    """Return a model card, Markdown, as HTML that the page can hold: no link, no image and no HTML of its own.

    Headings are one level lower; each table can be scrolled by itself.
    """
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    reader = MarkdownIt("js-default", {"html": False, "linkify": False}).disable(["link", "image", "autolink"])
    number = count(1)

    def table_open(*_: Any) -> str:
        return (
            f'<div class="card scroll" role="region" tabindex="0" aria-label="Table {next(number)} of the card"><table>'
        )

    reader.add_render_rule("table_open", lambda renderer, *given: table_open(*given))
    reader.add_render_rule("table_close", lambda renderer, *given: "</table></div>\n")
    tokens = reader.parse(card)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + BELOW)}"
        token.attrs.pop("style", None)  # alignment of columns: the page's policy forbids the attribute
    # Text is escaped, and nothing else of the card becomes HTML.
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704


def moment(at: str) -> str:
    """Return a time as the history holds it in UTC, to the minute; what is no time is shown as it is."""
    try:
        return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return at


def _inputs(material: Material) -> Mapping[str, Any]:
    champion = champion_of(material)
    return {"champion": asdict(champion), "runs": runs_of(champion, material.evidence)}


CHAMPION_PAGE = Report(
    name="champion",
    stage="champion_page",
    file="champion",
    title="Champion",
    description="The model in use: what it answers, from which probability on, why it was promoted, what was before "
    "it, and its model card.",
    reads=("champion",),
    inputs=_inputs,
    content=champion_of,
    page=lambda content, material: champion_page(content, material.evidence),
)
