"""A report: what it is called, what enters its key, how its content becomes a table and a page; and its one writer.

Belongs here: what all reports share. Does not: their content (evaluation, and the module of each report), what pages
share (pages.py), or when a report is written (orchestration).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from cry_pipeline import keys
from cry_pipeline.artefacts import is_current, write_html
from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.reports.confused import Confused
from cry_pipeline.reports.happened import Happened
from cry_pipeline.reports.heard import Listened
from cry_pipeline.reports.material import Champion, Donations, Kept, Stored, Tables
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec
from cry_pipeline.reports.pages import fill
from cry_pipeline.reports.rows import GLANCED
from cry_pipeline.tables import Schema

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots
    from cry_pipeline.evaluation.predictions import OutOfFold
    from cry_pipeline.features.store.store import FeatureStore

Content = TypeVar("Content")
Reads = Literal[
    "evidence",
    "features",
    "tables",
    "stored",
    "champion",
    "kept",
    "donations",
    "live",
    "listened",
    "confused",
    "how_much",
]
"""What a report may be made of besides the catalog, by its name in :class:`Material`."""


@dataclass(frozen=True)
class Features:
    """The store of each feature set by name, the manifest, and where its audio files lie."""

    stores: "Mapping[str, FeatureStore]"
    recordings: "pd.DataFrame"
    roots: "Roots"


@dataclass(frozen=True)
class Material:
    """What reports are made of.

    Attributes:
        catalog: says what the experiments are.
        evidence: of any of its experiments.
        not_run: the experiments that there is no evidence of, and why.
        runs: out-of-fold predictions by experiment, of those that the report compares.
        features, tables, stored, champion, kept, donations, live, listened, confused: None unless the report reads it.
        how_much: the sentence on how many donors it would take, of the report of that name; None where it has none.
    """

    catalog: Catalog
    evidence: Sequence[Evidence]
    not_run: Mapping[str, str] = field(default_factory=dict)
    runs: "Mapping[str, OutOfFold]" = field(default_factory=dict)
    features: Features | None = None
    tables: Tables | None = None
    stored: Stored | None = None
    champion: Champion | None = None
    kept: Kept | None = None
    donations: Donations | None = None
    live: Happened | None = None
    listened: Listened | None = None
    confused: Confused | None = None
    how_much: str | None = None

    @property
    def digests(self) -> list[str]:
        """The digests of all evidence, each with its standing among the others, sorted."""
        return sorted(result.standing for result in self.evidence)

    @property
    def synthetic(self) -> bool:
        """Whether any recording that was evaluated is generated."""
        return any(result.synthetic for result in self.evidence)


@dataclass(frozen=True)
class Written:
    """A report on disk: its digest, page and table, how many pages were made and were current.

    ``plots`` (PNG images by title; none of a page that was current) and ``beside`` (further tables and lists by name)
    are for who does not open the page.
    """

    digest: str
    page: Path
    computed: int
    reused: int
    table: "pd.DataFrame | None" = None
    plots: Mapping[str, bytes] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report(Generic[Content]):
    """One report of a catalog: a page and, but for the site's first page, a table.

    Attributes:
        name: of the report.
        stage: of :data:`cry_pipeline.keys.STAGES`; its template is that of ``page_keys.TEMPLATES``.
        file: the name of page and table, less their endings.
        title: of the page.
        description: of the report, in a sentence.
        content: makes what page and table show; called only where they are not current.
        page: returns what the template is filled with.
        schema: of the table; None for a report that is a page only.
        rows: returns the table's rows.
        spec: returns what, besides templates, decides the page whatever the data are.
        inputs: returns the digests of the data.
        compared: returns the experiments that the report compares: it shows no others, and needs their predictions.
            None: it shows the evidence of all.
        reads: what it is made of: it is made again when that changes.
        noted: returns what is written down with the table.
        plots: returns pictures of the content, small enough for an event log.
        beside: returns what else is told where the page is not open.
        glance: columns of the table that are told there, as :func:`cry_pipeline.reports.rows.glance` names them.
        glanced: how many of its rows are.
    """

    name: str
    stage: str
    file: str
    title: str
    description: str
    content: Callable[[Material], Content]
    page: Callable[[Content, Material], Mapping[str, Any]]
    schema: Schema | None = None
    rows: Callable[[Content], Sequence[Mapping[str, Any]]] = lambda content: ()
    spec: Callable[[Catalog], Mapping[str, Any]] = lambda catalog: {}
    inputs: Callable[[Material], Mapping[str, Any]] = lambda material: {"evidence": material.digests}
    compared: Callable[[Catalog], Collection[str]] | None = None
    reads: Collection[Reads] = ("evidence",)
    noted: Callable[[], Mapping[str, Any]] = dict
    plots: Callable[[Content], Mapping[str, bytes]] = lambda content: {}
    beside: Callable[[Material], Mapping[str, Any]] = lambda material: {}
    glance: Sequence[str] = ()
    glanced: int = GLANCED

    def code_version(self, catalog: Catalog) -> str:
        """Return what decides the report besides the data, as a digest."""
        return keys.code_version(self.stage, page_spec(self.stage, **self.spec(catalog)))

    def key(self, material: Material) -> str:
        """Return the digest of all that the report is made of."""
        return keys.key(self.stage, page_spec(self.stage, **self.spec(material.catalog)), self.inputs(material))

    def html(self, content: Content, material: Material) -> str:
        """Return the page, which stands alone."""
        values = self.page(content, material)
        return fill(TEMPLATES[self.stage], page=f"{self.file}.html", title=self.title, **values)

    def table(self, content: Content) -> "pd.DataFrame":
        """Return the table, in the page's order, as the schema says.

        Raises:
            ValueError: the report is a page only.
        """
        if self.schema is None:
            raise ValueError(f"{self.name} is a page only: it has no table")
        return self.schema.table_of(self.rows(content), text="str")  # text as pandas itself has it

    def table_path(self, folder: Path) -> Path:
        """Return where the table lies in the folder of reports."""
        return folder / f"{self.file}.parquet"

    def write(self, material: Material, folder: Path) -> Written:
        """Write page and table to ``folder``, each atomically, unless both are current.

        Current is only what is, byte for byte, what was written under the report's key: if either is not, both are
        made again.

        Raises:
            TableError: the table is not what its schema says.
        """
        if self.compared is not None:
            material = only(material, self.compared(material.catalog))
        beside = self.beside(material)
        key, page, path = self.key(material), folder / f"{self.file}.html", self.table_path(folder)
        if is_current(page, key):
            table = self.schema.current(path, key) if self.schema else None
            if table is not None or self.schema is None:
                return Written(key, page, 0, 1, table, beside=beside)
        content = self.content(material)
        table = self.table(content) if self.schema else None
        if self.schema and table is not None:
            self.schema.write(path, table, key, **self.noted())
        write_html(page, self.html(content, material), key)
        return Written(key, page, 1, 0, table, self.plots(content), beside)


def only(material: Material, names: Collection[str]) -> Material:
    """Return ``material`` with the evidence of the experiments ``names`` alone."""
    evidence = [result for result in material.evidence if result.provenance.experiment in set(names)]
    return replace(material, evidence=evidence)
