"""A model from the model hub, in the hub library's own cache, where people's earlier downloads are found too.

A file that is whole in the cache is never fetched again. When a connection breaks off within a file, the library
(huggingface_hub 2.4) asks for the rest; a process that ends within a file begins that file, and only that, anew.
"""

import errno
import logging
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.checkpoints import safetensors_index as weights
from core.checkpoints.checkpoint import Progress
from core.checkpoints.json_files import line
from core.domain.errors import SetupError

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

WANTED = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    weights.INDEX,
    weights.ONE,
    "model-*-of-*.safetensors",
]
PROBE_SECONDS = 3.0
"""The library itself needs 23 s to find that a hub can't be reached."""
SPARE_BYTES = 64 * 1024 * 1024


class HubUnreachable(SetupError):
    """The model is not on this machine and the hub can't be asked for it now. Another model may do instead."""


@dataclass(frozen=True, slots=True)
class Hub:
    """`endpoint` and `cache` are the library's own (HF_ENDPOINT, HF_HUB_CACHE or HF_HOME) where None."""

    endpoint: str | None = None
    cache: Path | None = None

    def cached(self, repo: str, revision: str | None) -> Path | None:
        """The folder of a model that is here whole; asks no network."""
        from huggingface_hub import snapshot_download  # noqa: PLC0415 (0.3 s)
        from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

        with quiet():
            try:
                found = snapshot_download(
                    repo, revision=revision, cache_dir=self.cache, local_files_only=True, allow_patterns=WANTED
                )
            except LocalEntryNotFoundError:
                return None
            except ValueError as error:
                raise SetupError(f"{repo!r} is not the name of a model on the hub ({line(error)})") from error
        return Path(found) if whole(Path(found)) else None

    def fetch(self, repo: str, revision: str | None, progress: Progress, offline: bool) -> Path:
        """The folder of a model, downloaded if need be."""
        folder = self.cached(repo, revision)
        if folder is None:
            self.reach(repo, offline)
            with quiet(), self.explained(repo, revision):
                self.download(repo, revision, progress)
            folder = self.cached(repo, revision)
        if folder is None:
            raise SetupError(f"{repo} lacks config.json, tokenizer.json or safetensors weights: choose another model")
        return folder

    def reach(self, repo: str, offline: bool) -> None:
        """Fails at once where a download could only fail slowly."""
        from huggingface_hub import is_offline_mode  # noqa: PLC0415

        if offline or is_offline_mode():
            raise HubUnreachable(f"{repo} is not on this machine and Qwentin is offline: download it once while online")
        if not answers(self.address):
            raise unreachable(repo, self.address)

    @property
    def address(self) -> str:
        from huggingface_hub import constants  # noqa: PLC0415

        return self.endpoint or constants.ENDPOINT

    def download(self, repo: str, revision: str | None, progress: Progress) -> None:
        """File by file in this thread, so that Ctrl-C ends it at once; the weights last, so that they say: complete."""
        from huggingface_hub import hf_hub_download, snapshot_download  # noqa: PLC0415

        files = snapshot_download(
            repo,
            revision=revision,
            cache_dir=self.cache,
            endpoint=self.endpoint,
            allow_patterns=WANTED,
            dry_run=True,
            tqdm_class=silent_bar(lambda done: None),
        )
        check_space(repo, files)
        tally = Tally(progress, f"Downloading {repo}", sum(size(file) for file in files))
        for file in sorted(files, key=size):
            hf_hub_download(
                repo,
                file.filename,
                revision=file.commit_hash,
                cache_dir=self.cache,
                endpoint=self.endpoint,
                tqdm_class=silent_bar(tally.within),
            )
            tally.after(size(file))

    @contextmanager
    def explained(self, repo: str, revision: str | None) -> Iterator[None]:
        """The library's errors, in one line each. Most are OSErrors; hf_xet has RuntimeErrors of its own."""
        import httpx2  # noqa: PLC0415

        try:
            yield
        except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
            raise explain(error, repo, revision, self.address) from error


