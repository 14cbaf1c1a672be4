"""The tests are tested: the bot is made worse in twelve ways, and a test must see each. `make mutants`.

Each change is made in a copy of the tree. One that does not fit any more is a mistake here, and ends the run.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.database import ROOT

PATIENCE = 120
"""Seconds that a test may take."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Text of a file that stands there once, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is made worse, which test must fail, and how."""

    name: str
    test: str
    edits: tuple[Edit, ...]


MUTANTS = (
    Mutant(
        "the offset is advanced before the commit",
        "tests/bots/telegram_bot/test_telegram_faults.py::test_nothing_is_confirmed_before_it_is_stored",
        (
            Edit(
                "bots/telegram_bot/long_polling.py",
                "            await self._take_all(gathered.groups)\n",
                "            self._confirm(updates)\n"
                "            asyncio.ensure_future(self._take_all(gathered.groups))\n",
            ),
        ),
    ),
    Mutant(
        "two answers of a conversation may be active",
        "tests/storage/test_replies.py::test_the_database_itself_refuses_a_second_active_answer",
        (
            Edit(
                "alembic/versions/0001_first_tables.py",
                '"one_active_answer", ["chat_id"], unique=True,',
                '"one_active_answer", ["chat_id"], unique=False,',
            ),
        ),
    ),
    Mutant(
        "a transaction begins without the lock",
        "tests/storage/test_database.py::test_a_transaction_that_only_reads_holds_the_lock_already",
        (Edit("storage/database.py", '"BEGIN IMMEDIATE"', '"BEGIN"'),),
    ),
    Mutant(
        "each try has a nonce of its own",
        "tests/core/delivery/test_nonces.py::test_sends_that_are_known_again_are_repeated_as_often_as_it_takes",
        (
            Edit(
                "core/delivery/streaming_message.py",
                "            return self._chunks[index].nonce\n",
                '            return f"{self._chunks[index].nonce}-{os.urandom(2).hex()}"\n',
            ),
        ),
    ),
    Mutant(
        "mentions are allowed",
        "tests/bots/discord_bot/test_discord_sending.py::test_words_of_people_are_no_markup",
        (Edit("bots/discord_bot/api.py", "        allowed_mentions=NOBODY,\n", ""),),
    ),
    Mutant(
        "control tokens are read in what people write",
        "tests/core/llm/test_tokenizer.py::test_nobody_can_forge_a_turn",
        (Edit("core/llm/tokenizer.py", "sanitize_control_tokens=True", "sanitize_control_tokens=False"),),
    ),
    Mutant(
        "the fence is never looked at",
        "tests/storage/test_replies.py::test_a_stale_attempt_changes_nothing",
        (
            Edit(
                "storage/fence.py",
                "ReplyRow.id == reply.id, ReplyRow.attempt == reply.attempt",
                "ReplyRow.id == reply.id",
            ),
        ),
    ),
    Mutant(
        "secrets stay in the log",
        "tests/bots/test_logging_setup.py::test_secrets_are_replaced",
        (
            Edit(
                "bots/logging_setup.py",
                'return _KEYS.sub(r"\\1[secret]", _TOKENS.sub("[secret]", line))',
                "return super().format(record)",
            ),
        ),
    ),
    Mutant(
        "only the final text is filtered",
        "tests/faults/test_previews.py::test_no_preview_shows_what_may_become_a_blocked_word",
        (
            Edit(
                "core/answering/assistant.py",
                "                live.write(released)\n",
                "                live.write(piece)\n",
            ),
            Edit("core/delivery/streaming_message.py", " and self._pass(parts) else []", " else []"),
        ),
    ),
    Mutant(
        "what is refused for good is tried again",
        "tests/bots/telegram_bot/test_telegram_errors.py::test_every_failure_has_its_class",
        (Edit("bots/telegram_bot/errors.py", "else Unacceptable()", "else Ambiguous()"),),
    ),
    Mutant(
        "an intent is not stored before the send",
        "tests/core/delivery/test_streaming_message.py::test_an_intent_is_stored_before_the_send",
        (
            Edit(
                "core/delivery/streaming_message.py",
                "        await self._stored(lambda tx: tx.messages.add_intent(self._reply, nonce, "
                'instead_of=instead_of), "intending")\n',
                "",
            ),
        ),
    ),
    Mutant(
        "logins are not counted",
        "tests/bots/discord_bot/test_identify_limits.py::test_counted_in_the_database",
        (
            Edit(
                "bots/discord_bot/identify_limits.py",
                "            await tx.accounts.record_login(self._platform, self._bot, self._now())\n",
                "            pass\n",
            ),
        ),
    ),
)


def misfit(mutant: Mutant, root: Path = ROOT) -> str:
    """Why it can't be made; "" where it can."""
    for edit in mutant.edits:
        if (count := (root / edit.file).read_text("utf-8").count(edit.old)) != 1:
            return f"{mutant.name}: {edit.old!r} stands {count} times in {edit.file}"
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
    for edit in mutant.edits:
        text = (copy / edit.file).read_text("utf-8")
        (copy / edit.file).write_text(_imported(edit, text.replace(edit.old, edit.new)), "utf-8")
    try:
        caught = not _passes(copy, mutant.test)
    finally:
        for edit in mutant.edits:
            shutil.copy(ROOT / edit.file, copy / edit.file)
    _say(f"{'caught' if caught else 'MISSED'}: {mutant.name} ({mutant.test})")
    return caught


def _imported(edit: Edit, text: str) -> str:
    """An edit may need a module that its file does not have."""
    return text.replace("import asyncio\n", "import asyncio\nimport os\n", 1) if "os." in edit.new else text


def _passes(copy: Path, *tests: str) -> bool:
    """Whether they do; a test that can't even be found is a mistake here."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        sys.exit(f"{tests}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
