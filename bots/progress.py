"""Progress of downloads, conversions and loading in the terminal: on stderr, so that a pipe gets the answer alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bars:
    """One progress bar for each label."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._note = ""

    def note(self, text: str) -> None:
        """Print `text` above the bars as soon as there are any."""
        self._note = text

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show `done` of `total` bytes under `label`."""
        if self._note:
            self._progress.console.print(self._note, style="dim")
            self._note = ""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total)
        self._progress.update(self._tasks[label], completed=done, total=total)


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Bars that vanish with the block. Without a terminal nothing is shown."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bars(progress)


class Steps:
    """A spinner beside the name of the current step. Without a terminal nothing is shown."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")

    def __call__(self, step: str) -> None:
        """Show `step` as the current one."""
        if self._console.is_terminal:
            self._status.update(f"{step[:1].upper()}{step[1:]} …")
            self._status.start()

    def end(self) -> None:
        """Remove the spinner."""
        self._status.stop()
