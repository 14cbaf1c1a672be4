"""Who is measured on one model: ours, and what somebody would take in its place."""

import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.engine import folders
from benchmarks.engine.peer import Peer, PeerFailed, peer
from benchmarks.engine.rounds import say
from benchmarks.engine.speech import Answer

OURS, MIX, STOCK, IK, COMPILED, ORIGIN = "ours", "mix", "stock", "ik", "compiled", "origin"
TITLES = {
    OURS: "ours",
    MIX: "ours",
    STOCK: "llama.cpp wheel",
    IK: "ik_llama.cpp wheel",
    COMPILED: "llama.cpp compiled here",
    ORIGIN: "transformers",
}
"""What the table calls them."""


@dataclass(frozen=True, slots=True)
class Command:
    """How one is started: benchmarks.engine.`module` in a Python that has what it needs."""

    module: str
    arguments: tuple[str, ...]
    python: str = sys.executable


class Peers:
    """Each is started when it is first asked for. They stay loaded, and idle while another is asked.

    `room`: chats at once and tokens of each, for those that must know when they are loaded.
    """

    def __init__(self, file: Path, llama_python: str, room: tuple[int, int]) -> None:
        self.file, self.llama_python, self.room = file, llama_python, room
        self.folder = folders.converted(file)
        self.about: dict[str, Answer] = {}
        """What each that was started has told of itself."""
        self.missing: dict[str, str] = {}
        """Whom this machine can't have, and why."""
        self._started: dict[str, Peer] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End all that were started."""
        self._started.clear()
        self._ends.close()

    def these(self, *names: str) -> list[Peer]:
        """Ours among them, and of the others those that can be had."""
        return [each for name in names if (each := self.get(name))]

    def get(self, name: str) -> Peer | None:
        """None if it can't be installed here; PeerFailed if it does not start."""
        if name not in self._started:
            for command in self.commands(name).values():
                say(f"nothing yet, loading {name}")
                self._started[name] = self._ends.enter_context(started(name, command))
                self.about[name] = self._started[name].about
        return self._started.get(name)

    def commands(self, *names: str, room: tuple[int, int] | None = None) -> dict[str, Command]:
        """How they are started, those that can be installed here."""
        found: dict[str, Command] = {}
        for name in names:
            try:
                if name not in self.missing:
                    found[name] = self.command(name, room or self.room)
            except PeerFailed as error:
                self.missing[name] = str(error)
        return found

    def command(self, name: str, room: tuple[int, int]) -> Command:
        """How it is started. PeerFailed if it can't be installed."""
        file = str(self.file)
        match name:
            case "stock":
                slots, length = room
                return Command("stock", (file, str(slots), str(length)), folders.wheel_python(folders.STOCK))
            case "ik":
                return Command("llama", (folders.package(folders.IK), file), folders.wheel_python(folders.IK))
            case "compiled":
                python = folders.llama_python(self.llama_python)
                return Command("llama", (folders.package(folders.LLAMA), file), python)
            case "origin":
                return Command("origin", (str(folders.hub(self.folder)),))
            case "mix":
                return Command("ours", (str(folders.full_precision(self.folder)), "auto"))
            case _:
                return Command("ours", (str(self.folder), "auto"))


def started(name: str, command: Command, log: str = "") -> AbstractContextManager[Peer]:
    """It ends with the block."""
    return peer(name, command.module, command.arguments, folders.LOGS / f"{log or name}.log", command.python)
