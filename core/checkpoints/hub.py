"""Downloading a model from the model hub into the hub library's own cache, where a person's earlier downloads are too.

A file that is complete in the cache is never downloaded again. When a connection breaks off within a file, the library
(huggingface_hub 2.4) asks for the rest; after a process that ended within a file, that file alone starts again.
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
from core.checkpoints.json_files import one_line
from core.domain.errors import SetupError

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

FILE_PATTERNS = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    weights.INDEX_FILE,
    weights.SINGLE_FILE,
    "model-*-of-*.safetensors",
]
PROBE_TIMEOUT_S = 3.0
"""Without a probe the library takes 23 s to find that a hub can't be reached."""
SPARE_DISK_BYTES = 64 * 1024 * 1024
"""What must stay free after a download."""


class HubUnreachable(SetupError):
    """The model is not on this machine and can't be downloaded now. Another model may do instead."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A model hub and a local cache; None is the library's own choice (HF_ENDPOINT; HF_HUB_CACHE or HF_HOME)."""

    endpoint: str | None = None
    cache: Path | None = None

    def cached(self, repo: str, revision: str | None) -> Path | None:
        """The folder of a model that is complete in the cache, else None. Uses no network."""
        from huggingface_hub import snapshot_download  # noqa: PLC0415 (0.3 s)
        from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

        with quiet_library():
            try:
                found = snapshot_download(
                    repo, revision=revision, cache_dir=self.cache, local_files_only=True, allow_patterns=FILE_PATTERNS
                )
            except LocalEntryNotFoundError:
                return None
            except ValueError as error:
                raise SetupError(f"{repo!r} is not the name of a model on the hub ({one_line(error)})") from error
        return Path(found) if is_complete(Path(found)) else None

    def fetch(self, repo: str, revision: str | None, progress: Progress, offline: bool) -> Path:
        """The folder of a model, downloaded unless it is in the cache.

        Raises HubUnreachable where a download is needed and impossible now, SetupError for any other trouble.
        """
        folder = self.cached(repo, revision)
        if folder is None:
            self._require_reachable(repo, offline)
            with quiet_library(), self._errors_explained(repo, revision):
                self._download(repo, revision, progress)
            folder = self.cached(repo, revision)
        if folder is None:
            raise SetupError(f"{repo} lacks config.json, tokenizer.json or safetensors weights: choose another model")
        return folder

    def _require_reachable(self, repo: str, offline: bool) -> None:
        """Raise HubUnreachable at once where a download would fail only after a long wait."""
        from huggingface_hub import is_offline_mode  # noqa: PLC0415

        if offline or is_offline_mode():
            raise HubUnreachable(f"{repo} is not on this machine and Qwentin is offline: download it once while online")
        if not is_reachable(self.address):
            raise unreachable(repo, self.address)

    @property
    def address(self) -> str:
        """The hub's base URL."""
        from huggingface_hub import constants  # noqa: PLC0415

        return self.endpoint or constants.ENDPOINT

    def _download(self, repo: str, revision: str | None, progress: Progress) -> None:
        """Download file by file in this thread, so that Ctrl-C ends it at once. The weights come last, so that a model
        with weights is complete."""
        from huggingface_hub import hf_hub_download, snapshot_download  # noqa: PLC0415

        files = snapshot_download(
            repo,
            revision=revision,
            cache_dir=self.cache,
            endpoint=self.endpoint,
            allow_patterns=FILE_PATTERNS,
            dry_run=True,
            tqdm_class=silent_tqdm(lambda done: None),
        )
        check_space(repo, files)
        total = TotalProgress(progress, f"Downloading {repo}", sum(file_size(file) for file in files))
        for file in sorted(files, key=file_size):
            hf_hub_download(
                repo,
                file.filename,
                revision=file.commit_hash,
                cache_dir=self.cache,
                endpoint=self.endpoint,
                tqdm_class=silent_tqdm(total.update),
            )
            total.finish_file(file_size(file))

    @contextmanager
    def _errors_explained(self, repo: str, revision: str | None) -> Iterator[None]:
        """Turn the library's errors into SetupErrors. Most are OSErrors; hf_xet raises RuntimeErrors."""
        import httpx2  # noqa: PLC0415

        try:
            yield
        except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
            raise setup_error(error, repo, revision, self.address) from error


