"""The report of a run: Markdown for docs/performance.md, and the same as a flat JSON object."""

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.engine.bounds import Bounds
from benchmarks.engine.machine import machine, versions
from benchmarks.engine.overview import overview
from benchmarks.engine.peers import ALL_PEERS, MIX, OURS, TITLES
from benchmarks.engine.rounds import Rounds
from benchmarks.engine.speech import Answer
from benchmarks.engine.table import Flat, Row, round_figure, table
from core.engine.kernels.machine import forced_instruction_set


@dataclass(slots=True)
class Report:
    """Filled during the run. `about`: what the peers tell of themselves; `missing`: what was not measured, and why."""

    rounds: Rounds
    file: Path
    bounds: Bounds
    rows: list[Row] = field(default_factory=list)
    about: dict[str, Answer] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return machine().kind + (" (forced)" if forced_instruction_set() else "")

    def versions(self) -> dict[str, str]:
        """Versions of our libraries and of the measured peers."""
        theirs = {TITLES[name]: self.about[name]["version"] for name in ALL_PEERS if name in self.about}
        return versions() | theirs

    def weights(self) -> dict[str, str]:
        """How our engine holds the weights, as given and in the default formats."""
        return {name: self.about[name]["weights"] for name in (OURS, MIX) if name in self.about}

    def print_report(self) -> None:
        """Print what was measured, how, the table, and what is missing."""
        rounds, weights = self.rounds, self.weights()
        libraries = ", ".join(f"{name} {version}" for name, version in self.versions().items())
        print(f"**{self.kind}**: {machine()}; {date.today()}; {libraries}; {self.file.name}.\n")
        print(f"Medians of {rounds.runs} rounds in turn, warm; prompts of {rounds.prompt} tokens, ", end="")
        print(f"{rounds.tokens} drawn; others took {rounds.guard.worst:.0f} % of the CPU at most.", end="")
        print("".join(f" {name.capitalize()}: {line}." for name, line in weights.items()) + "\n")
        print(table(self.rows, self.bounds))
        if every := overview(self.rows, self.about):
            print(f"\n{every}")
        for name, why in self.missing.items():
            print(f"\nNot measured: {name} ({why})")

    def write(self, target: Path) -> None:
        """Write the report as JSON."""
        found, rounds = machine(), self.rounds
        flat: Flat = {"kind": self.kind, "cpu": found.cpu, "cores": found.cores, "date": str(date.today())}
        flat |= {"memory_gib": round_figure(found.memory_gib), "model": self.file.name, **self.versions()}
        flat |= {f"{name}_weights": line for name, line in self.weights().items()}
        flat |= {f"missing_{name}": why for name, why in self.missing.items()}
        flat |= {"runs": rounds.runs, "prompt": rounds.prompt, "tokens": rounds.tokens}
        flat |= {
            "others_percent_worst": round_figure(rounds.guard.worst),
            "idle_percent": round_figure(rounds.guard.idle),
        }
        for row in self.rows:
            flat |= row.flat()
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(flat, indent=1) + "\n")
