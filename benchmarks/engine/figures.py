"""What is measured, group by group; each figure is a row beside a peer's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from benchmarks.engine import bot, folders
from benchmarks.engine.loading import CONTEXT
from benchmarks.engine.peer import Peer, peer
from benchmarks.engine.peers import COMPILED, IK, MIX, ORIGIN, OURS, STOCK, TITLES, Command, Peers, started
from benchmarks.engine.rounds import Rounds, say
from benchmarks.engine.speech import Answer, Workload
from benchmarks.engine.table import Row, Series

MANY = (4, 8, 16)
"""Chats at once, beside one."""
TURNS = (2, 8)
SHORTER, FEWER = 4, 2
"""Of several chats at once each has a prompt a quarter as long, and draws half as many tokens: they are not what is
measured, and the slowest peer takes minutes for them."""
SHAPE_PROMPT, SHAPE_TOKENS = 300, 16
"""With the shape of the 1.5B, where transformers takes a second for two tokens."""
LOOPS = 2
ROOM = 4, CONTEXT
"""Chats, and tokens of each, that the bot has room for in its KV memory."""
Answers = Mapping[str, list[Answer]]
"""By a peer's name, one a round."""


def one_chat(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Prefill and decode of one chat."""
    found = asked(rounds, "one chat", peers.these(OURS, STOCK, IK, COMPILED), rounds.chats(1))
    yield from beside_each("prefill", f"prefill of {rounds.prompt} tokens", reading(found, rounds.prompt))
    yield from beside_each("decode_1", "decode, 1 chat", drawing(found, rounds.tokens))


def many_chats(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Decode of several chats at once, all their tokens together."""
    those = peers.these(OURS, STOCK, IK, COMPILED)
    length, tokens = max(1, rounds.prompt // SHORTER), max(1, rounds.tokens // FEWER)
    for chats in MANY:
        workload = {"chats": chats, "prompt": length, "tokens": tokens}
        rates = drawing(asked(rounds, f"{chats} chats", those, workload), chats * tokens)
        label = f"decode, {chats} chats ({length} + {tokens} tokens each)"
        wheels = sorted((rates[name] for name in (STOCK, IK) if name in rates), key=lambda series: -series.median)
        if wheels:
            yield Row(f"decode_{chats}", label, "tok/s", rates[OURS], *wheels)
        if COMPILED in rates:
            yield Row(f"decode_{chats}_{COMPILED}", label, "tok/s", rates[OURS], rates[COMPILED])


def mix(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The default mix of weights, as a model in full precision gets it, beside the origin's way."""
    found = asked(rounds, "the default mix", peers.these(MIX, COMPILED, ORIGIN), rounds.chats(1))
    yield from beside_each("prefill_mix", "prefill, default mix", only(reading(found, rounds.prompt), MIX, ORIGIN))
    yield from beside_each("decode_1_mix", "decode, 1 chat, default mix", drawing(found, rounds.tokens))


def reuse(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The first token in a conversation whose window slides, with and without what is kept of it."""
    answers = rounds.measure("first tokens", [(each, {"turns": list(TURNS)}) for each in peers.these(OURS)])[0]
    for turn in TURNS:
        length = answers[0][f"prompt_{turn}"]
        kept, fresh = (
            Series(name, [1000 * answer[f"{key}_{turn}_s"] for answer in answers])
            for name, key in (("reused", "reused"), ("no reuse", "fresh"))
        )
        yield Row(f"first_token_turn_{turn}", f"first token, turn {turn} ({length:.0f} tokens)", "ms", kept, fresh)


def memory(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The whole bot at its most. The wheel has as much room for as many chats, and has answered one."""
    chat = {**rounds.chats(1, 1), "seed": "memory"}
    beside = {each.name: peak(each, chat) for each in peers.these(ORIGIN)}
    for name, command in peers.commands(STOCK, room=ROOM).items():
        with started(name, command, "memory") as wheel:
            beside[name] = peak(wheel, chat)
    for weights, key, form in (("auto", "memory", "default"), ("int4", "memory_int4", "leanest")):
        say(f"memory, {form}")
        seconds(OURS, Command("ours", (str(peers.folder), weights)))  # a later start than the very first is meant
        own, engine = bot.peaks(peers.file, weights, folders.data(), folders.LOGS / f"bot-{weights}.log")
        for name, its in beside.items():
            both = Series(TITLES[OURS], [own + engine])
            yield Row(f"{key}_{name}", f"peak memory, {form}: engine and bot", "MB", both, its)
        for part, size in (("engine", engine), ("bot", own)):
            yield Row(f"{key}_{part}", f"peak memory, {form}: the {part}'s process", "MB", Series(TITLES[OURS], [size]))


def peak(asked: Peer, chat: Workload) -> Series:
    """MB at its most, after this chat."""
    return Series(TITLES[asked.name], [asked.ask(chat)["rss_mb"]])


def start(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """From the command until it can be asked: the first time, when the kernels are compiled and the machine is
    measured, and later."""
    say("starts")
    ours = Command("ours", (str(peers.folder), "auto", str(folders.empty())))
    commands = {OURS: ours, **peers.commands(IK, STOCK)}
    rounds.guard.look()
    first = Series(TITLES[OURS], [seconds(OURS, ours)])
    later: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds.runs):
        for name, command in commands.items():
            later[name].append(rounds.guard.quietly(partial(seconds, name, command)))
    series = {name: Series(TITLES[name], values) for name, values in later.items()}
    yield Row("start_first", "very first start: compiles and measures", "s", first, series.get(IK))
    yield from beside_each("start", "every later start", series, "s")


def loop_delay(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """How late the bot's event loop is."""
    with peer("event loop", "loop", [str(peers.folder)], folders.LOGS / "loop.log") as loop:
        (answers,) = rounds.measure("the event loop with 8 chats", [(loop, rounds.chats(8))])
    for key, label in (("p99", "99th percentile"), ("worst", "worst")):
        late = Series(TITLES[OURS], [answer[f"{key}_ms"] for answer in answers])
        yield Row(f"loop_delay_{key}", f"event loop beside the engine late, 8 chats, {label}", "ms", late)


def busy(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The built-in model, whatever model is measured, beside processes that do nothing but compute."""
    folder = folders.converted(folders.gguf(""))
    with peer("busy", "busy", [str(folder)], folders.LOGS / "busy.log") as engine:
        chat = {"prompt": rounds.prompt, "tokens": rounds.tokens}
        workloads: list[tuple[Peer, Workload]] = [(engine, chat | {"loops": loops}) for loops in (0, LOOPS)]
        quiet, beside = rounds.measure(f"{LOOPS} busy loops", workloads)
    label = f"built-in model beside {LOOPS} busy loops"
    rates = [
        Series(name, [answer["rate"] for answer in answers])
        for name, answers in ((f"beside {LOOPS} loops", beside), ("quiet", quiet))
    ]
    yield Row("busy", f"{label}, decode, 1 chat", "tok/s", *rates)
    whole = sum(answer["answered"] for answer in beside) / len(beside)
    yield Row("busy_answered", f"{label}, answered", f"share of {len(beside)}", Series(TITLES[OURS], [whole]))
    yield Row("busy_deaths", f"{label}, engine deaths", "", Series(TITLES[OURS], [float(beside[-1]["deaths"])]))


def shape_1_5b(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The default model's shape beside transformers, with random numbers, which no other peer can load."""
    say("Qwen2.5-1.5B's shape: writing random weights")
    folder = str(folders.random_1_5b())
    chat = {"chats": 1, "prompt": SHAPE_PROMPT, "tokens": min(SHAPE_TOKENS, rounds.tokens)}
    commands = {OURS: Command("ours", (folder, "auto")), ORIGIN: Command("origin", (folder,))}
    with (
        started(OURS, commands[OURS], "ours-1.5b") as ours,
        started(ORIGIN, commands[ORIGIN], "origin-1.5b") as origin,
    ):
        found = asked(rounds, "Qwen2.5-1.5B's shape", [ours, origin], chat)
    first = {name: Series(TITLES[name], [each["prefill_s"] for each in answers]) for name, answers in found.items()}
    peaks = {name: Series(TITLES[name], [answers[-1]["rss_mb"]]) for name, answers in found.items()}
    rates, label = drawing(found, chat["tokens"]), "Qwen2.5-1.5B's shape"
    yield Row("shape_1_5b_first_token", f"{label}, first token of {SHAPE_PROMPT} ids", "s", first[OURS], first[ORIGIN])
    yield Row("shape_1_5b_decode_1", f"{label}, decode, 1 chat", "tok/s", rates[OURS], rates[ORIGIN])
    yield Row("shape_1_5b_memory", f"{label}, peak memory, engine alone", "MB", peaks[OURS], peaks[ORIGIN])


Group = Callable[[Rounds, Peers], Iterator[Row]]
GROUPS: Mapping[str, Group] = {
    "one-chat": one_chat,
    "many-chats": many_chats,
    "reuse": reuse,
    "mix": mix,
    "memory": memory,
    "start": start,
    "loop": loop_delay,
    "busy": busy,
    "shape": shape_1_5b,
}
"""In this order."""
SHAPE = "shape"


def asked(rounds: Rounds, what: str, those: Sequence[Peer], workload: Workload) -> Answers:
    """The same asked of each."""
    answers = rounds.measure(what, [(each, workload) for each in those])
    return dict(zip((each.name for each in those), answers, strict=True))


def reading(found: Answers, tokens: int) -> dict[str, Series]:
    return rates_of(found, "prefill_s", tokens)


def drawing(found: Answers, tokens: int) -> dict[str, Series]:
    return rates_of(found, "decode_s", tokens)


def rates_of(found: Answers, key: str, tokens: int) -> dict[str, Series]:
    """Tokens a second, by the peer's name."""
    return {name: Series(TITLES[name], [tokens / each[key] for each in answers]) for name, answers in found.items()}


def only(series: Mapping[str, Series], *names: str) -> dict[str, Series]:
    return {name: series[name] for name in names if name in series}


def beside_each(key: str, label: str, series: Mapping[str, Series], unit: str = "tok/s") -> Iterator[Row]:
    """A row for each but the first, which is ours."""
    (_, ours), *others = series.items()
    for name, peer_series in others:
        yield Row(f"{key}_{name}", label, unit, ours, peer_series)


def seconds(name: str, command: Command) -> float:
    """From its start until it can be asked."""
    with started(name, command, f"start-{name}") as each:
        return each.seconds
