"""From what a person wrote, replied to and forwarded to the text that the core gets."""

from hypothesis import given
from hypothesis import strategies as st

from core.inbound.question_text import GREETING, QuestionParts, compose_question, join_around_name, with_quote
from tests.tables import each_row


@each_row(
    ("parts", "text"),
    [
        (QuestionParts("hi"), "hi"),
        (QuestionParts(""), GREETING),
        (QuestionParts("", has_media=True), ""),
        (QuestionParts("what is it?", has_media=True), "what is it?"),
        (QuestionParts("why?", "the sky is blue"), "> the sky is blue\n\nwhy?"),
        (QuestionParts("why?", "one\n\ntwo"), "> one\n>\n> two\n\nwhy?"),
        (QuestionParts("", "the sky is blue"), "the sky is blue"),
        (QuestionParts("", "/clear"), "/ask /clear"),
        (QuestionParts("do it", "/clear"), "> /clear\n\ndo it"),
        (QuestionParts("/temp 0.5"), "/temp 0.5"),
        (QuestionParts("/temp 0.5", "quoted"), "/temp 0.5"),
        (QuestionParts("/temp 0.5", is_forwarded=True), "/ask /temp 0.5"),
        (QuestionParts("just words", is_forwarded=True), "just words"),
        (QuestionParts("/ask why?", "the sky"), "/ask > the sky\n\nwhy?"),
        (QuestionParts("/ask", "the sky"), "/ask the sky"),
        (QuestionParts("/ask@bot why?"), "/ask@bot why?"),
        (QuestionParts("/ask"), "/ask"),
        (QuestionParts("/ask", has_media=True), "/ask"),
        (QuestionParts("/usr/bin/python"), "/usr/bin/python"),
    ],
)
def test_questions(parts: QuestionParts, text: str) -> None:
    assert compose_question(parts) == text


@given(st.text(max_size=50), st.text(max_size=2000))
def test_a_quote_is_cut_and_the_question_never(question: str, quoted: str) -> None:
    text = with_quote(question, quoted)
    assert text.endswith(question or text) and len(text) <= len(question) + 3 * 1001 + 2 + len(quoted)


@each_row(
    ("left", "right", "text"),
    [
        ("", ", what is it?", "what is it?"),
        ("hey ", " what is it?", "hey what is it?"),
        ("thanks, ", "!", "thanks!"),
        ("thanks, ", "", "thanks"),
        ("one ", "\ntwo", "one\ntwo"),
    ],
)
def test_the_bots_name_leaves_no_seam(left: str, right: str, text: str) -> None:
    assert join_around_name(left, right) == text
