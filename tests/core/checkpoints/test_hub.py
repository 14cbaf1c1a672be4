"""Downloads, against a server that speaks the hub's protocol over real sockets."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.checkpoints import inspect_checkpoint, open_checkpoint
from core.checkpoints.hub import PROBE_TIMEOUT_S, Hub, HubUnreachable
from core.checkpoints.resolve import PINNED_REVISIONS, parse_hub_name
from core.domain.errors import SetupError
from tests.tables import each_row

Make = Callable[..., Path]
REPO = "org/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROOT = Path(__file__).parents[3]


class TinyHub(ThreadingHTTPServer):
    """A hub with one model at one commit; its attributes make it fail."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut_after: int | None = None
        self.refusal: tuple[int, str] | None = None
        self.claimed_size: int | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sent(self, name: str) -> list[str | None]:
        """The Range of each request for a file's content."""
        return [part for method, path, part in self.requests if method == "GET" and path.endswith(f"/{name}")]


class Handler(BaseHTTPRequestHandler):
    server: TinyHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, path, self.headers.get("Range")))
        if path == "/":
            self.send(200, b"", {}, with_body)
        elif self.server.refusal:
            status, code = self.server.refusal
            self.send(status, b"", {"X-Error-Code": code}, with_body)
        elif path.startswith(f"/api/models/{REPO}/tree/"):
            self.send(200, json.dumps([self.listed(file) for file in self.files()]).encode(), {}, with_body)
        elif path.startswith(f"/api/models/{REPO}"):
            self.send(200, json.dumps({"id": REPO, "sha": COMMIT, "siblings": []}).encode(), {}, with_body)
        elif path.startswith(f"/{REPO}/resolve/{COMMIT}/"):
            self.send_file(self.server.folder / path.rpartition("/")[2], with_body)
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)

    def files(self) -> list[Path]:
        return sorted(self.server.folder.iterdir())

    def listed(self, file: Path) -> dict[str, Any]:
        return {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": etag(file)}

    def send_file(self, file: Path, with_body: bool) -> None:
        content = file.read_bytes()
        headers = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT}
        asked = self.headers.get("Range")
        if self.server.claimed_size and file.suffix == ".safetensors":
            headers["X-Linked-Size"] = str(self.server.claimed_size)
        if asked:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send(206, content[start:], headers, with_body)
        else:
            self.send(200, content, headers, with_body)

    def send(self, status: int, content: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if not with_body:
            return
        cut = self.server.cut_after
        if cut is not None and len(content) > cut:
            self.server.cut_after = None
            self.wfile.write(content[:cut])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(content)


def etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@pytest.fixture
def server(make_folder: Make) -> Iterator[TinyHub]:
    folder = make_folder(name="served")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle that nobody asks for")
    (folder / "README.md").write_text("nor for this")
    hub = TinyHub(folder)
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
    thread.start()
    yield hub
    hub.shutdown()
    hub.server_close()
    thread.join()


class RecordedProgress:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, label: str, done: int, total: int) -> None:
        self.calls.append((label, done, total))


@pytest.fixture
def hub(server: TinyHub, tmp_path: Path) -> Hub:
    return Hub(server.address, tmp_path / "cache")


def test_a_model_comes_down_with_progress(hub: Hub, server: TinyHub, capfd: pytest.CaptureFixture[str]) -> None:
    progress = RecordedProgress()
    folder = hub.fetch(REPO, None, progress, offline=False)
    assert inspect_checkpoint(folder).parameters == inspect_checkpoint(server.folder).parameters
    done = [done for _, done, _ in progress.calls]
    total = sum((server.folder / path.name).stat().st_size for path in folder.iterdir())
    assert {(label, whole) for label, _, whole in progress.calls} == {(f"Downloading {REPO}", total)}
    assert done == sorted(done) and done[-1] == total
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    }
    assert not any("harnesses" in path for _, path, _ in server.requests)
    assert capfd.readouterr() == ("", "")


