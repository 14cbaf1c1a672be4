"""What a machine has, what it is taken for, and that the kernels can be made for one that is not here."""

import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest

from core.engine.kernels import machine
from tests.patience import LIMIT_S
from tests.tables import each_row

ROOT = Path(__file__).parents[4]


def run(code: str, word: str | None = None) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, on a machine that is taken for another."""
    others = {name: value for name, value in os.environ.items() if name != machine.CPU_VARIABLE}
    environment = others if word is None else others | {machine.CPU_VARIABLE: word}
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env=environment,
        cwd=ROOT,
        timeout=LIMIT_S,
        capture_output=True,
        text=True,
    )


@each_row(
    ("word", "instructions"),
    [("avx2", "avx2"), ("AVX2", "avx2"), (" avx512 ", "avx512"), ("generic", "generic"), ("", None), ("  ", None)],
)
def test_words(word: str, instructions: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.CPU_VARIABLE, word)
    assert machine.forced_instruction_set() == instructions
    if instructions:
        assert machine.instruction_set() == instructions


def test_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(machine.CPU_VARIABLE, raising=False)
    assert machine.forced_instruction_set() is None


@each_row("word", ["avx3", "vnni", "avx2,avx512", "1"])
def test_a_wrong_word(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.CPU_VARIABLE, word)
    for ask in (machine.forced_instruction_set, machine.instruction_set, machine.import_numba):
        with pytest.raises(ValueError, match=f"^QWENTIN_CPU={word} is none of avx512, avx2, generic$"):
            ask()


@each_row(
    ("has", "instructions"),
    [
        ({}, "generic"),
        ({"sse2": True, "avx": True}, "generic"),
        ({"neon": True, "dotprod": True}, "generic"),
        ({"avx2": True, "fma": True}, "avx2"),
        ({"avx2": True, "avx512f": True}, "avx2"),
        ({"avx2": True, "avx512f": True, "avx512bw": True}, "avx512"),
        ({"avx2": True, "avx512bw": True, "avx512vnni": True}, "vnni"),
        ({"avx2": True, "avxvnni": True}, "avx2"),
        ({"avx2": False, "avx512bw": False}, "generic"),
    ],
    ids=str,
)
def test_what_it_has(has: dict[str, bool], instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(machine.CPU_VARIABLE, raising=False)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: has)
    assert machine.instruction_set() == instructions
    assert machine.INSTRUCTION_SET_NAMES[machine.instruction_set()]


def test_where_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> None:
        raise RuntimeError("failed to retrieve host cpu features.")

    monkeypatch.delenv(machine.CPU_VARIABLE, raising=False)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", unknown)
    assert machine.instruction_set() == "generic"


LANES = """
from core.engine.kernels import cache, machine, vectors
from core.engine.kernels.jit import numba
cpu = numba.config.CPU_NAME, repr(numba.config.CPU_FEATURES)
print(vectors.INSTRUCTION_SET, vectors.LANES, *cpu, cache.fingerprint())
"""


@pytest.mark.slow
def test_a_machine_that_is_taken_for_another() -> None:
    """Vectors and what is compiled are that one's; what is kept of both lies apart."""
    expected = {
        "avx512": "avx512 16 x86-64-v4 ''",
        "avx2": "avx2 8 x86-64-v3 ''",
        "generic": "generic 4 generic ''",
    }
    kept = set()
    for word, line in expected.items():
        found = run(LANES, word)
        assert found.returncode == 0, found.stderr
        said, _, fingerprint = found.stdout.strip().rpartition(" ")
        assert said == line
        kept.add(fingerprint)
    assert len(kept) == len(expected)


@pytest.mark.slow
def test_a_wrong_word_stops_the_start() -> None:
    found = run("import core.engine.nn.model_runner", "avx3")
    assert found.returncode == 1
    assert found.stderr.strip().endswith("ValueError: QWENTIN_CPU=avx3 is none of avx512, avx2, generic")


ARM = """
import llvmlite.binding as llvm
from llvmlite import ir
from core.engine.kernels import attention, dense, pointwise, tiles
from core.engine.kernels.jit import types


class Context:
    def get_dummy_value(self):
        return None


def assembly(tile, kinds):
    module = ir.Module("tile")
    integer = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [integer] * kinds), "tile")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    signature, write = tile._defn(Context(), *[types.int64] * kinds)
    write(Context(), builder, signature, function.args)
    builder.ret_void()
    made = llvm.parse_assembly(str(module))
    made.verify()
    return target.emit_assembly(made)


llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
target = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine(opt=2)
products = [
    *(assembly(tiles.all_blocks_tile(bits, rows), 1) for bits in (8, 4) for rows in (1, 2, 4, 8)),
    *(
        assembly(tiles.one_block_tile(bits, tiles.TILE_OUTPUTS, rows), 2)
        for bits in (8, 16)
        for rows in (1, tiles.TILE_ROWS)
    ),
]
assert all("smlal" in each or "smull" in each for each in products), "16-bit integers are multiplied as vectors"
others = [
    assembly(tiles.unpack_block, 4),
    assembly(pointwise._quantize, 5),
    assembly(pointwise.silu_multiply, 3),
    *(assembly(attention.score_tile(kind, heads), 6) for kind in ("float32", "bf16") for heads in (1, 2)),
    *(
        assembly(attention.weighted_sum_tile(kind, 2, columns), 7)
        for kind in ("float32", "bf16")
        for columns in (16, 64)
    ),
    *(assembly(dense.int8_row_kernel(size), 4) for size in (2, 4)),
    *(assembly(dense.int4_row_kernel(size), 5) for size in (2, 4)),
]
assert all("v0.4s" in each or "v1.4s" in each or "v2.4s" in each for each in others)
print(len(products) + len(others))
"""


@pytest.mark.slow
def test_every_tile_can_be_compiled_for_arm() -> None:
    """As on any processor that is not x86. (What it computes is tried with QWENTIN_CPU=generic.)"""
    try:
        llvmlite.binding.initialize_all_targets()
        llvmlite.binding.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM knows no ARM")
    found = run(ARM, "generic")
    assert (found.returncode, found.stdout) == (0, "27\n"), found.stderr
