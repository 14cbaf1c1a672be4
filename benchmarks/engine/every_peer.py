"""Figures of every peer: turns of a conversation, peak memory, time to load, and whether it draws the same tokens."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count

from benchmarks.engine.figures import TURNS, rows_beside_ours
from benchmarks.engine.peer import Peer
from benchmarks.engine.peers import ALL_PEERS, OURS, TITLES, Command, Peers, start_peer
from benchmarks.engine.rounds import Rounds, print_progress
from benchmarks.engine.speech import Answer, Workload
from benchmarks.engine.table import Row, Series
from benchmarks.engine.turns import SETTINGS, Conversation
from core.answering.prompt import QuestionPrompt, build_prompt

CONVERSATION = "conversation"
"""What peers lack that have no prefix cache."""
ALONE = 1
"""Chats for which a peer has room when its memory is measured."""
GREEDY_TOKENS = 32
QUESTIONS = (
    "What is a black hole?",
    "Write a short poem about the sea.",
    "How do I read a file line by line in Python?",
    "Name three rivers in Europe and the countries they cross.",
    "Thủ đô của Việt Nam là gì?",
    "Hãy viết một câu chuyện ngắn về một con mèo.",
    "Giải thích vì sao bầu trời có màu xanh.",
    "Summarise in one sentence why sleep matters.",
)
"""Asked of each peer for the comparison of what it draws."""


def turns(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The first token at turns of a conversation; each peer uses its own prefix cache, and reads ahead as ours does."""
    those = [each for each in peers.these(OURS, *ALL_PEERS) if CONVERSATION not in each.about.get("lacks", ())]
    made = Conversation(peers.folder)
    print_progress("turns")
    rounds.guard.look()
    answers: dict[str, list[Answer]] = {each.name: [] for each in those}
    for number in range(rounds.runs):
        for each in those:
            tries = count()
            ask = partial(ask_conversation, each, made, f"turns {number}", tries)
            answers[each.name].append(rounds.guard.quietly(ask))
    for turn in TURNS:
        series = {
            name: Series(TITLES[name], [1000 * answer[f"turn_{turn}_s"] for answer in its])
            for name, its in answers.items()
        }
        yield from rows_beside_ours(f"turn_{turn}", f"first token, turn {turn}, own prefix cache", series, "ms")


def load_once(name: str, command: Command, chat: Workload) -> tuple[float, Answer]:
    """Seconds until a peer is ready, and what it tells of itself, with its peak memory after a chat."""
    with start_peer(name, command, f"load-{name}") as each:
        return each.seconds, each.about | {"rss_mb": each.ask({**chat, "seed": "load"})["rss_mb"]}


def ask_conversation(asked: Peer, made: Conversation, seed: str, tries: Iterator[int]) -> Answer:
    """The times of a conversation, which is another at each try: a peer may still know the last one."""
    return asked.ask({"conversation": list(made.prompts(max(TURNS), f"{seed}, try {next(tries)}"))})


def load(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Seconds until each peer's process is ready, and its peak memory with room for one chat, after that chat."""
    room = (ALONE, rounds.prompt + rounds.tokens + 1)
    commands = peers.commands(OURS, *ALL_PEERS, room=room)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    print_progress("loading each peer")
    for name, command in list(commands.items()) * rounds.runs:
        ready, about = rounds.guard.quietly(partial(load_once, name, command, rounds.chats(1)))
        peers.about.setdefault(name, about)
        seconds[name].append(ready)
        peaks[name].append(about["rss_mb"])
    for key, label, unit, values in (
        ("load", "loaded and ready", "s", seconds),
        ("peak", "peak memory of the process, 1 chat", "MB", peaks),
    ):
        series = {name: Series(TITLES[name], each) for name, each in values.items()}
        yield from rows_beside_ours(key, label, series, unit)


def agreement(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """The share of tokens, drawn greedily, that are ours up to the first difference."""
    print_progress("agreement")
    encode = Conversation(peers.folder).tokenizer.encode
    prompts = [encode(build_prompt(SETTINGS, [], QuestionPrompt(question))) for question in QUESTIONS]
    asked = {"greedy": prompts, "tokens": GREEDY_TOKENS}
    drawn = {each.name: each.ask(asked)["greedy"] for each in peers.these(OURS, *ALL_PEERS)}
    series = {name: Series(TITLES[name], [share]) for name, share in agreements(drawn).items()}
    yield from rows_beside_ours(
        "agreement", f"greedy tokens as ours until the first difference, {len(QUESTIONS)} answers", series, ""
    )


def agreements(drawn: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, float]:
    """By name, the mean agreement with ours over all answers."""
    ours = drawn[OURS]
    return {
        name: sum(agreed_share(mine, theirs) for mine, theirs in zip(ours, answers, strict=True)) / len(ours)
        for name, answers in drawn.items()
    }


def agreed_share(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """The share of our tokens before the first that differs. What a peer draws after the end of ours does not count."""
    if not ours:
        return 1.0
    same = 0
    while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
        same += 1
    return same / len(ours)
