"""All parts, by their names."""

from tests.faults.trials import (
    backlog,
    conversion,
    database,
    duplicates,
    engine,
    fuzz,
    gateway,
    kill_points,
    life,
    noisy,
    poison,
    postgres,
    random_kills,
    second,
    sigterm,
    storms,
)
from tests.faults.trials.part import Part

_MODULES = (
    kill_points, random_kills, life, poison, duplicates, storms, gateway, database, postgres, sigterm, fuzz, second,
    backlog, conversion, engine, noisy,
)  # fmt: skip
PARTS: dict[str, Part] = {module.PART.name: module.PART for module in _MODULES}
QUICK_PARTS = [name for name, part in PARTS.items() if part.quick]
