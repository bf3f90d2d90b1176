"""Recordings are judged with keys alone, with buttons alone, and by nobody who did not mean to."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from cry_pipeline.corpus.judgements import latest_of_each, read_judgements
from cry_pipeline_tests.ui.small_site import SmallSite, begin, hear, opened

pytestmark = pytest.mark.ui


def verdicts(small: SmallSite, who: str) -> list[str]:
    """Return what ``who`` said that stands, in the order of saying."""
    judgements = latest_of_each(read_judgements(small.site.settings.judgements))
    return judgements[judgements["who"] == who].sort_values("at")["verdict"].tolist()


def shown(page: Page) -> str:
    """Return the id of the recording that is shown."""
    found = re.search(r"recordings/([0-9a-f]{64})\.wav$", page.locator("#player").get_attribute("src") or "")
    assert found
    return found[1]


def counts(page: Page, words: str) -> None:
    """Wait until the page says how far the person is."""
    expect(page.locator("#counts")).to_have_text(words)


def test_recordings_are_judged_by_keys(visitor: Page, small: SmallSite) -> None:
    visitor.get_by_role("link", name="Review").press("Enter")
    begin(visitor, small, "Ann")
    counts(visitor, "0 judged, 3 to go")
    expect(visitor.get_by_role("heading", name="Recording")).to_be_focused()
    visitor.keyboard.press("c")
    expect(visitor.get_by_role("status")).to_have_text("Listen first.")
    hear(visitor)
    visitor.keyboard.press("c")
    expect(visitor.get_by_role("status")).to_have_text("Kept: a baby cries. 2 to go.")
    first = shown(visitor)
    hear(visitor)
    visitor.keyboard.press("ArrowLeft")
    counts(visitor, "2 judged, 1 to go")
    assert verdicts(small, "Ann") == ["cry", "not_cry"]
    visitor.keyboard.press("u")
    counts(visitor, "1 judged, 2 to go")
    assert shown(visitor) == first, "what was taken back is judged anew"
    visitor.keyboard.press("s")
    expect(visitor.get_by_role("status")).to_have_text("Put off.")
    assert shown(visitor) != first
    visitor.keyboard.press("x")
    counts(visitor, "2 judged, 1 to go")
    assert shown(visitor) == first, "what was put off comes again"
    hear(visitor)
    visitor.keyboard.press("ArrowRight")
    expect(visitor.get_by_role("heading", name="Nothing is waiting for you")).to_be_focused()
    assert verdicts(small, "Ann") == ["cry", "unusable", "cry"]
    heard = read_judgements(small.site.settings.judgements).query("who == 'Ann' and verdict != 'retracted'")
    assert heard["heard_s"][heard["verdict"] != "unusable"].between(0.7, 1.6).all()


def test_recordings_are_judged_by_buttons(visitor: Page, small: SmallSite) -> None:
    begin(visitor, small, "<b>Ben")
    expect(visitor.locator("#person")).to_have_text("<b>Ben")
    hear(visitor)
    visitor.get_by_label("Why it cries, only if you know").select_option("tired")
    visitor.get_by_role("button", name="A baby cries").click()
    counts(visitor, "1 judged, 2 to go")
    visitor.keyboard.press("Space")  # plays the next one, and does not press the button again
    visitor.wait_for_function("() => document.getElementById('player').currentTime > 0.6")
    assert verdicts(small, "<b>Ben") == ["cry"]
    assert visitor.get_by_label("Why it cries, only if you know").input_value() == ""
    visitor.get_by_role("button", name="Take my last one back").click()
    counts(visitor, "0 judged, 3 to go")
    assert verdicts(small, "<b>Ben") == []


def test_keys_that_mean_something_else_judge_nothing(visitor: Page, small: SmallSite) -> None:
    visitor.goto(f"{small.address}review")
    visitor.keyboard.type("xcnu")  # a name of letters that judge
    visitor.keyboard.press("Enter")
    visitor.get_by_role("img").wait_for()
    hear(visitor)
    visitor.keyboard.press("Control+c")
    visitor.keyboard.press("Alt+ArrowLeft")
    visitor.goto(f"{small.address}review")  # where Alt and the arrow led back
    visitor.get_by_role("img").wait_for()
    hear(visitor)
    visitor.get_by_label("Why it cries, only if you know").focus()
    visitor.keyboard.press("c")
    visitor.get_by_label("judge with single keys").uncheck()
    visitor.locator("#title").focus()
    visitor.keyboard.press("c")
    visitor.reload()
    visitor.get_by_role("img").wait_for()
    expect(visitor.get_by_label("judge with single keys")).not_to_be_checked()
    visitor.get_by_label("judge with single keys").check()
    visitor.locator("#title").focus()
    for _ in range(3):  # a key that is held down
        visitor.keyboard.down("x")
    counts(visitor, "1 judged, 2 to go")
    assert verdicts(small, "xcnu") == ["unusable"]


def test_recording_that_is_gone_can_be_put_aside(visitor: Page, small: SmallSite) -> None:
    visitor.route("**/recordings/*.wav", lambda route: route.fulfill(status=404, body="gone"))
    begin(visitor, small, "Cid")
    expect(visitor.get_by_role("alert")).to_contain_text("cannot be played")
    visitor.keyboard.press("x")
    counts(visitor, "1 judged, 2 to go")


def test_what_another_tab_judged_is_not_judged_again(visitor: Page, small: SmallSite) -> None:
    begin(visitor, small, "Dan")
    second = visitor.context.new_page()
    second.goto(f"{small.address}review")
    counts(second, "0 judged, 3 to go")
    visitor.keyboard.press("x")
    counts(visitor, "1 judged, 2 to go")
    second.keyboard.press("x")
    counts(second, "1 judged, 2 to go")
    expect(second.get_by_role("status")).to_contain_text("not asked of you any more")
    assert shown(second) == shown(visitor)


def test_without_the_link_the_page_says_where_it_is(browser: Browser, small: SmallSite) -> None:
    context = browser.new_context()
    page = context.new_page()
    for name in ("review", "listen"):
        answer = page.goto(f"{small.address}{name}")
        assert answer
        assert answer.status == 403
        expect(page.get_by_role("heading", name="The link is missing")).to_be_visible()
    context.close()


def test_without_scripts_the_page_says_what_to_do_instead(browser: Browser, small: SmallSite) -> None:
    page = opened(browser, small, [], java_script_enabled=False)
    for name, command in (("review", "cry-pipeline review list"), ("listen", "cry-pipeline predict FILE")):
        page.goto(f"{small.address}{name}")
        expect(page.get_by_text(command)).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)
    page.context.close()
