"""Who may change a conversation, and whose a question is: every case."""

from itertools import product

from core.domain.conversation import Author, ChatId, Reply, Role, fit_id
from core.domain.permissions import is_asker, may_change, may_control
from core.domain.reply_states import Lane, State
from tests.tables import each_row

ANN, BOB, CAT = (Author(id, name) for id, name in (("1", "Ann"), ("2", "Bob"), ("3", "Cat")))
PEOPLE = (ANN, BOB, CAT)


def reply(author: Author, asker: Author | None) -> Reply:
    chat = ChatId("fake", "1")
    return Reply(1, chat, False, 1, Lane.ANSWER, State.QUEUED, 0, author, "why?", "bot", "m:1", 1, asker=asker)


@each_row(
    ("private", "role", "may"),
    [
        (True, Role.MEMBER, True),
        (True, Role.ADMIN, True),
        (True, Role.OWNER, True),
        (False, Role.MEMBER, False),
        (False, Role.ADMIN, True),
        (False, Role.OWNER, True),
    ],
)
def test_in_private_everyone_changes_elsewhere_admins(private: bool, role: Role, may: bool) -> None:
    assert may_change(private, role) is may


def test_every_case_is_decided() -> None:
    assert len(list(product((True, False), Role))) == 6


@each_row(("asked", "private", "role"), list(product((True, False), (True, False), Role)))
def test_who_asked_and_who_may_change_control_an_answer(asked: bool, private: bool, role: Role) -> None:
    assert may_control(asked, private, role) is (asked or private or role is not Role.MEMBER)


@each_row(("author", "asker", "person"), list(product(PEOPLE, (None, *PEOPLE), PEOPLE)))
def test_a_question_is_its_authors_and_its_askers(author: Author, asker: Author | None, person: Author) -> None:
    theirs = person is author or person is asker
    assert is_asker(reply(author, asker), person) is theirs


def test_a_person_is_known_by_id_alone() -> None:
    assert is_asker(reply(ANN, None), Author("1", "Annie", "vi"))
    assert not is_asker(reply(ANN, None), Author("2", "Ann"))


def test_the_id_of_a_stored_reply_may_be_shortened() -> None:
    one, other = (Author("@" + "x" * 300 + end, "X") for end in "ab")
    stored = reply(one.fitted(), None)
    assert stored.author.id == fit_id(one.id) != one.id
    assert is_asker(stored, one) and is_asker(stored, one.fitted()) and not is_asker(stored, other)


def test_nobody_without_an_id_is_the_missing_asker() -> None:
    assert not is_asker(reply(ANN, None), Author("", "?"))
