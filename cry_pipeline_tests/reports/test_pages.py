"""What all pages share: their policy, and the one script that a page may have."""

import re
from collections import Counter
from pathlib import Path

import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment, PackageLoader, StrictUndefined

import cry_pipeline.reports
from cry_pipeline.reports.pages import PAGES, source_hash
from cry_pipeline_tests.reports.test_leaderboard import Page, check_policy, digest_of

SCRIPT = 'document.title = "a < b && c";\n'
BODY = '{% extends "base.html.j2" %}{% block body %}</header><p>words</p>{% endblock %}'


def page_of(template: str) -> str:
    given = DictLoader({"page": template, "a.js": SCRIPT})
    environment = Environment(
        loader=ChoiceLoader([given, PackageLoader("cry_pipeline.reports")]), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["source_hash"] = source_hash
    return environment.get_template("page").render(title="A", synthetic=False, page="", root="", pages=PAGES)


def test_a_page_without_a_script_allows_none() -> None:
    text = page_of(BODY)
    check_policy(Page(text), text)
    assert "script" not in text


def test_the_one_script_of_a_page_is_allowed_as_it_stands_and_no_other() -> None:
    text = page_of(BODY + '{% block script %}{% include "a.js" %}{% endblock %}')
    assert f"<script>{SCRIPT.rstrip()}</script>" in text
    assert f" script-src '{digest_of(SCRIPT.rstrip())}';" in text
    check_policy(Page(text), text)
    with pytest.raises(AssertionError):
        check_policy(Page(text), text.replace("a < b", "a > b"))


def test_a_page_may_have_styles_of_its_own() -> None:
    text = page_of(BODY + "{% block style %}.own { color: red; }{% endblock %}")
    assert ".own { color: red; }" in text
    check_policy(Page(text), text)


def test_what_works_only_when_served_is_hidden_until_the_page_says_that_it_is() -> None:
    text = page_of(BODY)
    assert text.count('<html lang="en">') == 1, "what serving writes `class` into"
    assert "html:not(.served) .only-served { display: none; }" in text


def test_no_macro_is_defined_twice() -> None:
    (package,) = cry_pipeline.reports.__path__
    for template in (Path(package) / "templates").glob("*.j2"):
        defined = Counter(re.findall(r"{% macro (\w+)", template.read_text(encoding="utf-8")))
        assert not [name for name, times in defined.items() if times > 1], template.name
