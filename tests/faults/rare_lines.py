"""Single lines whose loss shows in rare cases alone: see single_lines.py, whose table goes on here."""

from tests.faults.changes import Change, instead_of_call, instead_of_value, without_statement

RARE_LINES: tuple[tuple[str, str, Change], ...] = (
    (
        "text that was masked is taken for what was shown",
        "tests/core/filters/test_stream_guard.py::test_whatever_the_pieces_are_the_same_is_shown",
        Change("core/filters/stream_guard.py::StreamGuard._release", instead_of_value("2 * WINDOW_CHARACTERS", "0")),
    ),
    (
        "ordinary words behind a mask are not read with it",
        "tests/core/filters/test_stream_guard.py::test_whatever_the_pieces_are_the_same_is_shown",
        Change(
            "core/filters/stream_guard.py::StreamGuard._release_ordinary",
            instead_of_value("self._uncertain_characters > 0", "False"),
        ),
    ),
    (
        "letters are released one by one",
        "tests/core/filters/test_stream_guard.py::test_whatever_the_pieces_are_the_same_is_shown",
        Change("core/filters/stream_guard.py::StreamGuard._release_ordinary", instead_of_call("search", "None")),
    ),
    (
        "more is held back than may be",
        "tests/core/filters/test_stream_guard.py::test_whatever_the_pieces_are_the_same_is_shown",
        Change(
            "core/filters/stream_guard.py::StreamGuard._release",
            instead_of_value("end < len(text) - WINDOW_CHARACTERS", "False"),
        ),
    ),
    (
        "a refusal that is shown holds up repeats",
        "tests/core/inbound/test_command_floods.py::test_a_refusal_that_is_not_shown_yet_holds_up_no_repeat",
        Change(
            "core/inbound/command_floods.py::_stored", instead_of_value("reply.outcome is not State.REFUSED", "True")
        ),
    ),
    (
        "an edit replaces another message's text",
        "tests/storage/test_inbox.py::test_which_questions_may_be_edited",
        Change("storage/inbox.py::_EDITABLE", instead_of_value("~_merged_here", "True")),
    ),
    (
        "a deletion takes another message's text along",
        "tests/storage/test_inbox.py::test_which_questions_may_be_edited",
        Change("storage/inbox.py::_QUESTION", instead_of_value("~_merged_here", "True")),
    ),
    (
        "a retry stops the answer that it became",
        "tests/core/commands/test_executor.py::test_a_retry_that_became_an_answer_by_a_lost_commit_is_not_this_workers",
        Change(
            "core/commands/executor.py::CommandExecutor._already_done",
            instead_of_value("current.attempt != reply.attempt", "False"),
        ),
    ),
    (
        "a question that another reply is about is pruned",
        "tests/storage/test_bookkeeping.py::test_a_question_that_another_reply_is_about_stays",
        Change(
            "storage/bookkeeping.py::_DELETE_QUESTIONS",
            instead_of_value("~exists().where(replies.c.question_id == messages.c.id)", "True"),
        ),
    ),
    (
        "what was cancelled is suspected for ever",
        "tests/core/dispatch/test_engine_death.py::test_what_was_cancelled_while_it_waited_holds_up_nobody_for_long",
        Change("core/dispatch/dispatcher.py::Dispatcher.run_lane", without_statement(calling="forget_all")),
    ),
    (
        "a tap that failed counts",
        "tests/core/commands/test_stale_presses.py::test_of_two_taps_at_once_the_second_counts_no_more",
        Change("core/commands/buttons.py::ButtonActions._repeat", without_statement(calling="remove")),
    ),
    (
        "a stop after the last word is not shown",
        "tests/core/dispatch/test_withdrawal.py::test_a_stop_after_the_last_word_is_shown",
        Change(
            "core/dispatch/answer_runner.py::_store_stopped",
            instead_of_value("(await tx.replies.get(reply.id)).outcome is State.STOPPED", "False"),
        ),
    ),
    (
        "what breaks a rule of the database is tried for ever",
        "tests/storage/test_storage_errors.py::test_what_is_our_mistake_is_not_called_trouble",
        Change("storage/store.py::DatabaseStore.begin", instead_of_call("unstorable_reason", "None")),
    ),
)
