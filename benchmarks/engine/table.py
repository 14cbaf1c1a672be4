"""The figures, one row each: as a Markdown table and as a flat object."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engine.bounds import Bound, Bounds

Flat = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one peer, measured several times."""

    name: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        return f"{format_number(min(self.values))}-{format_number(max(self.values))}"


@dataclass(frozen=True, slots=True)
class Row:
    """A figure. `ratio`: of the medians, ours to the peer's. `beside`: a second peer, slower than `peer`."""

    key: str
    label: str
    unit: str
    ours: Series
    peer: Series | None = None
    beside: Series | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours.median / self.peer.median if self.peer and self.peer.median else None

    @property
    def peers(self) -> list[Series]:
        return [series for series in (self.peer, self.beside) if series]

    def cells(self, bounds: Bounds) -> list[str]:
        """The cells of the row."""
        spread = "; ".join(f"{each.name} {each.spread}" for each in (self.ours, *self.peers) if len(each.values) > 1)
        bound = bounds.get(self.key)
        return [
            f"{self.label}, {self.unit}" if self.unit else self.label,
            format_number(self.ours.median),
            "; ".join(f"{format_number(series.median)} ({series.name})" for series in self.peers),
            f"{self.ratio:.2f}" if self.ratio is not None else "",
            spread,
            str(bound) if bound else "",
            self.verdict(bound),
        ]

    def verdict(self, bound: Bound | None) -> str:
        value = self.ours.median if bound and bound.unit else self.ratio
        return bound.verdict(value) if bound and value is not None else ""

    def flat(self) -> Flat:
        """The figures by key."""
        found: Flat = {}
        for side, series in (("ours", self.ours), ("peer", self.peer), ("beside", self.beside)):
            if series:
                found |= {f"{self.key}_{side}{rest}": value for rest, value in summary(series).items()}
                found |= {} if side == "ours" else {f"{self.key}_{side}_name": series.name}
        return found if self.ratio is None else {**found, f"{self.key}_ratio": round_figure(self.ratio)}


def summary(series: Series) -> dict[str, float]:
    """The median, and minimum and maximum of several values, by the suffix of their keys."""
    found = {"": series.median}
    if len(series.values) > 1:
        found |= {"_min": min(series.values), "_max": max(series.values)}
    return {key: round_figure(value) for key, value in found.items()}


HEAD = ("figure", "ours", "peer", "ratio", "spread", "must / stretch", "reached")


def table(rows: Sequence[Row], bounds: Bounds) -> str:
    """The rows as a Markdown table."""
    return markdown([list(HEAD), *(row.cells(bounds) for row in rows)])


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as a Markdown table with aligned columns; the first is its head."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {texts[0]} |", f"|{rule}|", *(f"| {line} |" for line in texts[1:])])


def format_number(value: float) -> str:
    """A number with three significant digits."""
    if value == int(value) and abs(value) < 10:
        return f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def round_figure(value: float) -> float:
    return float(f"{value:.4g}")
