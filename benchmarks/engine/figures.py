"""The figures, group by group. Each is a row with a peer's beside ours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from benchmarks.engine import bot, folders
from benchmarks.engine.loading import CONTEXT
from benchmarks.engine.optional_peers import OPTIONAL
from benchmarks.engine.peer import Peer, peer
from benchmarks.engine.peers import (
    ALL_PEERS,
    COMPILED,
    IK,
    MIX,
    ORIGIN,
    OURS,
    STOCK,
    TITLES,
    Command,
    Peers,
    start_peer,
)  # fmt: skip
from benchmarks.engine.rounds import Rounds, print_progress
from benchmarks.engine.speech import Answer, Workload
from benchmarks.engine.table import Row, Series

CHAT_COUNTS = (4, 8, 16)
"""Numbers of chats at once, measured beside a single one."""
TURNS, LATE_TURNS = (2, 8), (6, 10)
"""Single turns that are measured with their beginning read ahead, and from which to which turn without that."""
PROMPT_DIVISOR, TOKENS_DIVISOR = 4, 2
"""Several chats at once have prompts and answers shorter by these factors: the slowest peer takes minutes for them."""
SHAPE_PROMPT, SHAPE_TOKENS = 300, 16
"""Ids and tokens with the shape of the 1.5B, for which transformers takes a second per two tokens."""
MANY_CHATS = "many chats"
"""What peers lack that answer one chat at a time."""
BUSY_LOOPS = 2
BOT_CAPACITY = 4, CONTEXT
"""Chats, and tokens of each, that fit into the bot's KV cache."""
Answers = Mapping[str, list[Answer]]
"""By a peer's name, one answer per round."""


