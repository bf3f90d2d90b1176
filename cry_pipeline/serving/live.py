"""Pages that are not kept but made for whoever asks: how their templates are filled.

Belongs here: what review and listen share. Does not: what each of them says (templates/) and does (review.py,
listen.py), nor the pages of reports.
"""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from cry_pipeline.reports.pages import EXPERIMENTS, PAGES, source_hash
from cry_pipeline.serving.pages import notice, policy, served

if TYPE_CHECKING:
    from jinja2 import Environment


LOG = logging.getLogger("cry_pipeline")


UNBLINDING = frozenset({"contradicted_labels.html"})
"""Pages that say of single recordings what models make of them: where people judge, no link leads there."""


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("cry_pipeline.serving"), PackageLoader("cry_pipeline.reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["source_hash"] = source_hash
    return environment


def live_page(request: Request, name: str, title: str, **values: Any) -> Response:
    """Return the page at ``/<name>``: its template, on the reports' base, with what its script needs to be believed."""
    filled = (
        _environment()
        .get_template(f"{name}.html.j2")
        .render(
            page=name,
            root="",
            pages={file: called for file, called in PAGES.items() if file not in UNBLINDING},
            experiments=EXPERIMENTS,
            title=title,
            synthetic=False,
            csrf=request.app.state.access.csrf,
            **values,
        )
    )
    page = served(filled.encode(), name)
    headers = {"content-security-policy": policy(page), "cache-control": "no-store"}
    return Response(page, 200, headers, "text/html; charset=utf-8")


def notice_page(title: str, sentence: str, status: int) -> Response:
    """Return the answer that shows a :func:`~cry_pipeline.serving.pages.notice`."""
    page = notice(title, sentence)
    return Response(page, status, {"content-security-policy": policy(page)}, "text/html; charset=utf-8")
