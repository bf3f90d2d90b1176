"""The pages that are made when they are asked for: what they may do, and where the site leads to them."""

import re

import pytest

from cry_pipeline.reports.pages import source_hash
from cry_pipeline_tests.serving.asking import Visitor, ask
from cry_pipeline_tests.serving.sites import Site

SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@pytest.mark.parametrize(("name", "media"), [("review", "'self'"), ("listen", "blob:")])
def test_page_runs_its_own_script_and_asks_its_own_server_alone(site: Site, name: str, media: str) -> None:
    answer = Visitor.of(site).get(f"/{name}")
    page, policy = answer.body.decode(), answer.headers["content-security-policy"]
    (script,) = SCRIPT.findall(page)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    allowed = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert allowed == {
        "default-src": "'none'",
        "script-src": f"'{source_hash(script)}'",
        "style-src": f"'{source_hash(styles[0])}'",
        "connect-src": "'self'",
        "img-src": "data:",
        "media-src": media,
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search(r"https?://|src=\"|\son[a-z]+=|\sstyle=|innerHTML|eval\(|url\(|@import", page)
    assert answer.headers["cache-control"] == "no-store"
    assert f'<a href="{name}" aria-current="page">' in page


def test_every_page_of_a_served_site_leads_to_review_and_listen(site: Site) -> None:
    for path, root in (("/", ""), ("/index.html", ""), ("/experiments/a.html", "../")):
        page = ask(site, path).body.decode()
        navigation = page[page.index("<nav") : page.index("</nav>")]
        for name, words in (("review", "Review"), ("listen", "Listen")):
            assert f'<a href="{root}{name}">{words}</a>' in navigation
