"""Faults at random, as a seed has it: what a script does for one call, for any."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.platforms.faults import FaultKind, check_fault


@dataclass(frozen=True, slots=True)
class Chance:
    """A fault that calls may meet whose names match."""

    kind: FaultKind
    names: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Chaos:
    """Each call meets, with this probability, one of the faults that are for calls like it."""

    random: Random
    probability: float
    chances: Sequence[Chance]
    met: Counter[tuple[FaultKind, str]] = field(default_factory=Counter)
    """Kinds of faults and names of calls, how often."""

    def check(self, allowed: Mapping[FaultKind, frozenset[str]]) -> None:
        """Raise ValueError where a server's calls cannot meet one of them."""
        for chance in self.chances:
            check_fault(chance.kind, chance.options, allowed)

    def draw(self, name: str) -> Chance | None:
        """What the next call of a name meets."""
        fitting = [chance for chance in self.chances if re.search(chance.names, name)]
        if not fitting or self.random.random() >= self.probability:
            return None
        chance = self.random.choice(fitting)
        self.met[chance.kind, name] += 1
        return chance
