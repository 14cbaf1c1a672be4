"""The tests are tested: the bot is made worse in many ways, and a test must see each. `make mutants`.

Each change is made in a copy of the tree, and names what it changes (changes.py). One that does not fit any more is a
mistake here, and ends the run.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.database import ROOT
from tests.faults.changes import (
    Change,
    Misfit,
    instead_of_call,
    instead_of_value,
    keyword,
    returning,
    without_comparison,
    without_statement,
)
from tests.faults.rare_lines import RARE_LINES
from tests.faults.single_lines import SINGLE_LINES

TEST_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is made worse, which test must fail, and how."""

    name: str
    test: str
    changes: tuple[Change, ...]


MUTANTS = (
    Mutant(
        "the offset is advanced before the commit",
        "tests/bots/telegram_bot/test_telegram_faults.py::test_nothing_is_confirmed_before_it_is_stored",
        (Change("bots/telegram_bot/adapter.py::TelegramBot.events", without_statement(calling="append")),),
    ),
    Mutant(
        "two answers of a conversation may be active",
        "tests/storage/test_replies.py::test_the_database_itself_refuses_a_second_active_answer",
        (
            Change(
                "alembic/versions/0001_first_tables.py::upgrade",
                keyword("unique", "False", beside="one_active_answer"),
            ),
        ),
    ),
    Mutant(
        "a transaction begins without the lock",
        "tests/storage/test_database.py::test_a_transaction_that_only_reads_holds_the_lock_already",
        (Change("storage/sqlite.py::SqliteDatabase.transaction", instead_of_value("'BEGIN IMMEDIATE'", "'BEGIN'")),),
    ),
    Mutant(
        "each try has a nonce of its own",
        "tests/core/delivery/test_nonces.py::test_sends_that_are_known_again_are_repeated_as_often_as_it_takes",
        (
            Change(
                "core/delivery/sent_messages.py::SentMessages.intend",
                returning("RETURNED + __import__('secrets').token_hex(2)", instead_of="before"),
            ),
        ),
    ),
    Mutant(
        "mentions are allowed",
        "tests/bots/discord_bot/test_discord_sending.py::test_words_of_people_are_no_markup",
        (Change("bots/discord_bot/api.py::payload", keyword("allowed_mentions", None)),),
    ),
    Mutant(
        "control tokens are read in what people write",
        "tests/core/llm/test_tokenizer.py::test_nobody_can_forge_a_turn",
        (Change("core/llm/tokenizer.py::Tokenizer.encode", instead_of_call("mark", "message.content")),),
    ),
    Mutant(
        "the fence is never looked at",
        "tests/storage/test_replies.py::test_a_stale_attempt_changes_nothing",
        (Change("storage/replies.py::_CURRENT", without_comparison("attempt")),),
    ),
    Mutant(
        "secrets stay in the log",
        "tests/bots/test_logging_setup.py::test_secrets_are_replaced",
        (Change("bots/logging_setup.py::RedactingFormatter.format", returning("super().format(record)")),),
    ),
    Mutant(
        "only the final text is filtered",
        "tests/faults/test_previews.py::test_no_preview_shows_what_may_become_a_blocked_word",
        (
            Change("core/answering/assistant.py::Assistant._generate", instead_of_value("released[-1]", "piece")),
            Change("core/delivery/streaming_message.py::StreamingMessage._preview", instead_of_call("allows", "True")),
        ),
    ),
    Mutant(
        "what is refused for good is tried again",
        "tests/bots/telegram_bot/test_telegram_errors.py::test_every_failure_has_its_class",
        (Change("bots/telegram_bot/errors.py::_to_refusal", instead_of_call("Unacceptable", "Ambiguous()")),),
    ),
    Mutant(
        "an intent is not stored before the send",
        "tests/core/delivery/test_streaming_message.py::test_an_intent_is_stored_before_the_send",
        (Change("core/delivery/sent_messages.py::SentMessages.intend", without_statement(calling="add_intent")),),
    ),
    Mutant(
        "logins are not counted",
        "tests/bots/discord_bot/test_identify_limits.py::test_counted_in_the_database",
        (
            Change(
                "bots/discord_bot/identify_limits.py::IdentifyLimiter.count", without_statement(calling="record_login")
            ),
        ),
    ),
    Mutant(
        "the last gate judges the first message of a split preview alone",
        "tests/core/delivery/test_streaming_message.py::test_what_the_last_gate_refuses_is_never_previewed",
        (
            Change(
                "core/delivery/streaming_message.py::StreamingMessage.allows",
                instead_of_value("await self._messages(text)", "(await self._messages(text))[:1]"),
            ),
        ),
    ),
    Mutant(
        "an old answer is not judged again",
        "tests/core/answering/test_warming.py::test_turns_that_the_filter_blocks_by_now_are_not_warmed",
        (
            Change(
                "core/answering/assistant.py::Assistant._visible_turns",
                instead_of_value("asked.blocked or answered.blocked", "asked.blocked"),
            ),
        ),
    ),
    Mutant(
        "a stranger's press is carried out",
        "tests/core/inbound/test_event_consumer.py::test_strangers_are_told_so_in_their_own_language",
        (Change("core/inbound/event_consumer.py::EventConsumer._carry_out_press", instead_of_call("admits", "True")),),
    ),
    *(Mutant(name, test, (change,)) for name, test, change in (*SINGLE_LINES, *RARE_LINES)),
)


def misfit(mutant: Mutant, root: Path = ROOT) -> str:
    """Why it can't be made; "" where it can."""
    try:
        for change in mutant.changes:
            change.applied((root / change.file).read_text("utf-8"))
    except (Misfit, OSError) as error:
        return f"{mutant.name}: {error}"
    return ""


def main() -> None:
    """All of them; the exit code is how many were not caught."""
    if misfits := [each for mutant in MUTANTS if (each := misfit(mutant))]:
        sys.exit("\n".join(misfits))
    with TemporaryDirectory(prefix="qwentin-mutants-") as name:
        copy = Path(name)
        _copied(copy)
        if not _passes(copy, *dict.fromkeys(mutant.test for mutant in MUTANTS)):
            sys.exit("the tests fail without any mutant")
        missed = sum(not _caught(copy, mutant) for mutant in MUTANTS)
    _say(f"{len(MUTANTS) - missed} of {len(MUTANTS)} caught")
    sys.exit(missed)


def _copied(copy: Path) -> None:
    """What git knows, and what it has not been told yet."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout  # fmt: skip
    for file in filter(None, listed.split("\0")):
        if (ROOT / file).is_file():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, copy / file)
    if (models := ROOT / "build" / "models").exists():
        (copy / "build").mkdir(exist_ok=True)
        (copy / "build" / "models").symlink_to(models)


def _caught(copy: Path, mutant: Mutant) -> bool:
    for change in mutant.changes:
        file = copy / change.file
        file.write_text(change.applied(file.read_text("utf-8")), "utf-8")
    try:
        caught = not _passes(copy, mutant.test)
    finally:
        for change in mutant.changes:
            shutil.copy(ROOT / change.file, copy / change.file)
    _say(f"{'caught' if caught else 'MISSED'}: {mutant.name} ({mutant.test})")
    return caught


def _passes(copy: Path, *tests: str) -> bool:
    """Whether they do; a test that can't even be found is a mistake here."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy, env=environment, capture_output=True, text=True, timeout=TEST_TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        sys.exit(f"{tests}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
