"""Only who opened the link reviews and listens, and only from the site's own pages."""

from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlsplit

import pytest

from cry_pipeline.corpus.judgements import read_judgements
from cry_pipeline.serving.access import Access
from cry_pipeline.settings import Settings
from cry_pipeline_tests.serving.asking import HOST, Visitor, ask
from cry_pipeline_tests.serving.sites import Site

READ = ["/review", "/review/waiting", f"/review/recordings/{'0' * 64}", "/listen"]
CHANGED = ["/review/judgements", "/review/undo", "/listen/answer"]
LACKING = [
    {"cookie": ""},
    {"x_csrf_token": ""},
    {"x_csrf_token": "0" * 64},
    {"x_csrf_token": "é"},
    {"origin": ""},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "https://evil.example"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "none"},
]
"""What a request does not have that comes from elsewhere."""


def token_of(site: Site) -> str:
    return dict(parse_qsl(urlsplit(Access.of(site.settings).link("http://x/")).query))["token"]


def test_link_lets_a_browser_in_and_leaves_no_token_in_its_address(site: Site) -> None:
    answer = ask(site, "/review", query=f"a=b%26c&token={token_of(site)}")
    assert (answer.status, answer.headers["location"]) == (303, "./review?a=b%26c")
    cookie = SimpleCookie(answer.headers["set-cookie"])
    ((name, morsel),) = cookie.items()
    assert (morsel["httponly"], morsel["samesite"], morsel["secure"], morsel["max-age"]) == (True, "strict", "", "")
    assert token_of(site) not in answer.headers["set-cookie"]
    access = Access.of(site.settings)
    assert (name, morsel.value) == (access.cookie, access.session)
    assert Visitor.of(site).get("/review").status == 200


def test_cookie_is_for_https_alone_where_the_site_is(site: Site) -> None:
    public = site._replace(settings=site.settings.model_copy(update={"site_url": "https://cries.example/site"}))
    answer = ask(public, "/", host="cries.example", query=f"token={token_of(site)}")
    assert "; Secure" in answer.headers["set-cookie"]


def test_link_of_any_page_leads_to_that_page(site: Site) -> None:
    for path, leads_to in (("/", "./"), ("/experiments/a.html", "./a.html"), ("//evil.example", "./evil.example")):
        assert ask(site, path, query=f"token={token_of(site)}").headers["location"] == leads_to


@pytest.mark.parametrize("query", ["token=", "token=0", "token=%C3%A9", "token={0}&token={0}", "token={0}0"])
def test_wrong_token_lets_nobody_in(site: Site, query: str) -> None:
    for path in ("/", "/review"):
        answer = ask(site, path, query=query.format(token_of(site)))
        assert answer.status == 403
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", READ)
def test_without_the_link_nothing_is_told(site: Site, path: str) -> None:
    assert ask(site, path).status == 403
    visitor = Visitor.of(site)
    visitor.app.state.access = visitor.app.state.access._replace(session="0" * 64)
    sent = visitor.sends
    assert Visitor.of(site).post("/review/undo", b"{}", cookie=sent["cookie"]).status == 403
    assert Visitor.of(site).get(path).status != 403


def test_who_has_no_link_is_told_where_it_is(site: Site) -> None:
    visitor = Visitor.of(site)
    page = visitor.post("/listen/answer", accept="text/html", cookie="")
    assert page.headers["content-type"].startswith("text/html")
    assert b"<code>cry-pipeline serve</code>" in page.body
    assert "cry-pipeline serve" in ask(site, "/review").json["error"]


@pytest.mark.parametrize("path", CHANGED)
def test_what_another_page_sends_is_refused_unread(own_site: Site, path: str) -> None:
    visitor = Visitor.of(own_site)
    donated = own_site.ids["donated"]
    body = b'{"who": "Ann", "recording_id": "%s", "verdict": "unusable", "heard_s": 1}' % donated.encode()
    for lacks in LACKING:
        answer = visitor.post(path, body, **lacks)
        assert answer.status == 403, lacks
        assert "error" in answer.json
    assert read_judgements(own_site.settings.judgements).empty
    if path == "/review/judgements":  # with all of it, the same is taken
        assert visitor.post(path, body).status == 200


def test_page_behind_a_proxy_is_the_sites_own(own_site: Site) -> None:
    settings = own_site.settings.model_copy(update={"site_url": "https://cries.example/site/"})
    visitor = Visitor.of(own_site._replace(settings=settings))
    assert visitor.post("/review/undo", b'{"who": "Ann"}', origin="https://cries.example").status == 409
    assert visitor.post("/review/undo", b'{"who": "Ann"}', origin=f"http://{HOST}").status == 409


def test_link_is_of_one_installation_and_stays_the_same(site: Site, settings: Settings) -> None:
    one, other = Access.of(site.settings), Access.of(settings)
    assert one == Access.of(site.settings)
    assert not {one.token, one.session, one.csrf, one.cookie} & {other.token, other.session, other.csrf, other.cookie}
    assert len({one.token, one.session, one.csrf}) == 3
