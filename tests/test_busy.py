"""The runs beside busy loops: a failure counts, and no loop outlives them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from storage.database import ROOT
from tests import busy
from tests.patience import LIMIT_S
from tests.tables import each_row


@each_row(("codes", "code", "failed"), [("00", 0, "0 of 2 runs failed"), ("01", 1, "1 of 2 runs failed")])
def test_one_failure_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], codes: str, code: int,
    failed: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(busy, "LOGS", tmp_path)
    count = tmp_path / codes
    script = f"file = open({str(count)!r}, 'a+'); file.write('x'); raise SystemExit(int({codes!r}[file.tell() - 1]))"
    assert busy.main(["--runs", "2", "--loops", "1", "--", sys.executable, "-c", script]) == code
    assert failed in capsys.readouterr().out


def test_loops_end_with_the_block_however_it_ends() -> None:
    with pytest.raises(KeyboardInterrupt), busy.busy_loops(2) as loops:
        assert all(psutil.pid_exists(loop) for loop in loops)
        raise KeyboardInterrupt
    assert not any(psutil.pid_exists(loop) for loop in loops)


@pytest.mark.slow
@each_row("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_loops_end_with_their_parent(number: signal.Signals) -> None:
    code = (
        "import signal\nfrom tests.busy import busy_loops\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what runs in the background ignores it
        "with busy_loops(2) as loops:\n print(*loops, flush=True)\n input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        loops = [psutil.Process(int(loop)) for loop in parent.stdout.readline().split()]
        parent.send_signal(number)
        parent.wait(LIMIT_S)
        assert psutil.wait_procs(loops, LIMIT_S)[1] == []
