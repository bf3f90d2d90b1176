"""Pages as a browser gets them: a page of the reports, or one that says why there is none.

Belongs here: which files are pages, and what is changed in one on its way. Does not: making them (reports/), nor HTTP
(app.py).
"""

import re
from html import escape, unescape
from pathlib import Path
from types import MappingProxyType

from cry_pipeline.artefacts import read_plain
from cry_pipeline.reports.pages import source_hash

INDEX = "index.html"
NAME = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.html")
"""What a page may be called, relative to the folder of reports: no way out of it, and no temporary file."""
PLAIN, SERVED = b'<html lang="en">', b'<html lang="en" class="served">'
"""How a page begins, and how it does where what works only when it is served is to be seen."""
LIVE = MappingProxyType({"review": "Review", "listen": "Listen"})
"""What only a served site has, by its path: the navigation of every page leads there then."""
NAVIGATION_END = b"</nav>"
POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([^"\r\n]*)">')
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STYLE = (
    ":root { color-scheme: light dark; } "
    "body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; }"
)


class NoPageError(LookupError):
    """There is no such page."""


def read_page(folder: Path, name: str) -> bytes:
    """Return the page called ``name`` of the folder of reports.

    Raises:
        NoPageError: there is none, or it is a link out of the folder, or no plain file.
        OSError: it cannot be read.
    """
    if not NAME.fullmatch(name):
        raise NoPageError(name)
    home = folder.resolve()
    path = (home / name).resolve()
    if not path.is_relative_to(home):
        raise NoPageError(name)
    try:
        return read_plain(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NoPageError(name) from error


def served(page: bytes, name: str) -> bytes:
    """Return the page called ``name`` with what works only when it is served: players, links to review and the UI."""
    root = "../" * name.count("/")
    current = ' aria-current="page"'
    links = "".join(
        f'<a href="{root}{path}"{current if path == name else ""}>{words}</a>\n' for path, words in LIVE.items()
    )
    page = page.replace(NAVIGATION_END, links.encode() + NAVIGATION_END, 1)
    return page.replace(PLAIN, SERVED, 1)


def policy(page: bytes) -> str:
    """Return the Content-Security-Policy of a page's answer: the page's own, and that no other page may frame it.

    Pages state theirs before anything that came from outside. One without is allowed nothing.
    """
    found = POLICY.search(page)
    return f"{unescape(found[1].decode('ascii', 'replace'))}; frame-ancestors 'none'" if found else NOTHING


def notice(title: str, sentence: str) -> bytes:
    """Return a page of a title and a sentence, both plain text; `…` in the sentence is shown as code."""
    own = f"default-src 'none'; style-src '{source_hash(STYLE)}'; base-uri 'none'; form-action 'none'"
    words = re.sub(r"`(.+?)`", r"<code>\1</code>", escape(sentence))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{own}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{words}</p>
</main>
</body>
</html>
""".encode()
