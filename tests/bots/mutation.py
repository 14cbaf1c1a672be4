"""Valid JSON made strange: keys gone, wrong types, huge numbers, nulls, rubbish within rubbish. Seeded."""

import copy
import random
from typing import Any

RUBBISH: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**63) - 1, 10**30, "", "x", "1", "\0", "\ud83d", "a" * 5000, "𝟙",
    [], [None], [[[]]], {}, {"id": {}}, {"": None}, [{"type": "mention", "offset": -3, "length": 10**12}],
)  # fmt: skip


def mutated(valid: dict[str, Any], seed: int) -> dict[str, Any]:
    """`valid`, changed in one to four places."""
    dice = random.Random(seed)
    made = copy.deepcopy(valid)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        place, key = dice.choice(list(_places(made)))
        if dice.random() < 0.3:
            del place[key]
        elif dice.random() < 0.15:
            place[key] = {"nested": copy.deepcopy(place[key])}
        else:
            place[key] = copy.deepcopy(dice.choice(RUBBISH))
        if not made:
            break
    return made


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(pairs):
        yield value, key
        yield from _places(each)
