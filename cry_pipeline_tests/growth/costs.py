"""What an installation of any size takes: bytes, requests, hours and money, from figures that were measured.

Belongs here: the model, its figures with where each is from, and its table. Does not: measuring (the commands named).

Money is of a cloud: one bucket, machines by the hour, all in one region, so that no traffic between them is paid. It is
an order of magnitude. Who has prices of their own changes :data:`PRICES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GB, HOUR_S, THOUSAND = 1e9, 3600.0, 1000.0
BENCHMARKS = "docs/benchmarks.md"
CORPUS = "the corpus, as `make run` leaves it"


@dataclass(frozen=True)
class Figure:
    """A figure of the model: its value, unit, and where it is from."""

    value: float
    unit: str
    source: str


PRICES: Mapping[str, Figure] = {
    "storage": Figure(0.023, "USD per GB and month", "Amazon S3 Standard, us-east-1, list price of the first 50 TB"),
    "put": Figure(0.005, "USD per 1,000 PUT, COPY or LIST", "the same"),
    "get": Figure(0.0004, "USD per 1,000 GET", "the same"),
    "cpu": Figure(0.0408, "USD per hour of a core", "EC2 m7g.large on demand, us-east-1, June 2026: 0.0816 for two"),
}
FIGURES: Mapping[str, Figure] = {
    "upload": Figure(37_700, "bytes of an upload", f"mean of 888 uploads of {CORPUS}"),
    "told": Figure(711, "bytes of what the archive tells of one", "a donation without a sidecar"),
    "features": Figure(330_000, "bytes of a recording's features, three sets", CORPUS),
    "part_rows": Figure(223, "recordings in a part, mean of three sets", CORPUS),
    "part_files": Figure(38 / 3, "objects of a part, mean of three sets", CORPUS),
    "sets": Figure(3, "feature sets", "cry_pipeline/catalog/feature_sets.yaml"),
    "probe": Figure(0.0175, "CPU s to decode and measure an upload in the cage", "235 uploads of the corpus"),
    "extract": Figure(0.0264, "CPU s from file to parts, three sets", f"178, 96, 96 a CPU-second, {BENCHMARKS}"),
    "learn": Figure(274, "recordings that a network learns from in a CPU-second", BENCHMARKS),
    "passes": Figure(5 * 0.8 * 15, "passes over a cohort: five folds of 80 %, 15 epochs", "cry_pipeline/catalog"),
}


@dataclass(frozen=True)
class Bill:
    """What so many recordings take: once to make, each month to keep, and each time something is looked at anew."""

    recordings: int
    stored_gb: float
    puts: float
    gets: float
    lists: float
    cpu_h: float
    training_h: float
    look_cpu_s: float
    look_memory_gb: float

    @property
    def once_usd(self) -> float:
        """Money to make it all once, the network's training too."""
        requests = (self.puts + self.lists) * PRICES["put"].value + self.gets * PRICES["get"].value
        return requests / THOUSAND + (self.cpu_h + self.training_h) * PRICES["cpu"].value

    @property
    def month_usd(self) -> float:
        """Money to keep it for a month."""
        return self.stored_gb * PRICES["storage"].value

    @property
    def per_thousand_usd(self) -> float:
        """Money of a thousand recordings: made once, and kept for a year."""
        return (self.once_usd + 12 * self.month_usd) / self.recordings * THOUSAND


def bill(recordings: int, cpu_us_per_row: float, memory_per_row: float) -> Bill:
    """Return what ``recordings`` take.

    Args:
        recordings: how many, all of them uploads.
        cpu_us_per_row: CPU time of a row in all stages that look at each, in microseconds.
        memory_per_row: bytes of a row in the stage that needs the most.
    """
    value = {name: figure.value for name, figure in FIGURES.items()}
    parts = recordings * value["sets"] / value["part_rows"]
    objects = 2 * recordings + parts * value["part_files"]
    # Read are each upload twice (probed, extracted), what is told of it, each part once to check it, each index once.
    gets = 3 * recordings + parts * (value["part_files"] + 1)
    return Bill(
        recordings=recordings,
        stored_gb=recordings * (value["upload"] + value["told"] + value["features"]) / GB,
        puts=objects,
        gets=gets,
        lists=2 * objects / THOUSAND,
        cpu_h=recordings * (value["probe"] + value["extract"]) / HOUR_S,
        training_h=recordings * value["passes"] / value["learn"] / HOUR_S,
        look_cpu_s=recordings * cpu_us_per_row / 1e6,
        look_memory_gb=recordings * memory_per_row / GB,
    )


def table(bills: Sequence[Bill]) -> str:
    """Return the bills as a table in Markdown."""
    lines = [
        "| recordings | GB stored | PUT | GET | LIST | CPU h to features | CPU h to train a network | CPU s of a look |"
        " GB of memory | USD once | USD a month | USD per 1,000, first year |",
        "|---" * 12 + "|",
    ]
    for each in bills:
        counts = (each.recordings, each.stored_gb, each.puts, each.gets, each.lists, each.cpu_h, each.training_h)
        looks = (each.look_cpu_s, each.look_memory_gb, each.once_usd, each.month_usd, each.per_thousand_usd)
        lines.append(f"| {' | '.join([*(f'{count:,.0f}' for count in counts), *map(_short, looks)])} |")
    return "\n".join(lines)


def sources() -> str:
    """Return prices and figures as a table in Markdown, each with where it is from."""
    lines = ["| figure | value | unit | from |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {figure.value:,.4g} | {figure.unit} | {figure.source} |"
        for name, figure in {**PRICES, **FIGURES}.items()
    ]
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
