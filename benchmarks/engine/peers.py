"""The peers measured on one model: ours, and its alternatives."""

import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.engine import exports, folders
from benchmarks.engine.optional_peers import CTRANSLATE2, ONNXRUNTIME, OPENVINO, OPTIONAL, VLLM, optional_command
from benchmarks.engine.peer import Peer, PeerFailed, peer
from benchmarks.engine.rounds import print_progress
from benchmarks.engine.speech import Answer

OURS, MIX, STOCK, IK, COMPILED, ORIGIN = "ours", "mix", "stock", "ik", "compiled", "origin"
TITLES = {
    OURS: "ours",
    MIX: "ours",
    STOCK: "llama.cpp wheel",
    IK: "ik_llama.cpp wheel",
    COMPILED: "llama.cpp compiled here",
    ORIGIN: "transformers",
    OPENVINO: "OpenVINO GenAI",
    ONNXRUNTIME: "onnxruntime-genai",
    CTRANSLATE2: "CTranslate2",
    VLLM: "vLLM, CPU build",
}
"""Their names in the table."""
DEFAULT_PEERS = (STOCK, IK, COMPILED, ORIGIN)
ALL_PEERS = (*DEFAULT_PEERS, *OPTIONAL)
"""The names that PEERS may give."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a peer is started: benchmarks.engine.`module` in a Python with its packages."""

    module: str
    arguments: tuple[str, ...]
    python: str = sys.executable


class Peers:
    """Starts each peer when it is first needed, and keeps it loaded.

    `room`: chats at once and tokens of each, for peers that must know when they are loaded. `about`: by name, what each
    started peer tells of itself. `missing`: by name, why a peer can't be had on this machine. `wanted`: those that are
    measured, beside ours.
    """

    def __init__(
        self, file: Path, llama_python: str, room: tuple[int, int], wanted: Collection[str] = DEFAULT_PEERS
    ) -> None:
        self.file, self.llama_python, self.room, self.wanted = file, llama_python, room, {OURS, MIX, *wanted}
        self.folder = folders.converted_folder(file)
        self.about: dict[str, Answer] = {}
        self.missing: dict[str, str] = {}
        self._started: dict[str, Peer] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End all started peers."""
        self._started.clear()
        self._ends.close()

    def these(self, *names: str) -> list[Peer]:
        """Those of the named peers that this machine can have."""
        return [each for name in names if (each := self.get(name))]

    def get(self, name: str) -> Peer | None:
        """A loaded peer; None if it can't be installed here. Raises PeerFailed if it does not start."""
        if name not in self._started:
            for command in self.commands(name).values():
                print_progress(f"nothing yet, loading {name}")
                self._started[name] = self._ends.enter_context(start_peer(name, command))
                self.about[name] = self._started[name].about
        return self._started.get(name)

    def commands(self, *names: str, room: tuple[int, int] | None = None) -> dict[str, Command]:
        """The commands of those named peers that are wanted and can be installed here."""
        found: dict[str, Command] = {}
        for name in names:
            if name not in self.wanted:
                continue
            try:
                if name not in self.missing:
                    found[name] = self.command(name, room or self.room)
            except PeerFailed as error:
                self.missing[name] = str(error)
        return found

    def command(self, name: str, room: tuple[int, int]) -> Command:
        """The command of a peer. Raises PeerFailed if it can't be installed."""
        file, (slots, length) = str(self.file), room
        match name:
            case "stock":
                python = folders.wheel_python(folders.STOCK_REQUIREMENT)
                return Command("stock", (file, str(slots), str(length)), python)
            case "ik":
                return llama_command(folders.IK_REQUIREMENT, file, length, folders.wheel_python(folders.IK_REQUIREMENT))
            case "compiled":
                python = folders.llama_python(self.llama_python)
                return llama_command(folders.LLAMA_REQUIREMENT, file, length, python)
            case "origin":
                return Command("origin", (str(exports.hub_folder(self.folder)),))
            case _ if name in OPTIONAL:
                return Command(*optional_command(name, self.file, self.folder, room))
            case _:
                folder = folders.full_precision_folder(self.folder) if name == MIX else self.folder
                return Command("ours", (str(folder), "auto"))


def llama_command(requirement: str, file: str, length: int, python: str) -> Command:
    """The command of a package with llama.cpp's functions."""
    return Command("llama", (folders.package_name(requirement), file, str(length)), python)


def start_peer(name: str, command: Command, log: str = "") -> AbstractContextManager[Peer]:
    """Load a peer for the duration of a block."""
    return peer(name, command.module, command.arguments, folders.LOGS / f"{log or name}.log", command.python)
