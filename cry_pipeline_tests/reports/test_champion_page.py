"""The champion's page: when it answers, what its place rests on, and a card that cannot be more than text."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.reports.champion_page import CHAMPION_PAGE, ChampionPageError, card_html
from cry_pipeline.reports.material import Challenger, Champion, Exported, Switch
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.site import SITE
from cry_pipeline.targets import Target
from cry_pipeline.training.calibration import Recalibration
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
CARD = """# Model card: champion

> **Not for diagnosis.** A <b>note</b>.

## Metrics

| metric | value |
|---|--:|
| AUC | 0.946 |

[a link](https://example.org) ![an image](https://example.org/a.png) <https://example.org>
"""
CRY = Exported(
    target="cry",
    classes=("not_cry", "cry"),
    sample_rate_hz=8000,
    min_duration_s=1.0,
    threshold=0.5,
    at_threshold={"recall": 0.8361, "precision": 0.9233},
    recalibrations=(Recalibration(2.78, (0.0, 0.1)), Recalibration(3.03, (0.0, -0.2))),
    verdict="above chance",
    sentence="AUC 0.946: above chance",
    answers=True,
)
REASON = replace(
    CRY, target="reason", classes=("hungry", "tired"), verdict="not distinguishable from chance", answers=False
)
RUNS: Mapping[Target, Mapping[str, str]] = {
    "cry": {"experiment": "own", "run": "a" * 64},
    "reason": {"experiment": "gone", "run": "b" * 64},
}
FIRST = Switch("2026-11-01T10:00:59+00:00", "promoted", "1" * 64, None, RUNS, ["equal to 2.7e-05"])
SECOND = Switch("2026-11-02T01:30:00+02:00", "promoted", "2" * 64, "1" * 64, RUNS, ["cry: not worse than <own>"])
CHAMPION = Champion([FIRST, SECOND], [CRY, REASON], CARD, 32_900_000)


def html_for(champion: Champion, evidence=()) -> str:
    return html_of(CHAMPION_PAGE, Material(CATALOG, list(evidence), champion=champion))


def test_the_page_says_from_when_on_each_question_is_answered() -> None:
    text = Page(html_for(CHAMPION)).text
    assert "It says cry from a probability of 0.50 on." in text
    assert "recall 0.836 precision 0.923" in text
    assert "It abstains : the evidence does not support an answer." in text
    answering = Champion([FIRST], [CRY, replace(REASON, answers=True, threshold=0.7)])
    assert "It gives a reason if its probability is 0.70 or more" in Page(html_for(answering)).text


def test_the_history_is_whole_and_the_latest_switch_first() -> None:
    html = html_for(CHAMPION)
    text = Page(html).text
    assert text.index("2026-11-01 23:30 UTC: promoted 2222222222222222") < text.index(
        "2026-11-01 10:00 UTC: promoted 1111111111111111"
    )
    assert "cry: not worse than <own>" in text
    assert "<own>" not in html
    assert "switches so far 2" in text


def test_a_refused_challenger_is_said_on_the_page_and_on_the_first_one_of_the_site_and_enters_their_keys() -> None:
    refused = Challenger("2026-11-03T03:20:00+00:00", "3" * 64, RUNS, ["cry: worse than <own>", "and more"])
    with_it, without = (Material(CATALOG, [], champion=replace(CHAMPION, refused=of)) for of in (refused, None))
    for report in (CHAMPION_PAGE, SITE):
        html = html_of(report, with_it)
        text = Page(html).text
        assert "The latest challenger was refused, 2026-11-03 03:20 UTC:" in text.replace(" ,", ",")
        assert "cry: worse than <own>" in text
        assert "and more" in text
        assert "<own>" not in html
        assert "challenger was refused" not in Page(html_of(report, without)).text
        assert report.key(with_it) != report.key(without)
    assert 'href="champion.html"' in html_of(SITE, with_it)


def test_a_run_leads_to_its_experiment_where_that_has_a_page_and_says_whether_it_is_the_latest(evidence) -> None:
    found = evidence("own")
    latest: Mapping[Target, Mapping[str, str]] = {"cry": {"experiment": "own", "run": found.provenance.run_digest}}
    html = html_for(Champion([replace(FIRST, runs=latest)], [CRY]), [found])
    assert '<a href="experiments/own.html">own</a>' in html
    assert "the one that its page shows" in html
    html = html_for(CHAMPION, [found])
    assert "not the one that there is evidence of now" in html
    assert "experiments/gone.html" not in html


def test_a_card_becomes_headings_and_tables_and_nothing_that_the_page_forbids() -> None:
    html = card_html(CARD)
    assert "<h2>Model card: champion</h2>" in html
    assert "<h3>Metrics</h3>" in html
    assert 'aria-label="Table 1 of the card"><table>' in html
    assert "&lt;b&gt;note&lt;/b&gt;" in html
    assert "<a" not in html
    assert "<img" not in html
    assert "style=" not in html


def test_the_page_with_a_card_keeps_to_its_policy() -> None:
    plain = replace(CHAMPION, card=CARD.replace("https://example.org", "x"))
    links = links_of(html_for(plain))
    assert "x" not in links


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        (Champion(), "There is no champion yet."),
        (Champion(fault="models/<champion.json> cannot be read"), "models/<champion.json> cannot be read"),
        (Champion([FIRST], fault="a file is missing"), "promoted 1111111111111111"),
    ],
)
def test_without_a_champion_or_its_bundle_there_is_a_page_that_says_so(champion: Champion, said: str) -> None:
    text = Page(html_for(champion)).text
    assert said in text
    assert ("There is no champion yet." in text) == (champion == Champion())


def test_the_key_is_that_of_the_champion_and_of_whether_its_runs_are_the_latest(evidence) -> None:
    def key(champion: Champion, found=()) -> str:
        return CHAMPION_PAGE.key(Material(CATALOG, list(found), champion=champion))

    changed = [replace(CHAMPION, history=[FIRST]), replace(CHAMPION, card="other"), replace(CHAMPION, fault="gone")]
    assert len({key(CHAMPION), key(CHAMPION, [evidence("own")]), *map(key, changed)}) == 5
    with pytest.raises(ChampionPageError, match="no champion to show"):
        CHAMPION_PAGE.key(Material(CATALOG, []))
