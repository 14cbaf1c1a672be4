"""What a person's machine shows of the bot's files to its other users: nothing."""

import logging
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from bots.private_files import PRIVATE_UMASK, make_private_folder
from core.domain.errors import SetupError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="modes say nothing here")
def test_files_are_their_owners_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, env, own = tmp_path / "a" / "data", tmp_path / ".env", tmp_path / "a" / "data" / "mine.txt"
    data.mkdir(parents=True)
    old = [data / name for name in ("qwentin.db", "qwentin.db-wal", "qwentin.db.1a.bak", "console_history")]
    for file in (*old, env, own):
        file.write_text("words")
        file.chmod(0o644)
    data.chmod(0o755)
    before = os.umask(0o022)
    try:
        with caplog.at_level(logging.INFO):
            make_private_folder(data, [env, tmp_path / "missing"])
        sqlite3.connect(data / "new.db").close()
        assert mode(data / "new.db") == 0o600, "what is made from now on"
        make_private_folder(data, [env])
    finally:
        assert os.umask(before) == PRIVATE_UMASK
    assert mode(data) == 0o700 and [mode(file) for file in (*old, env)] == [0o600] * 5
    assert mode(own) == 0o644, "not ours"
    assert len(caplog.messages) == 6 and all("is yours alone" in line for line in caplog.messages), "once each"
    with pytest.raises(SetupError, match=r"can't be made: Not a directory\. Name another folder"):
        make_private_folder(env / "data")
