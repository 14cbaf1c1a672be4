"""Single lines that the bot must not lose: each is a guard, and the nearest test file must see that it is gone.

By area. See mutants.py, which makes them.
"""

from tests.faults.changes import (
    Change,
    instead_of_call,
    instead_of_value,
    keyword,
    returning,
    without_comparison,
    without_statement,
)

SINGLE_LINES: tuple[tuple[str, str, Change], ...] = (
    # Commands
    (
        "a member clears a group's history",
        "tests/core/commands/test_who_may.py::test_who_may_give_a_command",
        Change("core/commands/context.py::check_call", instead_of_value("command.admins_only", "False")),
    ),
    (
        "a command that sets a value only looks",
        "tests/core/inbound/test_command_floods.py::test_which_commands_only_look",
        Change("core/commands/context.py::Command.changes_nothing", instead_of_value("not argument", "True")),
    ),
    (
        "/clear ends what is asked after it",
        "tests/core/commands/test_handlers.py::test_what_ends_answers_says_which",
        Change("core/commands/handlers.py::_earlier_answers", without_comparison("id")),
    ),
    (
        "an admin's /stop cancels what others wait for",
        "tests/core/commands/test_who_may.py::test_who_may_stop",
        Change("core/commands/handlers.py::stop", instead_of_value("reply in running", "True")),
    ),
    (
        "/continue goes on beside an open answer",
        "tests/core/commands/test_handlers.py::test_what_is_open_is_not_answered_again",
        Change(
            "core/commands/handlers.py::continue_answer",
            instead_of_value("await tx.replies.open_answers(call.reply.chat)", "[]"),
        ),
    ),
    (
        "a blocked system prompt is set",
        "tests/core/commands/test_filter_dialogs.py::test_dialogs",
        Change(
            "core/commands/setting_handlers.py::change_setting",
            instead_of_value("call.filter.check(setting.value, call.rules.settings(rows).policy).blocked", "False"),
        ),
    ),
    (
        "a reset deletes nothing",
        "tests/core/commands/test_dialogs.py::test_private",
        Change("core/commands/setting_handlers.py::change_setting", without_statement(calling="delete")),
    ),
    (
        "/status tells everybody what was blocked",
        "tests/core/commands/test_filter_dialogs.py::test_the_owner_sees_counts_and_the_log_no_text",
        Change("core/commands/handlers.py::show_status", instead_of_value("call.role is Role.OWNER", "True")),
    ),
    (
        "what is withdrawn is shown before it is stored",
        "tests/core/commands/test_executor.py::test_what_follows_a_lost_commit_is_done",
        Change("core/commands/executor.py::CommandExecutor._execute", instead_of_call("replace", "outcome")),
    ),
    (
        "the model keeps what /clear deletes",
        "tests/core/commands/test_executor.py::test_everybody_learns_what_a_command_did",
        Change("core/commands/executor.py::CommandExecutor._follow_up", without_statement(calling="forget")),
    ),
    (
        "after /undo the answer before loses its buttons",
        "tests/core/commands/test_executor.py::test_everybody_learns_what_a_command_did",
        Change("core/commands/executor.py::CommandExecutor._follow_up", without_statement(calling="note_deleted")),
    ),
    # Overload
    (
        "what piled up counts against its author",
        "tests/core/inbound/test_admission.py::test_what_piled_up_is_held_against_no_limit_but_counts_and_an_owner_may_set_none",
        Change(
            "core/inbound/admission.py::Queue.admit",
            instead_of_value(
                "max(incoming.at - QUESTION_WINDOW_MS, away_until + 1)", "incoming.at - QUESTION_WINDOW_MS"
            ),
        ),
    ),
    (
        "whoever had room meanwhile is not told again",
        "tests/core/inbound/test_admission.py::test_whoever_had_room_meanwhile_is_told_again",
        Change("core/inbound/refusals.py::Refusals.record", instead_of_value("each.state is State.QUEUED", "False")),
    ),
    (
        "a slash command is merged into a typed one",
        "tests/core/inbound/test_command_floods.py::test_a_slash_command_is_merged_with_nothing",
        Change(
            "core/inbound/command_floods.py::CommandFloods.admit", instead_of_value("not incoming.reply_token", "True")
        ),
    ),
    (
        "a typed command is merged into a slash command",
        "tests/core/inbound/test_command_floods.py::test_a_slash_command_is_merged_with_nothing",
        Change("core/inbound/command_floods.py::_stored", instead_of_value("not reply.reply_token", "True")),
    ),
    (
        "pictures count as commands",
        "tests/core/inbound/test_command_floods.py::test_what_is_answered_at_once_is_no_command",
        Change(
            "core/inbound/command_floods.py::CommandFloods.admit",
            instead_of_value("new.state is not State.QUEUED", "False"),
        ),
    ),
    (
        "a hold has no bound",
        "tests/core/delivery/test_rate_limiter.py::test_a_hold_is_bounded_and_a_long_one_is_logged",
        Change("core/delivery/rate_limiter.py::ChatRateLimiter.hold", instead_of_call("min", "seconds")),
    ),
    (
        "a penalty shortens an earlier one",
        "tests/core/delivery/test_rate_limiter.py::test_a_penalty_holds_its_own_chat_alone",
        Change("core/delivery/rate_limiter.py::ChatRateLimiter.hold", instead_of_call("max", "self._clock() + held")),
    ),
    (
        "a command's end wakes no answer",
        "tests/core/dispatch/test_lanes.py::test_what_a_reply_held_up_goes_on_when_it_ends",
        Change(
            "core/dispatch/dispatcher.py::_MAY_GO_ON",
            instead_of_value("(Lane.NOTICE, Lane.LOOK, Lane.ANSWER)", "(Lane.NOTICE, Lane.LOOK)"),
        ),
    ),
    (
        "a second death of the engine forgets what was seen",
        "tests/core/dispatch/test_engine_death.py::test_what_is_remembered_of_an_answer",
        Change("core/dispatch/engine_deaths.py::EngineDeaths.died", instead_of_call("max", "shown")),
    ),
    (
        "no answer lives through its beginning",
        "tests/core/dispatch/test_engine_death.py::test_what_is_remembered_of_an_answer",
        Change("core/dispatch/engine_deaths.py::Probation.write", without_statement(calling="lived")),
    ),
    (
        "an answer that has lived through its beginning stays a suspect",
        "tests/core/dispatch/test_engine_death.py::test_what_is_remembered_of_an_answer",
        Change("core/dispatch/engine_deaths.py::EngineDeaths.lived", without_statement(calling="pop")),
    ),
    # Inbox
    (
        "groups are told that pictures can't be read",
        "tests/core/commands/test_dialogs.py::test_what_is_no_text_gets_a_notice_in_private_and_silence_in_groups",
        Change("core/inbound/ingest.py::_line", instead_of_value("incoming.private", "True")),
    ),
    (
        "commands of other bots are answered",
        "tests/core/commands/test_dialogs.py::test_an_unknown_command_in_a_group_is_for_somebody_else",
        Change("core/inbound/ingest.py::Ingest._owed", instead_of_value("addressed or known", "True")),
    ),
    (
        "a question is edited after its answer has begun",
        "tests/storage/test_inbox.py::test_which_questions_may_be_edited",
        Change("storage/inbox.py::_EDITABLE", without_comparison("attempt")),
    ),
    (
        "an edit replaces several messages",
        "tests/storage/test_inbox.py::test_which_questions_may_be_edited",
        Change(
            "storage/inbox.py::_EDIT",
            instead_of_value("func.length(messages.c.text) <= MAX_MESSAGE_CHARACTERS", "True"),
        ),
    ),
    (
        "old questions count against their author",
        "tests/storage/test_inbox.py::test_who_has_asked_lately",
        Change("storage/inbox.py::_ASKED", without_comparison("at")),
    ),
    (
        "people with the same id on other platforms count",
        "tests/storage/test_inbox.py::test_who_has_asked_lately",
        Change("storage/inbox.py::SqlInbox.queue_load", instead_of_value("(platform, author) in authors", "True")),
    ),
    (
        "a chat that was left stays closed",
        "tests/storage/test_chats.py::test_a_chat_that_is_closed_drops_its_queue_and_keeps_its_data",
        Change("storage/inbox.py::SqlInbox._chats", without_statement(calling="execute")),
    ),
    (
        "what is pruned is answered again",
        "tests/storage/test_bookkeeping.py::test_what_is_done_is_deleted_and_turns_stay",
        Change("storage/inbox.py::SqlInbox.stored_keys", instead_of_value("not self._handled.is_empty", "False")),
    ),
    (
        "hashes of messages have no key",
        "tests/storage/test_bookkeeping.py::test_who_has_the_hashes_alone_can_not_try_messages",
        Change("storage/handled.py::_digest", keyword("key", None)),
    ),
    (
        "what is open is pruned",
        "tests/storage/test_bookkeeping.py::test_what_is_open_or_new_stays_whatever_its_neighbours_are",
        Change("storage/bookkeeping.py::_DONE", instead_of_call("not_in", "True")),
    ),
    (
        "what is new is pruned",
        "tests/storage/test_bookkeeping.py::test_what_is_open_or_new_stays_whatever_its_neighbours_are",
        Change(
            "storage/bookkeeping.py::_DONE",
            instead_of_value("replies.c.updated_at < bindparam('before')", "bindparam('before') > 0"),
        ),
    ),
    (
        "turns are pruned",
        "tests/storage/test_bookkeeping.py::test_what_is_done_is_deleted_and_turns_stay",
        Change(
            "storage/bookkeeping.py::_DELETE_QUESTIONS",
            instead_of_value("~exists().where(_answer.c.reply_to == messages.c.id)", "True"),
        ),
    ),
    # Presses
    (
        "a button works under any message",
        "tests/core/commands/test_buttons.py::test_a_forged_or_foreign_press_changes_nothing",
        Change(
            "core/commands/buttons.py::_pressed_answer",
            instead_of_value("press.message_id not in [chunk.message_id for chunk in reply.chunks]", "False"),
        ),
    ),
    (
        "everybody stops answers by a button",
        "tests/core/commands/test_buttons.py::test_only_the_asker_and_admins_may_stop",
        Change(
            "core/commands/buttons.py::ButtonActions._stop",
            instead_of_value("await self._may_control(press, asked=is_asker(reply, press.author))", "True"),
        ),
    ),
    (
        "a button repeats beside an open answer",
        "tests/core/commands/test_stale_presses.py::test_nothing_is_repeated_while_an_answer_is_open",
        Change("core/commands/buttons.py::ButtonActions._repeat", instead_of_value("is_busy", "False")),
    ),
    (
        "a second tap repeats again",
        "tests/core/commands/test_stale_presses.py::test_a_second_tap_counts_no_more_while_the_first_waits",
        Change(
            "core/commands/buttons.py::ButtonActions._repeat", instead_of_value("reply.id in self._repeated", "False")
        ),
    ),
    (
        "a panel that is out of date sets",
        "tests/core/commands/test_buttons.py::test_a_panel_changes_settings_and_shows_them",
        Change(
            "core/commands/buttons.py::ButtonActions._change",
            instead_of_value("setting_revision(press.chat, settings, name) == revision", "True"),
        ),
    ),
    (
        "what follows a button's text is ignored",
        "tests/core/commands/test_stale_presses.py::test_what_no_button_of_ours_carries",
        Change(
            "core/commands/button_payloads.py::decode_payload", instead_of_value("_ACTION.fullmatch", "_ACTION.match")
        ),
    ),
    (
        "an answer that is being sent is taken for a stub",
        "tests/core/commands/test_buttons.py::test_a_placeholder_that_nobody_knows_goes",
        Change(
            "core/commands/buttons.py::ButtonActions._stop", instead_of_value("is_stored or is_sending", "is_stored")
        ),
    ),
    # The filter's stream
    (
        "a blocked stream goes on",
        "tests/core/filters/test_stream_guard.py::test_a_slur_ends_the_answer",
        Change("core/filters/stream_guard.py::StreamGuard.feed", instead_of_value("self.blocked", "False")),
    ),
    (
        "a blocked stream shows its end",
        "tests/core/filters/test_stream_guard.py::test_a_slur_ends_the_answer",
        Change("core/filters/stream_guard.py::StreamGuard.finish", instead_of_value("self.blocked", "False")),
    ),
    (
        "ordinary words are not looked up",
        "tests/core/filters/test_stream_guard.py::test_nothing_blocked_is_ever_shown",
        Change("core/filters/stream_guard.py::StreamGuard._release_ordinary", instead_of_call("any", "False")),
    ),
    (
        "what a later word would lift is masked",
        "tests/core/filters/test_stream_guard.py::test_harmless_text_is_not_changed",
        Change("core/filters/stream_guard.py::StreamGuard._decided_end", returning("end")),
    ),
    # Delivery
    (
        "a send that nobody heard of leaves no doubt",
        "tests/core/delivery/test_drafts.py::test_where_nobody_knows_a_notice_says_so_and_the_text_shows_once",
        Change(
            "core/delivery/streaming_message.py::StreamingMessage._send",
            instead_of_value("state.doubtful or self._sent.is_whole(index)", "False"),
        ),
    ),
    (
        "a refused send leaves a doubt",
        "tests/core/delivery/test_drafts.py::test_of_what_was_certainly_not_taken_nobody_is_in_doubt_after_a_crash",
        Change("core/delivery/streaming_message.py::StreamingMessage._send", without_statement(calling="remove")),
    ),
    (
        "a retry inherits doubts",
        "tests/core/delivery/test_drafts.py::test_also_after_a_crash_and_a_retry_shows_its_answer_there",
        Change("core/delivery/sent_messages.py::SentMessages._is", returning("f'-{kind}-' in nonce")),
    ),
    (
        "a crash forgets that the thread is closed",
        "tests/core/delivery/test_closed_threads.py::test_after_a_crash_it_goes_on_outside",
        Change("core/delivery/sent_messages.py::SentMessages.__init__", instead_of_call("any", "False")),
    ),
    (
        "nothing outside a thread is known as that",
        "tests/core/delivery/test_closed_threads.py::test_after_a_crash_it_goes_on_outside",
        Change(
            "core/delivery/sent_messages.py::SentMessages.intend",
            instead_of_value("ELSEWHERE if self.is_elsewhere else ''", "''"),
        ),
    ),
    (
        "messages out of reach stand in two places",
        "tests/core/delivery/test_nonces.py::test_a_message_that_is_out_of_reach_takes_the_others_along",
        Change("core/delivery/sent_messages.py::SentMessages.replace", instead_of_call("isinstance", "False")),
    ),
    (
        "previews shrink",
        "tests/core/delivery/test_nonces.py::test_previews_show_no_less_than_people_have_seen",
        Change(
            "core/delivery/streaming_message.py::StreamingMessage._preview",
            instead_of_value("len(text) < self.shown_characters", "False"),
        ),
    ),
    (
        "the letters of formulas are not judged",
        "tests/core/delivery/test_final_check_on_platforms.py::test_the_letters_of_formulas_are_judged",
        Change(
            "core/delivery/streaming_message.py::StreamingMessage.allows",
            instead_of_value("(each.text, each.hidden_text)", "(each.text,)"),
        ),
    ),
    (
        "what was taken back keeps its buttons",
        "tests/core/dispatch/test_left_buttons.py::test_what_is_taken_back_loses_its_buttons",
        Change("core/dispatch/reply_runner.py::TAKING_BACK", instead_of_value("('clear', 'undo')", "()")),
    ),
    (
        "what a process that died left keeps its buttons",
        "tests/core/dispatch/test_left_buttons.py::test_what_the_last_process_has_left",
        Change("core/dispatch/recovery.py::ReplyRecovery.serve", without_statement(calling="superseded")),
    ),
    (
        "buttons that a busy platform did not take stay",
        "tests/core/dispatch/test_left_buttons.py::test_what_a_platform_does_not_take_is_tried_again",
        Change("core/delivery/button_cleanup.py::MAX_TRIES", instead_of_value("5", "1")),
    ),
)
