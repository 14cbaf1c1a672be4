"""Where an answer goes, for every kind of interaction; and how tokens are kept."""

from discord.utils import time_snowflake
from hypothesis import given
from hypothesis import strategies as st

from bots.discord_bot.interaction_token import (
    VALID_FOR_MS,
    InteractionToken,
    Route,
    choose_route,
    decode_token,
    sent_at,
)
from tests.tables import each_row

TOKEN = "aW50ZXJhY3Rpb246MTI.abc_-="


@given(
    st.builds(
        InteractionToken,
        st.integers(min_value=0, max_value=2**63),
        st.from_regex(r"[!-~]{1,300}", fullmatch=True),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    )
)
def test_what_is_kept_comes_back(token: InteractionToken) -> None:
    assert decode_token(token.encode()) == token


@each_row("text", ["", "m:5", "5:x:token", "5:h:", "h:5:token", "5:hp token"])
def test_what_is_no_token(text: str) -> None:
    assert decode_token(text) is None


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(InteractionToken(1, TOKEN))


def test_a_token_is_good_for_less_than_discord_takes_it() -> None:
    import datetime

    made = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
    token, at = InteractionToken(time_snowflake(made), TOKEN), int(made.timestamp() * 1000)
    assert sent_at(token.interaction_id) == at
    assert token.is_valid(at) and token.is_valid(at + VALID_FOR_MS - 1)
    assert not token.is_valid(at + VALID_FOR_MS) and VALID_FOR_MS < 15 * 60 * 1000


WAYS = [
    # hidden?  promised hidden, pressed, outside  good  first message    further messages
    (False, (False, False, False), True, Route.ORIGINAL, Route.CHANNEL),  # /ask, /temp in a server
    (False, (False, False, True), True, Route.ORIGINAL, Route.FOLLOWUP),  # where the bot can't write
    (True, (True, False, False), True, Route.ORIGINAL, Route.FOLLOWUP),  # /help, /ask private
    (True, (True, False, True), True, Route.ORIGINAL, Route.FOLLOWUP),  # of a user install
    (False, (True, False, False), True, Route.CHANNEL, Route.CHANNEL),  # /retry, whose answer everybody sees
    (False, (True, False, True), True, Route.FOLLOWUP, Route.FOLLOWUP),
    (True, (True, True, False), True, Route.FOLLOWUP, Route.FOLLOWUP),  # what a press is told
    (False, (True, True, False), True, Route.CHANNEL, Route.CHANNEL),  # the Retry button
    (False, (True, True, True), True, Route.FOLLOWUP, Route.FOLLOWUP),
    (False, (False, False, False), False, Route.CHANNEL, Route.CHANNEL),  # fifteen minutes later
    (False, (True, False, False), False, Route.CHANNEL, Route.CHANNEL),
    (True, (True, False, False), False, Route.DIRECT, Route.DIRECT),
    (False, (False, False, True), False, Route.DIRECT, Route.DIRECT),
    (True, (True, True, False), False, Route.DIRECT, Route.DIRECT),
]


@each_row(("hidden", "kind", "good", "first", "further"), WAYS)
def test_every_way(hidden: bool, kind: tuple[bool, bool, bool], good: bool, first: Route, further: Route) -> None:
    token = InteractionToken(1, TOKEN, *kind)
    assert [choose_route(token, index, valid=good, hidden=hidden) for index in (0, 1, 2)] == [first, further, further]


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 9))
def test_what_is_hidden_never_goes_to_a_channel(
    promised: bool, pressed: bool, outside: bool, good: bool, hidden: bool, index: int
) -> None:
    found = choose_route(InteractionToken(1, TOKEN, promised, pressed, outside), index, valid=good, hidden=hidden)
    if hidden:
        assert found is not Route.CHANNEL and not (found is Route.ORIGINAL and not promised)
    if outside:
        assert found is not Route.CHANNEL
    if not good:
        assert found in (Route.CHANNEL, Route.DIRECT)


def test_messages_are_answered_in_their_channel() -> None:
    assert {choose_route(None, index, valid=False, hidden=False) for index in range(3)} == {Route.CHANNEL}
    assert {choose_route(None, index, valid=False, hidden=True) for index in range(3)} == {Route.DIRECT}