def explain(error: BaseException, repo: str, revision: str | None, where: str) -> SetupError:
    """An error that only says that there was another, which is its cause, is looked through."""
    from huggingface_hub import errors  # noqa: PLC0415

    if isinstance(error, errors.DryRunError | errors.LocalEntryNotFoundError) and error.__cause__:
        return explain(error.__cause__, repo, revision, where)
    known = {
        errors.GatedRepoError: f"{repo} is gated: accept its terms at {where}/{repo} and set HF_TOKEN",
        errors.RevisionNotFoundError: f"{repo} has no revision {revision!r}: check the part after the @",
        errors.RepositoryNotFoundError: f"there is no model {repo} at {where}, or it is private: "
        "check its name, or set HF_TOKEN",
    }
    for kind, text in known.items():
        if isinstance(error, kind):
            return SetupError(text)
    if isinstance(error, errors.HfHubHTTPError):
        return refused(error.response.status_code, repo, where)
    if isinstance(error, OSError) and error.errno:
        return SetupError(unwritable(repo, error))
    return HubUnreachable(
        f"the download of {repo} from {where} broke off ({line(error)}): start again, complete files are kept"
    )


def refused(status: int, repo: str, where: str) -> SetupError:
    if status in (401, 403):
        return SetupError(f"{where} does not let you have {repo} (HTTP {status}): check the name and HF_TOKEN")
    if status == 404:
        return SetupError(f"{where} does not know {repo} (HTTP 404): check its name")
    return HubUnreachable(f"{where} can't give {repo} now (HTTP {status}): try again later")


def unwritable(repo: str, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full: make room for {repo}, or set HF_HOME to a folder on a larger disk"
    return f"{repo} can't be stored ({line(error.strerror or error)}): check the folder that HF_HOME names"


def unreachable(repo: str, where: str) -> HubUnreachable:
    return HubUnreachable(
        f"{repo} is not on this machine and {where} can't be reached: check the network (or HF_ENDPOINT), "
        "or name a model that is here"
    )


def whole(folder: Path) -> bool:
    """Every file that a start needs; the headers are looked at later. A dangling link of the cache is no file."""
    try:
        files = [folder / "config.json", folder / "tokenizer.json", *weights.weight_files(folder)]
    except SetupError:
        return False
    return all(path.is_file() for path in files)


def answers(address: str) -> bool:
    """Any answer will do. In a thread of its own because looking up a name knows no time limit."""
    import httpx2  # noqa: PLC0415
    from huggingface_hub import get_session  # noqa: PLC0415

    heard = threading.Event()

    def ask() -> None:
        try:
            get_session().head(address, timeout=PROBE_SECONDS)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            return
        heard.set()

    thread = threading.Thread(target=ask, name="hub probe", daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS + 0.5)
    return heard.is_set()


def check_space(repo: str, files: "list[DryRunFileInfo]") -> None:
    missing = [file for file in files if file.will_download]
    if not missing:
        return
    place = Path(missing[0].local_path)
    while not place.exists():
        place = place.parent
    needed, free = sum(size(file) for file in missing) + SPARE_BYTES, shutil.disk_usage(place).free
    if needed > free:
        raise SetupError(
            f"{repo} needs {needed / 1e9:.1f} GB but only {free / 1e9:.1f} GB are free at {place}: "
            "make room, or set HF_HOME to a folder on a larger disk"
        )


def size(file: "DryRunFileInfo") -> int:
    return file.file_size or 0


class Tally:
    """Bytes over all files; a file that was here already counts as done."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self.progress = progress
        self.label = label
        self.total = total
        self.before = 0

    def within(self, done: int) -> None:
        self.progress(self.label, min(self.before + done, self.total), self.total)

    def after(self, size: int) -> None:
        self.before += size
        self.within(0)


def silent_bar(tell: Callable[[int], None]) -> Any:
    """A tqdm that draws nothing. Of the two that hf_xet fills (received, written) the one that is ahead counts."""
    from huggingface_hub.utils.tqdm import tqdm  # noqa: PLC0415

    most = 0

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))  # type: ignore[no-untyped-call]
            self.counts_bytes = options.get("unit") == "B"

        def update(self, step: float | None = 1) -> None:
            nonlocal most
            self.n += step or 0
            if self.counts_bytes and self.n > most:
                most = int(self.n)
                tell(most)

    return Bar


@contextmanager
def quiet() -> Iterator[None]:
    """No line of the library's on the terminal, and nothing about this machine to the hub."""
    from huggingface_hub import constants  # noqa: PLC0415

    constants.HF_HUB_DISABLE_TELEMETRY = True
    for name, level in (("huggingface_hub", logging.ERROR), ("httpx2", logging.WARNING)):
        logging.getLogger(name).setLevel(level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
