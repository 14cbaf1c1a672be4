"""What the engine's benchmark decides about its peers."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize

from benchmarks.engine.bounds import BF16, bounds
from benchmarks.engine.chats import ChatTimer
from benchmarks.engine.every_peer import agreed_share, agreements
from benchmarks.engine.figures import row_beside_best
from benchmarks.engine.optional_peers import CTRANSLATE2, OPENVINO, OPENVINO_TYPES, chosen_peers, openvino_reads
from benchmarks.engine.overview import overview
from benchmarks.engine.peers import ALL_PEERS, DEFAULT_PEERS, IK, OURS, STOCK, TITLES
from benchmarks.engine.requantize import requantize
from benchmarks.engine.table import Row, Series
from benchmarks.engine.workloads import conversation, shared_length, workloads
from tests.tables import each_row

pytestmark = pytest.mark.slow
"""The benchmark is no part of the bot."""


@each_row(
    ("setting", "chosen"),
    [
        ("", list(DEFAULT_PEERS)),
        (" , ", list(DEFAULT_PEERS)),
        ("all", list(ALL_PEERS)),
        ("stock,all", list(ALL_PEERS)),
        ("openvino, ik", [IK, OPENVINO]),
        ("openvino,openvino", [OPENVINO]),
        ("openvino,vlm", None),
        ("ours", None),
    ],
)
def test_the_setting_of_peers(setting: str, chosen: list[str] | None) -> None:
    if chosen is None:
        with pytest.raises(ValueError, match=r"^(vlm|ours)$"):
            chosen_peers(setting, DEFAULT_PEERS, ALL_PEERS)
    else:
        assert chosen_peers(setting, DEFAULT_PEERS, ALL_PEERS) == chosen


@each_row(
    ("ours", "theirs", "share"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([1, 2, 3, 4], [1, 2, 9, 4], 0.5),
        ([1, 2, 3, 4], [9, 2, 3, 4], 0.0),
        ([1, 2], [1, 2, 3], 1.0),
        ([1, 2, 3, 4], [1], 0.25),
        ([], [1], 1.0),
    ],
)
def test_tokens_agree_until_the_first_difference(ours: list[int], theirs: list[int], share: float) -> None:
    assert agreed_share(ours, theirs) == share
    assert agreements({OURS: [ours, [5]], IK: [theirs, [5]]}) == {OURS: 1.0, IK: (share + 1) / 2}


class Remembering:
    """A peer that records what it is asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def chats(self, workload: dict[str, object]) -> dict[str, object]:
        return {"chats": workload["chats"]}

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        return ids[:tokens]

    def first_token(self, ids: list[int]) -> None:
        self.asked.append(ids)


def test_each_workload_reaches_what_answers_it() -> None:
    peer = Remembering()
    answer = workloads(peer)
    assert answer({"chats": 3}) == {"chats": 3}
    assert answer({"greedy": [[1, 2, 3], [4]], "tokens": 2}) == {"greedy": [[1, 2], [4]]}
    assert set(conversation(peer, [(1, [], [1, 2]), (2, [1, 2, 3], [1, 2, 3, 4])])) == {"turn_1_s", "turn_2_s"}
    assert peer.asked == [[1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert [shared_length(past, [1, 2, 3]) for past in ([], [1, 9], [1, 2, 3], [1, 2, 3, 4])] == [0, 1, 2, 2]
    timer = ChatTimer({"chats": 2, "prompt": 4, "tokens": 2, "seed": "s"})
    ended = []
    for new in ([1, 0], [1, 1], [1, 1], [1, 0], [0, 1]):
        ended.append(timer.done)
        timer.count(new)
    assert (ended, timer.done) == ([False] * 5, True)
    assert timer.most_tokens >= 2 + timer.drawn[0] - 2


def test_the_best_of_all_and_a_line_for_each_peer() -> None:
    rates = {name: Series(TITLES[name], [rate]) for name, rate in ((OURS, 9.0), (STOCK, 4.0), (IK, 10.0))}
    (best,) = row_beside_best("decode_1", "decode", rates)
    assert (best.key, best.peer, best.verdict(bounds(BF16, builtin=False)["decode_1_best"])) == (
        "decode_1_best", rates[IK], "yes",
    )  # fmt: skip
    assert not list(row_beside_best("decode_1", "decode", {OURS: rates[OURS], IK: rates[IK]}))
    assert "decode_1_best" not in bounds(BF16, builtin=True)
    ct2 = Series(TITLES[CTRANSLATE2], [5.0])
    rows = [
        Row("decode_1_ik", "", "", rates[OURS], rates[IK]),
        Row("decode_1_ctranslate2", "", "", rates[OURS], ct2),
        Row("turn_2_ik", "", "ms", Series(TITLES[OURS], [110.0]), Series(TITLES[IK], [120.0])),
        Row("decode_1_mix_origin", "", "", Series(TITLES[OURS], [1.0])),
    ]
    about = {name: {"version": "1", "weights": "int8"} for name in (OURS, IK)}
    lines = overview(rows, about | {CTRANSLATE2: {"lacks": ["conversation"]}}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2:] == [
        ["ours", "1", "int8", "9", "110"],
        [TITLES[IK], "1", "int8", "10.0", "120"],
        [TITLES[CTRANSLATE2], "", "", "5", "no prefix cache"],
    ]


def test_a_file_is_written_again_in_another_type(tmp_path: Path) -> None:
    values = {
        "blk.0.ffn_up.weight": np.linspace(-1, 1, 4 * 64, dtype=np.float32).reshape(4, 64),
        "token_embd.weight": np.linspace(-2, 2, 8 * 64, dtype=np.float32).reshape(8, 64),
        "output_norm.weight": np.ones(64, dtype=np.float32),
    }
    writer = GGUFWriter(tmp_path / "a.gguf", "qwen2")
    writer.add_block_count(1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    for name, data in values.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    requantize(tmp_path / "a.gguf", GGMLQuantizationType.Q5_0, tmp_path / "b.gguf")
    reader = GGUFReader(tmp_path / "b.gguf")
    assert {tensor.name: tensor.tensor_type.name for tensor in reader.tensors} == {
        "blk.0.ffn_up.weight": "Q5_0", "token_embd.weight": "Q8_0", "output_norm.weight": "F32",
    }  # fmt: skip
    for tensor in reader.tensors:
        found = dequantize(tensor.data, tensor.tensor_type)
        assert np.allclose(found, values[tensor.name], atol=0.1), tensor.name
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    assert reader.fields["general.file_type"].contents() == 8  # LLAMA_FTYPE_MOSTLY_Q5_0
    assert openvino_reads("qwen2", OPENVINO_TYPES)
    assert not openvino_reads("qwen2", {"Q4_0", "Q5_0"})
    assert not openvino_reads("gemma", {"Q4_0"})