def one_chat(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Prefill and decode of one chat."""
    found = ask_each(rounds, "one chat", peers.these(OURS, *ALL_PEERS), rounds.chats(1))
    for key, label, rates in (
        ("prefill", f"prefill of {rounds.prompt} tokens", prefill_rates(found, rounds.prompt)),
        ("decode_1", "decode, 1 chat", decode_rates(found, rounds.tokens)),
    ):
        yield from rows_beside_ours(key, label, rates)
        yield from row_beside_best(key, label, rates)


def many_chats(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Decode of several chats at once, all their tokens together."""
    those = [each for each in peers.these(OURS, *ALL_PEERS) if MANY_CHATS not in each.about.get("lacks", ())]
    length, tokens = max(1, rounds.prompt // PROMPT_DIVISOR), max(1, rounds.tokens // TOKENS_DIVISOR)
    for chats in CHAT_COUNTS:
        workload = {"chats": chats, "prompt": length, "tokens": tokens}
        rates = decode_rates(ask_each(rounds, f"{chats} chats", those, workload), chats * tokens)
        label = f"decode, {chats} chats ({length} + {tokens} tokens each)"
        wheels = sorted((rates[name] for name in (STOCK, IK) if name in rates), key=lambda series: -series.median)
        if wheels:
            yield Row(f"decode_{chats}", label, "tok/s", rates[OURS], *wheels)
        yield from rows_beside_ours(f"decode_{chats}", label, select(rates, OURS, COMPILED, *OPTIONAL))
        yield from row_beside_best(f"decode_{chats}", label, rates)


def drawing(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Decode of the most chats at once with the model's own sampling defaults, beside greedy."""
    (ours,) = peers.these(OURS)
    chats, tokens = CHAT_COUNTS[-1], max(1, rounds.tokens // TOKENS_DIVISOR)
    workload = {"chats": chats, "prompt": max(1, rounds.prompt // PROMPT_DIVISOR), "tokens": tokens}
    found = rounds.measure(
        f"{chats} chats by the model's defaults", [(ours, workload | {"defaults": each}) for each in (True, False)]
    )
    rates = [[chats * tokens / answer["decode_s"] for answer in answers] for answers in found]
    defaults, greedy = (Series(name, each) for name, each in zip(("defaults", "greedy"), rates, strict=True))
    yield Row("drawing", f"decode, {chats} chats, sampled by the model's defaults", "tok/s", defaults, greedy)


def guessing(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Decode of one chat that answers questions at temperature 0, with guesses and without."""
    (ours,) = peers.these(OURS)
    for kind, label in (("summary", "summaries of texts of 400 tokens"), ("plain", "plain questions")):
        workload = {"questions": kind, "tokens": rounds.tokens}
        found = rounds.measure(label, [(ours, workload | {"guess": guess}) for guess in (True, False)])
        rates = [[answer["tokens"] / answer["decode_s"] for answer in answers] for answers in found]
        ahead, without = (Series(name, each) for name, each in zip(("with guesses", "without"), rates, strict=True))
        yield Row(f"guessing_{kind}", f"decode, 1 chat, {label}", "tok/s", ahead, without)


def mix(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The default formats of a full-precision model's weights, beside transformers in float32."""
    found = ask_each(rounds, "the default mix", peers.these(MIX, COMPILED, ORIGIN), rounds.chats(1))
    yield from rows_beside_ours(
        "prefill_mix", "prefill, default mix", select(prefill_rates(found, rounds.prompt), MIX, ORIGIN)
    )
    yield from rows_beside_ours("decode_1_mix", "decode, 1 chat, default mix", decode_rates(found, rounds.tokens))


def reuse(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The first token in a conversation whose oldest turns drop out, with and without cached blocks."""
    ours = peers.these(OURS)
    answers = rounds.measure("first tokens", [(each, {"turns": list(TURNS)}) for each in ours])[0]
    for turn in TURNS:
        length = answers[0][f"prompt_{turn}"]
        kept, fresh = (
            Series(name, [1000 * answer[f"{key}_{turn}_s"] for answer in answers])
            for name, key in (("reused", "reused"), ("no reuse", "fresh"))
        )
        yield Row(f"first_token_turn_{turn}", f"first token, turn {turn} ({length:.0f} tokens)", "ms", kept, fresh)
    answers = rounds.measure("questions at once", [(each, {"late_turns": list(LATE_TURNS)}) for each in ours])[0]
    span = f"turns {LATE_TURNS[0]} to {LATE_TURNS[1]}, nothing read ahead"
    for key, label, unit, scale in (("s", "first token", "ms", 1000), ("read", "ids read anew", "", 1)):
        in_steps, exactly = (
            Series(name, [scale * answer[f"{window}_{key}"] for answer in answers])
            for name, window in (("3 to 5 turns", "steps"), ("always 3 turns", "exact"))
        )
        yield Row(f"late_turns_{key}", f"{label}, {span}, mean", unit, in_steps, exactly)


def memory(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Peak memory of the whole bot. The wheel has a context for as many chats, and has answered one."""
    chat = {**rounds.chats(1, 1), "seed": "memory"}
    beside = {each.name: peak_memory(each, chat) for each in peers.these(ORIGIN)}
    for name, command in peers.commands(STOCK, room=BOT_CAPACITY).items():
        with start_peer(name, command, "memory") as wheel:
            beside[name] = peak_memory(wheel, chat)
    for weights, key, form in (("auto", "memory", "default"), ("int4", "memory_int4", "leanest")):
        print_progress(f"memory, {form}")
        start_seconds(
            OURS, Command("ours", (str(peers.folder), weights))
        )  # so that the bot's start is not the very first
        own, engine = bot.peak_memories(
            peers.file, weights, folders.bot_data_folder(), folders.LOGS / f"bot-{weights}.log"
        )
        for name, its in beside.items():
            both = Series(TITLES[OURS], [own + engine])
            yield Row(f"{key}_{name}", f"peak memory, {form}: engine and bot", "MB", both, its)
        for part, size in (("engine", engine), ("bot", own)):
            yield Row(f"{key}_{part}", f"peak memory, {form}: the {part}'s process", "MB", Series(TITLES[OURS], [size]))


def peak_memory(asked: Peer, chat: Workload) -> Series:
    """A peer's peak memory in MB after a chat."""
    return Series(TITLES[asked.name], [asked.ask(chat)["rss_mb"]])


def start(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Seconds from the command until the peer is ready: at the very first start, which compiles, and later."""
    print_progress("starts")
    ours = Command("ours", (str(peers.folder), "auto", str(folders.empty_folder())))
    commands = {OURS: ours, **peers.commands(IK, STOCK)}
    rounds.guard.look()
    first = Series(TITLES[OURS], [start_seconds(OURS, ours)])
    later: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds.runs):
        for name, command in commands.items():
            later[name].append(rounds.guard.quietly(partial(start_seconds, name, command)))
    series = {name: Series(TITLES[name], values) for name, values in later.items()}
    yield Row("start_first", "very first start: compiles and measures", "s", first, series.get(IK))
    yield from rows_beside_ours("start", "every later start", series, "s")


def loop_delay(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The delay of the bot's event loop."""
    with peer("event loop", "loop", [str(peers.folder)], folders.LOGS / "loop.log") as loop:
        (answers,) = rounds.measure("the event loop with 8 chats", [(loop, rounds.chats(8))])
    for key, label in (("p99", "99th percentile"), ("worst", "worst")):
        late = Series(TITLES[OURS], [answer[f"{key}_ms"] for answer in answers])
        yield Row(f"loop_delay_{key}", f"event loop beside the engine late, 8 chats, {label}", "ms", late)


def busy(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The built-in model, whatever MODEL is, beside processes that compute in a loop."""
    folder = folders.converted_folder(folders.gguf_file(""))
    with peer("busy", "busy", [str(folder)], folders.LOGS / "busy.log") as engine:
        chat = {"prompt": rounds.prompt, "tokens": rounds.tokens}
        workloads: list[tuple[Peer, Workload]] = [(engine, chat | {"loops": loops}) for loops in (0, BUSY_LOOPS)]
        quiet, beside = rounds.measure(f"{BUSY_LOOPS} busy loops", workloads)
    label = f"built-in model beside {BUSY_LOOPS} busy loops"
    rates = [
        Series(name, [answer["rate"] for answer in answers])
        for name, answers in ((f"beside {BUSY_LOOPS} loops", beside), ("quiet", quiet))
    ]
    yield Row("busy", f"{label}, decode, 1 chat", "tok/s", *rates)
    whole = sum(answer["answered"] for answer in beside) / len(beside)
    yield Row("busy_answered", f"{label}, answered", f"share of {len(beside)}", Series(TITLES[OURS], [whole]))
    yield Row("busy_deaths", f"{label}, engine deaths", "", Series(TITLES[OURS], [float(beside[-1]["deaths"])]))


def shape_1_5b(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The default model's shape with random weights, beside transformers, the only peer that can load them."""
    print_progress("Qwen2.5-1.5B's shape: writing random weights")
    folder = str(folders.random_1_5b_folder())
    chat = {"chats": 1, "prompt": SHAPE_PROMPT, "tokens": min(SHAPE_TOKENS, rounds.tokens)}
    commands = {OURS: Command("ours", (folder, "auto")), ORIGIN: Command("origin", (folder,))}
    with (
        start_peer(OURS, commands[OURS], "ours-1.5b") as ours,
        start_peer(ORIGIN, commands[ORIGIN], "origin-1.5b") as origin,
    ):
        found = ask_each(rounds, "Qwen2.5-1.5B's shape", [ours, origin], chat)
    first = {name: Series(TITLES[name], [each["prefill_s"] for each in answers]) for name, answers in found.items()}
    peaks = {name: Series(TITLES[name], [answers[-1]["rss_mb"]]) for name, answers in found.items()}
    rates, label = decode_rates(found, chat["tokens"]), "Qwen2.5-1.5B's shape"
    yield Row("shape_1_5b_first_token", f"{label}, first token of {SHAPE_PROMPT} ids", "s", first[OURS], first[ORIGIN])
    yield Row("shape_1_5b_decode_1", f"{label}, decode, 1 chat", "tok/s", rates[OURS], rates[ORIGIN])
    yield Row("shape_1_5b_memory", f"{label}, peak memory, engine alone", "MB", peaks[OURS], peaks[ORIGIN])


Group = Callable[[Rounds, Peers], Iterator[Row]]
GROUPS: Mapping[str, Group] = {
    "one-chat": one_chat,
    "many-chats": many_chats,
    "drawing": drawing,
    "guessing": guessing,
    "reuse": reuse,
    "mix": mix,
    "memory": memory,
    "start": start,
    "loop": loop_delay,
    "busy": busy,
    "shape": shape_1_5b,
}
"""Measured in this order."""
SHAPE_GROUP = "shape"


def ask_each(rounds: Rounds, what: str, those: Sequence[Peer], workload: Workload) -> Answers:
    """The answers of each peer to the same workload."""
    answers = rounds.measure(what, [(each, workload) for each in those])
    return dict(zip((each.name for each in those), answers, strict=True))


def prefill_rates(found: Answers, tokens: int) -> dict[str, Series]:
    return rates_of(found, "prefill_s", tokens)


def decode_rates(found: Answers, tokens: int) -> dict[str, Series]:
    return rates_of(found, "decode_s", tokens)


def rates_of(found: Answers, key: str, tokens: int) -> dict[str, Series]:
    """Tokens per second, by the peer's name."""
    return {name: Series(TITLES[name], [tokens / each[key] for each in answers]) for name, answers in found.items()}


def select(series: Mapping[str, Series], *names: str) -> dict[str, Series]:
    return {name: series[name] for name in names if name in series}


def rows_beside_ours(key: str, label: str, series: Mapping[str, Series], unit: str = "tok/s") -> Iterator[Row]:
    """A row for each peer, beside the first series, which is ours."""
    (_, ours), *others = series.items()
    for name, peer_series in others:
        yield Row(f"{key}_{name}", label, unit, ours, peer_series)


def row_beside_best(key: str, label: str, series: Mapping[str, Series], unit: str = "tok/s") -> Iterator[Row]:
    """A row beside the fastest peer, if there are several. The first series is ours."""
    (_, ours), *others = series.items()
    if len(others) > 1:
        yield Row(f"{key}_best", f"{label}, best of all", unit, ours, fastest([each for _, each in others]))


def fastest(series: Sequence[Series]) -> Series:
    """The series with the highest median: rates."""
    return max(series, key=lambda each: each.median)


def start_seconds(name: str, command: Command) -> float:
    """Seconds from a peer's start until it is ready."""
    with start_peer(name, command, f"start-{name}") as each:
        return each.seconds
