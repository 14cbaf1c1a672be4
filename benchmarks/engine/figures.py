"""What is measured, figure by figure, each a row beside a peer's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine import bot, folders
from benchmarks.engine.peer import Peer, peer
from benchmarks.engine.rounds import Rounds, say
from benchmarks.engine.speech import Answer
from benchmarks.engine.table import Row, Series

MANY = (4, 8, 16)
"""Chats at once, beside one."""
TURNS = (2, 8)
SLOW_TOKENS = 16
"""With the shape of the 1.5B, where the origin takes a second for two."""
OURS, MIX, LLAMA, ORIGIN = "ours", "ours-default-mix", "llama.cpp", "origin"


@dataclass(frozen=True, slots=True)
class Peers:
    """All loaded. `mix`: ours, from the same numbers taken as full precision."""

    ours: Peer
    mix: Peer
    llama: Peer
    origin: Peer


def one_chat(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Prefill and decode of one chat, and what of the ceiling decode reaches."""
    chat, ceiling = rounds.chats(1), {"ceiling": rounds.tokens}
    asked = [
        (peers.ours, chat), (peers.llama, chat), (peers.ours, ceiling),
        (peers.mix, chat), (peers.mix, ceiling), (peers.origin, chat),
    ]  # fmt: skip
    ours, llama, top, mix, mix_top, origin = rounds.measure("one chat", asked)
    read = {name: reading(name, answers, rounds.prompt) for name, answers in ((OURS, ours), (LLAMA, llama))}
    yield Row("prefill", f"prefill of {rounds.prompt} tokens", "tok/s", read[OURS], read[LLAMA])
    yield Row("prefill_mix_origin", "prefill, default mix", "tok/s", reading(OURS, mix, rounds.prompt),
              reading(ORIGIN, origin, rounds.prompt))  # fmt: skip
    decode = {
        name: drawing(name, answers, rounds.tokens)
        for name, answers in ((OURS, ours), (MIX, mix), (LLAMA, llama), (ORIGIN, origin))
    }
    yield Row("decode_1", "decode, 1 chat", "tok/s", decode[OURS], decode[LLAMA])
    yield Row("decode_1_mix_llama", "decode, 1 chat, default mix", "tok/s", decode[MIX], decode[LLAMA])
    yield Row("decode_1_mix_origin", "decode, 1 chat, default mix", "tok/s", decode[MIX], decode[ORIGIN])
    for key, label, name, answers in (
        ("ceiling", "decode beside its matrices alone", OURS, top),
        ("ceiling_mix", "decode beside its matrices alone, default mix", MIX, mix_top),
    ):
        alone = rates("matrices", answers, "ceiling_s", rounds.tokens)
        yield Row(key, label, "tok/s", decode[name], alone)


def many_chats(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Decode of several chats at once, all their tokens together."""
    for chats in MANY:
        request = rounds.chats(chats)
        ours, llama = rounds.measure(f"{chats} chats", [(peers.ours, request), (peers.llama, request)])
        both = [drawing(name, answers, chats * rounds.tokens) for name, answers in ((OURS, ours), (LLAMA, llama))]
        yield Row(f"decode_{chats}", f"decode, {chats} chats", "tok/s", *both)


def reuse(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The first token in a conversation whose window slides, with and without what is kept of it."""
    (answers,) = rounds.measure("first tokens", [(peers.ours, {"turns": list(TURNS)})])
    for turn in TURNS:
        length = answers[0][f"prompt_{turn}"]
        kept, fresh = (
            Series(name, [1000 * answer[f"{key}_{turn}_s"] for answer in answers])
            for name, key in (("reused", "reused"), ("no reuse", "fresh"))
        )
        yield Row(f"first_token_turn_{turn}", f"first token, turn {turn} ({length:.0f} tokens)", "ms", kept, fresh)


def memory(file: Path, origin: Peer) -> Iterator[Row]:
    """The whole bot at its most, in its two usual forms, beside the origin's one process."""
    (beside,) = [Series(ORIGIN, [origin.ask({"chats": 1, "prompt": 16, "tokens": 1, "seed": "memory"})["rss_mb"]])]
    for weights, label in (("auto", "default"), ("int4", "leanest")):
        say(f"memory, {label}")
        own, engine = bot.peaks(file, weights, folders.data(), folders.LOGS / f"bot-{weights}.log")
        yield Row(
            f"memory_{weights}", f"peak memory, {label}: engine and bot", "MB", Series(OURS, [own + engine]), beside
        )
        yield Row(
            f"memory_{weights}_engine", f"peak memory, {label}: engine alone", "MB", Series(OURS, [engine]), beside
        )
        yield Row(f"memory_{weights}_bot", f"peak memory, {label}: the bot's own process", "MB", Series(OURS, [own]))


def loop_delay(rounds: Rounds, folder: Path) -> Iterator[Row]:
    """How late the bot's event loop is."""
    with peer("event loop", "loop", [str(folder)], folders.LOGS / "loop.log") as loop:
        (answers,) = rounds.measure("the event loop with 8 chats", [(loop, rounds.chats(8))])
    late = Series(OURS, [answer["p99_ms"] for answer in answers])
    worst = Series(OURS, [answer["worst_ms"] for answer in answers])
    yield Row("loop_delay_p99", "event loop beside the engine late, 8 chats, 99th percentile", "ms", late)
    yield Row("loop_delay_worst", "event loop beside the engine late, 8 chats, worst", "ms", worst)


def shape_1_5b(rounds: Rounds) -> Iterator[Row]:
    """The default model's shape beside the origin, with random numbers."""
    say("Qwen2.5-1.5B's shape: writing random weights")
    folder = str(folders.random_1_5b())
    chat = rounds.chats(1, min(SLOW_TOKENS, rounds.tokens))
    with (
        peer(OURS, "ours", [folder, "auto"], folders.LOGS / "ours-1.5b.log") as ours,
        peer(ORIGIN, "origin", [folder], folders.LOGS / "origin-1.5b.log") as origin,
    ):
        both = rounds.measure("Qwen2.5-1.5B's shape", [(ours, chat), (origin, chat)])
    named = list(zip((OURS, ORIGIN), both, strict=True))
    prefill = [reading(name, answers, rounds.prompt) for name, answers in named]
    decode = [drawing(name, answers, chat["tokens"]) for name, answers in named]
    peaks = [Series(name, [answers[-1]["rss_mb"]]) for name, answers in named]
    yield Row("shape_1_5b_prefill", "Qwen2.5-1.5B's shape, prefill", "tok/s", *prefill)
    yield Row("shape_1_5b_decode_1", "Qwen2.5-1.5B's shape, decode, 1 chat", "tok/s", *decode)
    yield Row("shape_1_5b_memory", "Qwen2.5-1.5B's shape, peak memory, engine alone", "MB", *peaks)


def reading(name: str, answers: Sequence[Answer], tokens: int) -> Series:
    return rates(name, answers, "prefill_s", tokens)


def drawing(name: str, answers: Sequence[Answer], tokens: int) -> Series:
    return rates(name, answers, "decode_s", tokens)


def rates(name: str, answers: Sequence[Answer], key: str, tokens: int) -> Series:
    return Series(name, [tokens / answer[key] for answer in answers])