@each_row("revision", [None, "main", COMMIT])
def test_a_cached_model_needs_no_server(tmp_path: Path, server: TinyHub, revision: str | None) -> None:
    hub = Hub(server.address, tmp_path / f"cache for {revision}")
    folder = hub.fetch(REPO, revision, RecordedProgress(), offline=False)
    server.requests.clear()
    assert hub.fetch(REPO, revision, RecordedProgress(), offline=True) == folder
    assert hub.cached(REPO, revision) == folder
    assert server.requests == []


def test_a_cut_connection_goes_on_where_it_stopped(hub: Hub, server: TinyHub) -> None:
    """The library keeps what came in pieces of 10 MB, so the file must be larger than that."""
    weights = load_file(server.folder / "model.safetensors")
    save_file(weights | {"unused": np.zeros(5_000_000, np.float32)}, server.folder / "model.safetensors")
    server.cut_after = 15_000_000
    folder = hub.fetch(REPO, COMMIT, RecordedProgress(), offline=False)
    assert inspect_checkpoint(folder).parameters == inspect_checkpoint(server.folder).parameters
    first, second = server.sent("model.safetensors")
    assert first is None and second is not None and second.startswith("bytes=")
    assert int(second.removeprefix("bytes=").rstrip("-")) > 10_000_000


def test_an_interrupted_download_keeps_what_is_complete(hub: Hub, server: TinyHub) -> None:
    def interrupt(label: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.fetch(REPO, COMMIT, interrupt, offline=False)
    assert hub.cached(REPO, COMMIT) is None
    hub.fetch(REPO, COMMIT, RecordedProgress(), offline=False)
    assert len(server.sent("tokenizer.json")) == 1


def test_a_damaged_file_that_was_deleted_comes_again(hub: Hub) -> None:
    folder = hub.fetch(REPO, COMMIT, RecordedProgress(), offline=False)
    weights = (folder / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(SetupError, match=f"delete {weights} and download it again"):
        inspect_checkpoint(folder)
    weights.unlink()
    inspect_checkpoint(hub.fetch(REPO, COMMIT, RecordedProgress(), offline=False))


@each_row(
    ("refusal", "words"),
    [
        ((404, "RepoNotFound"), "there is no model org/tiny at http://127.0.0.1"),
        ((401, ""), "does not let you have org/tiny (HTTP 401)"),
        ((403, "GatedRepo"), "org/tiny is gated: accept its terms"),
        ((404, "RevisionNotFound"), "org/tiny has no revision 'nightly'"),
        ((403, ""), "does not let you have org/tiny (HTTP 403)"),
        ((404, ""), "does not know org/tiny (HTTP 404)"),
        ((500, ""), "can't give org/tiny now (HTTP 500)"),
    ],
)
def test_what_the_hub_refuses(hub: Hub, server: TinyHub, refusal: tuple[int, str], words: str) -> None:
    server.refusal = refusal
    with pytest.raises(SetupError) as caught:
        hub.fetch(REPO, "nightly", RecordedProgress(), offline=False)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, HubUnreachable) == (refusal[0] == 500)


def test_no_safetensors_on_the_hub(hub: Hub, server: TinyHub) -> None:
    (server.folder / "model.safetensors").unlink()
    with pytest.raises(SetupError, match=r"lacks config.json, tokenizer.json or safetensors weights"):
        hub.fetch(REPO, COMMIT, RecordedProgress(), offline=False)
    assert server.sent("pytorch_model.bin") == []


def test_no_room_on_the_disk(hub: Hub, server: TinyHub) -> None:
    server.claimed_size = 10**18
    with pytest.raises(SetupError, match=r"needs 1000000000.. GB but only .* GB are free"):
        hub.fetch(REPO, COMMIT, RecordedProgress(), offline=False)
    assert server.sent("model.safetensors") == []


def test_a_folder_that_cannot_be_written(server: TinyHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="can't be stored"):
        Hub(server.address, tmp_path / "file").fetch(REPO, COMMIT, RecordedProgress(), offline=False)


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def forbidden(*arguments: object) -> None:
    raise AssertionError("the library takes 23 s to find that a hub can't be reached")


def test_an_unreachable_hub_is_known_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "_download", forbidden)
    with pytest.raises(HubUnreachable, match=r"org/tiny is not on this machine .* check the network"):
        Hub(closed_port(), tmp_path).fetch(REPO, None, RecordedProgress(), offline=False)


