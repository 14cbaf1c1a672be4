"""The trace runs, and counts what its scenes cannot do without. `make trace` has the figures."""

import pytest

from tests.trace.__main__ import COLUMNS, scenes, table

pytestmark = pytest.mark.slow


async def test_each_scene_is_traced() -> None:
    traces = await scenes(rounds=1)
    for name, (trace,) in traces.items():
        assert {function.split("/")[0] for function in trace.functions} == {"bots", "core", "storage"}, name
        functions, files, transactions, statements, python_calls = trace.figures
        assert files < functions < python_calls and 0 < transactions < statements, name
    lines = table(traces).splitlines()
    assert len(lines) == 2 + 4 and all(column in lines[0] for column in COLUMNS)
