"""The page that compares: whatever two runs are chosen, it shows their numbers, and its address leads back to them."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.comparisons import compare
from cry_pipeline.evaluation.kept_runs import KeptRun
from cry_pipeline.reports.compare import COMPARE
from cry_pipeline.reports.material import Kept
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.ui.looking import PATIENCE_MS

pytestmark = pytest.mark.ui

NAMES = ("lr", "lr@bbbbbbbb", "svm")


@pytest.fixture(scope="module")
def kept_runs(
    kept_in: Callable[[Path], Callable[..., KeptRun]], tmp_path_factory: pytest.TempPathFactory
) -> list[KeptRun]:
    """A run of now, the one before it, and a worse one."""
    kept, svm = kept_in(tmp_path_factory.mktemp("kept")), {"model": "svm"}
    return [
        kept("lr", "a" * 64, effect=1.5),
        kept("lr", "b" * 64, effect=1.0, parts={"C": 2.0}, started_at="2025-01-01T00:00:00+00:00"),
        kept("svm", "c" * 64, effect=0.2, names=svm, parts={"kind": "svm"}),
    ]


@pytest.fixture(scope="module")
def address(kept_runs: list[KeptRun], tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(kept_runs, tmp_path_factory.mktemp("reports"))


def written(kept_runs: list[KeptRun], folder: Path) -> str:
    """Return the page's address as a file: nothing serves it."""
    now = [run.evidence for run in kept_runs if run.name != "lr@bbbbbbbb"]
    material = Material(Catalog.model_construct(), now, kept=Kept(kept_runs))
    return COMPARE.write(material, folder).page.as_uri()


@pytest.fixture
def opened(browser: Browser, address: str) -> Page:
    """The page, just opened; what it complains of fails the test."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    return page


def shown(value: float, sign: str = "") -> str:
    """Return a number as the page writes it; of what is rounded to 0 either sign is right."""
    return f"{value:{sign}.3f}".replace("-", "−")


def test_what_changed_in_place_is_chosen_first(opened: Page) -> None:
    assert opened.inner_text(".outcome") == "The first run is better than the second."
    assert opened.inner_text("#result li:first-child a") == "lr"
    assert "model.C" in opened.inner_text("#result section")


def test_whatever_is_chosen_its_numbers_are_shown(opened: Page, kept_runs: list[KeptRun]) -> None:
    for first, second in permutations(range(3), 2):
        opened.select_option("#first", str(first))
        opened.select_option("#second", str(second))
        rows = opened.locator("#result table").first.locator("tbody tr")
        for name, metric in (("AUC", "auc"), ("log-loss", "log_loss")):
            found = compare(kept_runs[first].rows(), kept_runs[second].rows(), metric=metric)
            words = rows.filter(has=opened.get_by_role("rowheader", name=name)).inner_text()
            for value in (found.difference, found.low, found.high):
                assert shown(value, "+") in words
            for run in (kept_runs[first], kept_runs[second]):
                assert shown(run.evidence.metrics[metric].value) in words
        auc = compare(kept_runs[first].rows(), kept_runs[second].rows(), metric="auc")
        better = {(True, True): "better", (False, False): "worse"}.get((auc.better, auc.not_worse))
        assert opened.inner_text(".outcome") == (
            f"The first run is {better} than the second." if better else "No difference is shown."
        )


def test_nothing_is_said_of_two_runs_that_guess(
    opened: Page, kept_in: Callable[[Path], Callable[..., KeptRun]], tmp_path: Path
) -> None:
    kept = kept_in(tmp_path / "kept")
    guessing = [kept("lr", "d" * 64, effect=0.0), kept("svm", "e" * 64, effect=0.0, names={"model": "svm"})]
    opened.goto(written(guessing, tmp_path))
    assert opened.inner_text(".outcome") == "Nothing is said: neither run is above chance."


def test_the_address_leads_back_to_what_was_chosen(opened: Page, address: str) -> None:
    opened.select_option("#second", "2")
    assert opened.url == f"{address}#lr&svm"
    opened.click("#swap")
    assert opened.url == f"{address}#svm&lr"
    there = opened.url
    for asked, chosen in (
        (there, "svm&lr"),
        (f"{address}#lr", "lr&lr%40bbbbbbbb"),
        (f"{address}#%zz&no", "lr&lr%40bbbbbbbb"),
    ):
        opened.goto("about:blank")
        opened.goto(asked)
        assert opened.url == f"{address}#{chosen}"


def test_without_scripts_the_page_says_what_to_do_instead(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.get_by_text("Choosing needs JavaScript").is_visible()
    assert not page.locator("#chooser").is_visible()
    assert page.get_by_role("heading", name="Changed in place").is_visible()
    context.close()


def test_one_run_twice_is_no_comparison(opened: Page) -> None:
    opened.select_option("#second", opened.input_value("#first"))
    assert opened.inner_text("#result") == "Choose two different runs."
