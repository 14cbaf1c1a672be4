"""The figures: one row each, as a table for people and as one flat object for programs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engine.bounds import Bound, Bounds

Flat = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one peer, measured some times."""

    name: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        return f"{number(min(self.values))}-{number(max(self.values))}"


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is of the medians, ours to the peer's. `beside`: a peer that was not as good as `peer`."""

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
        """As the table shows them."""
        spread = "; ".join(f"{each.name} {each.spread}" for each in (self.ours, *self.peers) if len(each.values) > 1)
        bound = bounds.get(self.key)
        return [
            f"{self.label}, {self.unit}" if self.unit else self.label,
            number(self.ours.median),
            "; ".join(f"{number(series.median)} ({series.name})" for series in self.peers),
            f"{self.ratio:.2f}" if self.ratio is not None else "",
            spread,
            str(bound) if bound else "",
            self.verdict(bound),
        ]

    def verdict(self, bound: Bound | None) -> str:
        value = self.ours.median if bound and bound.unit else self.ratio
        return bound.verdict(value) if bound and value is not None else ""

    def flat(self) -> Flat:
        """As programs read it."""
        found: Flat = {}
        for side, series in (("ours", self.ours), ("peer", self.peer), ("beside", self.beside)):
            if series:
                found |= {f"{self.key}_{side}{rest}": value for rest, value in summary(series).items()}
                found |= {} if side == "ours" else {f"{self.key}_{side}_name": series.name}
        return found if self.ratio is None else {**found, f"{self.key}_ratio": rounded(self.ratio)}


def summary(series: Series) -> dict[str, float]:
    """The median, and the least and the most if there are several, by what their keys end with."""
    found = {"": series.median}
    if len(series.values) > 1:
        found |= {"_min": min(series.values), "_max": max(series.values)}
    return {key: rounded(value) for key, value in found.items()}


HEAD = ("figure", "ours", "peer", "ratio", "spread", "must / stretch", "reached")


def table(rows: Sequence[Row], bounds: Bounds) -> str:
    """Markdown, its columns aligned."""
    lines = [list(HEAD), *(row.cells(bounds) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    shown = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {shown[0]} |", f"|{rule}|", *(f"| {line} |" for line in shown[1:])])


def number(value: float) -> str:
    """Three digits that mean something."""
    if value == int(value) and abs(value) < 10:
        return f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def rounded(value: float) -> float:
    return float(f"{value:.4g}")