@each_row("endpoint", ["nonsense", "ftp://127.0.0.1", "http://[", "http://no-such-host.invalid"])
def test_an_endpoint_that_is_none(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(HubUnreachable, match="HF_ENDPOINT"):
        Hub(endpoint, tmp_path).fetch(REPO, None, RecordedProgress(), offline=False)


def test_a_silent_hub_costs_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a firewall that drops everything: the connection is open and no answer comes. The probe alone waits."""
    assert PROBE_TIMEOUT_S <= 3
    monkeypatch.setattr("core.checkpoints.hub.PROBE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(Hub, "_download", forbidden)
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(HubUnreachable):
        Hub(f"http://127.0.0.1:{deaf.getsockname()[1]}", tmp_path).fetch(REPO, None, RecordedProgress(), offline=False)


def test_offline_asks_nobody(hub: Hub, server: TinyHub) -> None:
    with pytest.raises(HubUnreachable, match="Qwentin is offline"):
        hub.fetch(REPO, None, RecordedProgress(), offline=True)
    assert server.requests == []


def run(code: str, **environment: str) -> str:
    """Run code in a process of its own, because the hub library reads its environment once; returns what it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    command = [sys.executable, "-c", f"from pathlib import Path; from core.checkpoints import *\n{code}"]
    done = subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_librarys_own_environment_holds(server: TinyHub, tmp_path: Path) -> None:
    fetch = (
        f"found = open_checkpoint({REPO!r}, cache=Path('unused'), progress=lambda *_: None)\n"
        f"print(found.name, found.family)"
    )
    home = str(tmp_path / "home")
    assert run(fetch, HF_HOME=home, HF_ENDPOINT=server.address) == "org/tiny qwen2\n"
    assert server.requests
    server.requests.clear()
    assert run(fetch, HF_HOME=home, HF_ENDPOINT=server.address) == "org/tiny qwen2\n"
    assert server.requests == []
    missing = (
        f"try: open_checkpoint('{REPO}@other', cache=Path('unused'), progress=print)\n"
        "except HubUnreachable as error: print(error)"
    )
    assert "is offline" in run(missing, HF_HOME=home, HF_ENDPOINT=server.address, HF_HUB_OFFLINE="1")


@each_row(
    ("model", "expected"),
    [
        ("org/name", ("org/name", None)),
        ("org/name@v1.0", ("org/name", "v1.0")),
        ("Qwen/Qwen2.5-0.5B-Instruct", ("Qwen/Qwen2.5-0.5B-Instruct", "7ae557604adf67be50417f59c2c2f167def9a775")),
        ("Qwen/Qwen2.5-1.5B-Instruct@main", ("Qwen/Qwen2.5-1.5B-Instruct", "main")),
    ],
)
def test_names_on_the_hub(model: str, expected: tuple[str, str | None]) -> None:
    assert parse_hub_name(model) == expected
    assert all(len(commit) == 40 for commit in PINNED_REVISIONS.values())


@each_row("model", ["", "qwen", "./none", "a/b/c", "org/name@", "/nowhere/model.gguf", "org/x.gguf", "a b/c"])
def test_names_of_no_model(model: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="there is no model"):
        open_checkpoint(model, cache=tmp_path, progress=RecordedProgress())
