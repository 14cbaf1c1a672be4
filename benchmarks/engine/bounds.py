"""The targets of the figures by the kind of processor, on two quiet cores."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

AVX2, AVX512, BF16, ARM, OTHER = "AVX2", "AVX-512 without bf16", "bf16 or AMX", "ARM", "other"
FORCED = {"avx2": AVX2, "avx512": AVX512, "generic": OTHER}
"""By the value of QWENTIN_CPU, the kind of processor that is measured."""


def kind(flags: Collection[str]) -> str:
    """The kind of a processor with these flags of /proc/cpuinfo."""
    if "asimd" in flags:
        return ARM
    if "amx_bf16" in flags or "avx512_bf16" in flags:
        return BF16
    if "avx512f" in flags:
        return AVX512
    return AVX2 if "avx2" in flags else OTHER


@dataclass(frozen=True, slots=True)
class Bound:
    """A target, and a more ambitious one. `most`: the figure must not exceed it.

    `unit`: of our own figure; without one the bound is for the ratio of ours to the peer's.
    """

    must: float
    stretch: float | None = None
    most: bool = False
    unit: str = ""

    def __str__(self) -> str:
        values = " / ".join(f"{value:g}" for value in (self.must, self.stretch) if value is not None)
        return " ".join(filter(None, ("at most" if self.most else "", values, self.unit)))

    def verdict(self, value: float) -> str:
        """The word for the table."""
        if self.stretch is not None and self.reached(value, self.stretch):
            return "stretch"
        return "yes" if self.reached(value, self.must) else "**no**"

    def reached(self, value: float, bound: float) -> bool:
        return value <= bound if self.most else value >= bound


Bounds = Mapping[str, Bound]
"""By the key of a row."""

EVERYWHERE: Bounds = {
    "busy": Bound(0.3),
    "busy_answered": Bound(1, unit="of 1"),
    "busy_deaths": Bound(0, most=True, unit="in all"),
    "loop_delay_p99": Bound(20, most=True, unit="ms"),
    "late_turns_read": Bound(0.5, most=True),
    "late_turns_s": Bound(0.6, most=True),
}
"""For every processor and model."""
SHAPE: Mapping[str, Bounds] = {
    AVX2: {"shape_1_5b_first_token": Bound(15, 8, most=True, unit="s")},
    BF16: {"shape_1_5b_first_token": Bound(4, most=True, unit="s"), "shape_1_5b_decode_1": Bound(5)},
}
"""For every MODEL: these figures use random weights."""
HALF_BILLION: Mapping[str, Bounds] = {
    AVX2: {
        "guessing_summary": Bound(1.7, 2.3),
        "guessing_plain": Bound(0.97),
        "drawing": Bound(0.87),
        "prefill_stock": Bound(1.1, 2),
        "prefill_ik": Bound(0.6, 1.0),
        "decode_1_stock": Bound(1.0, 1.3),
        "decode_1_ik": Bound(0.7, 1.0),
        "decode_4": Bound(0.9, 1.3),
        "decode_8": Bound(0.8, 1.2),
        "first_token_turn_2": Bound(0.17, most=True),
        "first_token_turn_8": Bound(0.08, most=True),
        "memory_stock": Bound(1.8, 1.3, most=True),
    },
    BF16: {
        "guessing_summary": Bound(1.7, 2.3),
        "guessing_plain": Bound(0.97),
        "drawing": Bound(0.87),
        "prefill_stock": Bound(2.5),
        "prefill_ik": Bound(1.5),
        "prefill_compiled": Bound(1.5),
        "decode_1_stock": Bound(1.2),
        "decode_1_ik": Bound(0.9),
        "decode_1_compiled": Bound(0.55),
        "decode_4": Bound(1.3),
        "decode_8": Bound(1.2),
        "decode_4_compiled": Bound(1.0),
        "decode_8_compiled": Bound(1.0),
        "decode_16_compiled": Bound(1.15),
        "decode_1_mix_compiled": Bound(0.85),
        "decode_1_mix_origin": Bound(6),
        "first_token_turn_2": Bound(0.15, most=True),
        "first_token_turn_8": Bound(0.15, most=True),
        "memory_stock": Bound(1.8, most=True),
        "memory_origin": Bound(0.75, most=True),
        "memory_int4_origin": Bound(0.4, most=True),
    },
}
"""For a Qwen of half a billion parameters."""
BEST: Bounds = {
    "prefill_best": Bound(0.5, 0.9),
    "decode_1_best": Bound(0.8, 1.0),
    "decode_8_best": Bound(1.0, 1.2),
}
"""For a Qwen of half a billion parameters, beside the fastest peer of all that are measured."""
BUILTIN: Mapping[str, Bounds] = {
    BF16: {"decode_1_compiled": Bound(0.75), "decode_8_compiled": Bound(1.0)},
}
"""For the built-in model."""


def bounds(kind: str, builtin: bool) -> Bounds:
    """The bounds of a kind of processor. AVX-512 without bf16 has those of AVX2; ARM and others have few yet."""
    asked = AVX2 if kind == AVX512 else kind
    own = BUILTIN.get(asked, {}) if builtin else {**BEST, **HALF_BILLION.get(asked, {})}
    return {**EVERYWHERE, **SHAPE.get(asked, {}), **own}
