"""Figures of every peer: turns of a conversation, peak memory, time to load, and whether it draws the same tokens."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from benchmarks.engine.figures import TURNS, rows_beside_ours
from benchmarks.engine.peer import Peer
from benchmarks.engine.peers import ALL_PEERS, OURS, TITLES, Peers, start_peer
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
    rounds.guard.look()
    answers: list[list[Answer]] = []
    for number in range(rounds.runs):
        asked = {"conversation": list(made.prompts(max(TURNS), f"turns {number}"))}
        print_progress(f"turns, round {number + 1}")
        answers.append(rounds.guard.quietly(partial(ask_all, those, asked)))
    for turn in TURNS:
        series = {
            each.name: Series(TITLES[each.name], [1000 * answer[each_number][f"turn_{turn}_s"] for answer in answers])
            for each_number, each in enumerate(those)
        }
        yield from rows_beside_ours(f"turn_{turn}", f"first token, turn {turn}, own prefix cache", series, "ms")


def ask_all(those: Sequence[Peer], workload: Workload) -> list[Answer]:
    return [each.ask(workload) for each in those]


def load(rounds: Rounds, peers: Peers) -> Iterator[Row]:
    """Seconds until each peer's process is ready, and its peak memory with room for one chat, after that chat."""
    room = (ALONE, rounds.prompt + rounds.tokens + 1)
    commands = peers.commands(OURS, *ALL_PEERS, room=room)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    print_progress("loading each peer")
    for name, command in list(commands.items()) * rounds.runs:
        with start_peer(name, command, f"load-{name}") as each:
            seconds[name].append(each.seconds)
            peaks[name].append(each.ask({**rounds.chats(1), "seed": "load"})["rss_mb"])
    for key, label, unit, values in (
        ("load", "loaded and ready", "s", seconds),
        ("peak", "peak memory of the process, 1 chat", "MB", peaks),
    ):
        series = {name: Series(TITLES[name], each[-rounds.runs :]) for name, each in values.items()}
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
