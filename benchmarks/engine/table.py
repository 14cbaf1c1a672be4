"""The figures: one row each, as a table for people and as one flat object for programs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Flat = dict[str, float | str]

WANTED = {
    "prefill": "1.5",
    "decode_1": "0.55",
    "decode_1_mix_llama": "0.85",
    "decode_1_mix_origin": "6",
    "decode_4": "1.0",
    "decode_8": "1.0",
    "decode_16": "1.15",
    "ceiling": "0.80",
    "ceiling_mix": "0.80",
    "first_token_turn_2": "at most 0.15",
    "first_token_turn_8": "at most 0.15",
    "memory_auto": "at most 0.75",
    "memory_int4": "at most 0.4",
    "loop_delay_p99": "at most 20 ms",
    "shape_1_5b_decode_1": "5",
}
"""By a row's key, what the project asks of its ratio on two cores, with a Qwen of half a billion parameters."""
WANTED_BUILTIN = {"decode_1": "0.75", "decode_8": "1.0", "loop_delay_p99": "at most 20 ms"}
"""The same with the built-in model."""


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
    """`ratio` is of the medians, ours to the peer's."""

    key: str
    label: str
    unit: str
    ours: Series
    peer: Series | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours.median / self.peer.median if self.peer and self.peer.median else None

    def cells(self, wanted: Mapping[str, str]) -> list[str]:
        """As the table shows them."""
        both = [series for series in (self.ours, self.peer) if series]
        spread = "; ".join(f"{series.name} {series.spread}" for series in both if len(series.values) > 1)
        return [
            f"{self.label}, {self.unit}",
            number(self.ours.median),
            f"{number(self.peer.median)} ({self.peer.name})" if self.peer else "",
            f"{self.ratio:.2f}" if self.ratio is not None else "",
            spread,
            wanted.get(self.key, ""),
        ]

    def flat(self) -> Flat:
        """As programs read it."""
        found: Flat = {}
        for side, series in (("ours", self.ours), ("peer", self.peer)):
            if series:
                found[f"{self.key}_{side}"] = rounded(series.median)
            if series and len(series.values) > 1:
                found[f"{self.key}_{side}_min"] = rounded(min(series.values))
                found[f"{self.key}_{side}_max"] = rounded(max(series.values))
        if self.peer and self.ratio is not None:
            found[f"{self.key}_peer_name"] = self.peer.name
            found[f"{self.key}_ratio"] = rounded(self.ratio)
        return found


HEAD = ("figure", "ours", "peer", "ratio", "spread", "wanted")


def table(rows: Sequence[Row], wanted: Mapping[str, str]) -> str:
    """Markdown, its columns aligned."""
    lines = [list(HEAD), *(row.cells(wanted) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    shown = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {shown[0]} |", f"|{rule}|", *(f"| {line} |" for line in shown[1:])])


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def rounded(value: float) -> float:
    return float(f"{value:.4g}")
