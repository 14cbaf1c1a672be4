"""No secret in any line of any log, at any level."""

import logging

import pytest

from bots.logging_setup import set_up_logging
from tests.tables import each_row

TOKEN = "1234567890:AAF-abcdefghijklmnopqrstuvwxyz012345"
DISCORD = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"


def leak() -> None:
    raise RuntimeError(f"https://api.telegram.org/bot{TOKEN}/getMe failed")


@each_row("secret", [TOKEN, DISCORD, "hunter2hunter2", "hf_" + "a" * 34])
def test_secrets_are_replaced(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        set_up_logging("DEBUG", ["hunter2hunter2", ""])
        log = logging.getLogger("some.library")
        log.debug("request to %s", f"https://x/bot{secret}/send")
        log.error("token=%r", secret)
        try:
            leak()
        except RuntimeError:
            log.exception("with a traceback")
    finally:
        logging.getLogger().handlers[:] = before
    printed = capsys.readouterr().err
    assert printed.count("[secret]") >= 3 and "with a traceback" in printed
    assert secret not in printed and TOKEN not in printed


def test_chatty_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        set_up_logging("DEBUG", [])
        logging.getLogger("httpx").info("GET https://...")
        logging.getLogger("markdown_it").debug("what somebody wrote")
    finally:
        logging.getLogger().handlers[:] = before
    assert capsys.readouterr().err == ""