def setup_error(error: BaseException, repo: str, revision: str | None, where: str) -> SetupError:
    """The SetupError for an error of the hub library, or for its cause where it only wraps that."""
    from huggingface_hub import errors  # noqa: PLC0415

    if isinstance(error, errors.DryRunError | errors.LocalEntryNotFoundError) and error.__cause__:
        return setup_error(error.__cause__, repo, revision, where)
    texts = {
        errors.GatedRepoError: f"{repo} is gated: accept its terms at {where}/{repo} and set HF_TOKEN",
        errors.RevisionNotFoundError: f"{repo} has no revision {revision!r}: check the part after the @",
        errors.RepositoryNotFoundError: f"there is no model {repo} at {where}, or it is private: "
        "check its name, or set HF_TOKEN",
    }
    for kind, text in texts.items():
        if isinstance(error, kind):
            return SetupError(text)
    if isinstance(error, errors.HfHubHTTPError):
        return http_error(error.response.status_code, repo, where)
    if isinstance(error, OSError) and error.errno:
        return SetupError(disk_error(repo, error))
    return HubUnreachable(
        f"the download of {repo} from {where} broke off ({one_line(error)}): start again, complete files are kept"
    )


def http_error(status: int, repo: str, where: str) -> SetupError:
    """The error for an HTTP status of the hub."""
    if status in (401, 403):
        return SetupError(f"{where} does not let you have {repo} (HTTP {status}): check the name and HF_TOKEN")
    if status == 404:
        return SetupError(f"{where} does not know {repo} (HTTP 404): check its name")
    return HubUnreachable(f"{where} can't give {repo} now (HTTP {status}): try again later")


def disk_error(repo: str, error: OSError) -> str:
    """The text for an error of writing a download."""
    if error.errno == errno.ENOSPC:
        return f"the disk is full: make room for {repo}, or set HF_HOME to a folder on a larger disk"
    return f"{repo} can't be stored ({one_line(error.strerror or error)}): check the folder that HF_HOME names"


def unreachable(repo: str, where: str) -> HubUnreachable:
    """The error for a hub that can't be reached."""
    return HubUnreachable(
        f"{repo} is not on this machine and {where} can't be reached: check the network (or HF_ENDPOINT), "
        "or name a model that is here"
    )


def is_complete(folder: Path) -> bool:
    """Whether a model's folder has every file that is needed. A dangling link of the cache is no file."""
    try:
        files = [folder / "config.json", folder / "tokenizer.json", *weights.weight_files(folder)]
    except SetupError:
        return False
    return all(path.is_file() for path in files)


def is_reachable(address: str) -> bool:
    """Whether the address answers at all, within PROBE_TIMEOUT_S. It asks in a thread, because looking up a host name
    has no timeout."""
    import httpx2  # noqa: PLC0415
    from huggingface_hub import get_session  # noqa: PLC0415

    answered = threading.Event()

    def ask() -> None:
        try:
            get_session().head(address, timeout=PROBE_TIMEOUT_S)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            return
        answered.set()

    thread = threading.Thread(target=ask, name="hub probe", daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT_S + 0.5)
    return answered.is_set()


def check_space(repo: str, files: "list[DryRunFileInfo]") -> None:
    """Raise SetupError where the disk has too little room for the files that are missing."""
    missing = [file for file in files if file.will_download]
    if not missing:
        return
    folder = Path(missing[0].local_path)
    while not folder.exists():
        folder = folder.parent
    needed, free = sum(file_size(file) for file in missing) + SPARE_DISK_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise SetupError(
            f"{repo} needs {needed / 1e9:.1f} GB but only {free / 1e9:.1f} GB are free at {folder}: "
            "make room, or set HF_HOME to a folder on a larger disk"
        )


def file_size(file: "DryRunFileInfo") -> int:
    """Bytes of a file; 0 where the hub does not tell."""
    return file.file_size or 0


class TotalProgress:
    """Adds up the progress of the files. A file that is in the cache already counts as downloaded."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress, self._label, self._total = progress, label, total
        self._finished = 0

    def update(self, done: int) -> None:
        """`done` bytes of the current file are there."""
        self._progress(self._label, min(self._finished + done, self._total), self._total)

    def finish_file(self, size: int) -> None:
        """The current file of `size` bytes is complete."""
        self._finished += size
        self.update(0)


def silent_tqdm(report: Callable[[int], None]) -> Any:
    """A tqdm class that draws nothing and reports the bytes that are done.

    hf_xet fills two bars (received, written); the one that is ahead counts.
    """
    from huggingface_hub.utils.tqdm import tqdm  # noqa: PLC0415

    reported = 0

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))  # type: ignore[no-untyped-call]
            self.counts_bytes = options.get("unit") == "B"

        def update(self, step: float | None = 1) -> None:
            nonlocal reported
            self.n += step or 0
            if self.counts_bytes and self.n > reported:
                reported = int(self.n)
                report(reported)

    return Bar


@contextmanager
def quiet_library() -> Iterator[None]:
    """Keep the library from writing to the terminal, and from telling the hub about this machine."""
    from huggingface_hub import constants  # noqa: PLC0415

    constants.HF_HUB_DISABLE_TELEMETRY = True
    for name, level in (("huggingface_hub", logging.ERROR), ("httpx2", logging.WARNING)):
        logging.getLogger(name).setLevel(level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
