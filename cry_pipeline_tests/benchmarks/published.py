"""``python -m cry_pipeline_tests.benchmarks.published FILE``: put what `make bench` found into the documents.

Belongs here: the table of docs/benchmarks.md, which is made of docs/benchmarks.json and nothing else. Does not: what is
said of the figures there, which people write.
"""

import sys
from pathlib import Path

from cry_pipeline_tests.benchmarks.measuring import Run

DOCS = Path(__file__).parents[2] / "docs"
FOUND, PAGE = DOCS / "benchmarks.json", DOCS / "benchmarks.md"
BEGIN, END = "<!-- made of benchmarks.json -->", "<!-- end of what is made -->"


def table_in(page: str) -> str:
    """Return what stands between the marks of ``page``."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def with_table(page: str, run: Run) -> str:
    """Return ``page`` with the figures of ``run`` between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{run.page()}\n\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Take a run over, and make the page's table of it."""
    (file,) = sys.argv[1:]
    run = Run.read(Path(file))
    run.write(FOUND)
    PAGE.write_text(with_table(PAGE.read_text(), run))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
