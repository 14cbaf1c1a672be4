"""Post-processing gives the same answer however the model's text is cut into pieces."""

from hypothesis import given
from hypothesis import strategies as st

from core.answering.postprocess import PostProcessor, loop_length
from tests.tables import each_row


def run(pieces: list[str], names: tuple[str, ...] = ()) -> str:
    """The answer that is made of these pieces."""
    output, text = PostProcessor(names), ""
    for piece in pieces:
        text += output.feed(piece)
        if output.ended:
            break
    text += output.finish()
    return text[: len(text) - output.loop_length]


CASES = [
    ("plain", "Hello there.", (), "Hello there."),
    ("white space before", " \n Hello", (), "Hello"),
    ("a thought", "<think>let me see</think>\n\nHello", (), "Hello"),
    ("a thought with a tag-like text", "<think>a < b </thin k></think>Hi", (), "Hi"),
    ("a thought that never ends", "<think>for ever and ever", (), ""),
    ("an empty thought", "<think>\n\n</think>\n\nHi", (), "Hi"),
    ("two thoughts", "<think>a</think>One <think>b</think>two", (), "One two"),
    ("nearly a tag", "a <thin line", (), "a <thin line"),
    ("ends like a tag", "1 <", (), "1 <"),
    ("a false turn", "Sure.\nUser: and then?\nAssistant: no", (), "Sure."),
    ("a false human", "Sure.\n\nHuman: more", (), "Sure.\n"),
    ("a false Vietnamese turn", "Vâng.\nNgười dùng: gì nữa", (), "Vâng."),
    ("a false turn at once", "User: hi\nAssistant: yo", (), ""),
    ("a false turn of its own", "Sure.\nAssistant: more", (), "Sure."),
    ("a bold false turn", "Sure.\n**User:** more", (), "Sure."),
    ("a bold false turn, other colon", "Sure.\n**User**: more", (), "Sure."),
    ("a small false turn", "Sure.\nuser: more", (), "Sure."),
    ("a word that begins like one", "Sure.\nUseful things", (), "Sure.\nUseful things"),
    ("ends with a line break", "Sure.\n", (), "Sure.\n"),
    ("any speaker of the group", "Sure.\nBob: thanks", ("Ann", "Bob"), "Sure."),
    ("a speaker of the group", "Sure.\nAnn: thanks", ("Ann",), "Sure."),
    ("a name that is nobody's", "Sure.\nAnn: thanks", (), "Sure.\nAnn: thanks"),
    ("the word inside a line", "Ask the User: he knows", (), "Ask the User: he knows"),
    ("users in code", "```\nx\nUser: y\n```\nok", (), "```\nx\nUser: y\n```\nok"),
    ("a long fence", "``````\nUser: y\n``````\nok", (), "``````\nUser: y\n``````\nok"),
    ("a control tag as text", "Hi<|im_end|>\n<|im_start|>user", (), "Hi"),
    ("an echoed name", "Ann: hello", ("Ann",), "hello"),
    ("an echoed role", "Assistant: hello", (), "hello"),
    ("an echoed name, other case", "ANN:   hello", ("Ann",), "hello"),
    ("a name without a colon", "Ann is nice", ("Ann",), "Ann is nice"),
    ("only a name", "Ann", ("Ann",), "Ann"),
    ("thought, then name", "<think>x</think> Ann: hello", ("Ann",), "hello"),
    ("nothing", "", (), ""),
    ("white space alone", " \n\n ", (), ""),
]


@each_row(("text", "names", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_cutting_gives_the_same(text: str, names: tuple[str, ...], expected: str) -> None:
    assert run([text], names) == expected
    assert run(list(text), names) == expected
    for at in range(len(text)):
        assert run([text[:at], text[at:]], names) == expected


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", "\n", "User", ":", "Ann", "a", " ", "```"])))
def test_pieces_do_not_matter(tokens: list[str]) -> None:
    text = "".join(tokens)
    assert run(list(text), ("Ann",)) == run([text], ("Ann",)) == run(tokens, ("Ann",))


@given(st.text(alphabet=st.characters(exclude_characters="<:\n\0", exclude_categories=["Cs"]), max_size=100))
def test_ordinary_text_comes_out_whole(text: str) -> None:
    assert run(list(text)) == text.lstrip() or loop_length(text.lstrip(), in_code=has_open_code(text))


def has_open_code(text: str) -> bool:
    return text.count("```") % 2 == 1


SENTENCE = "I am a large language model and I like to help. "
LOOPS = [
    (SENTENCE * 3, 2 * len(SENTENCE)),
    ("Well. " + SENTENCE * 3, 2 * len(SENTENCE)),
    (SENTENCE * 2, 0),
    ("ha" * 200, 2 * 59),
    ("ha ha ha", 0),
    ("|---|---|---|---|---|---|---|", 0),
    ("=" * 80, 0),
    ("```\n" + "    [0, 0, 0, 0, 0, 0, 0],\n" * 6, 0),
    ("```\n" + "    [0, 0, 0, 0, 0, 0, 0],\n" * 40, 1),
    ("    [0, 0, 0, 0, 0, 0, 0],\n" * 6, 1),  # outside of code it is one
    ("\n" * 300, 0),
    ("", 0),
]


@each_row(("text", "surplus"), LOOPS)
def test_loops(text: str, surplus: int) -> None:
    found = loop_length(text, in_code=has_open_code(text))
    assert bool(found) == bool(surplus)
    if surplus > 1:
        assert found == surplus


def slow_loop_length(text: str, *, in_code: bool) -> int:
    """The definition of a loop, tried out."""
    for size in range(1, min(400, len(text) // 3) + 1):
        times = max(3, -(-(400 if in_code else 120) // size))
        if text.endswith(text[-size:] * times) and text[-size:].strip():
            return size * (times - 1)
    return 0


UNITS = st.lists(st.sampled_from(["a", "b", " ", "\n", "x y ", "0, 0, ", "```", "`", SENTENCE]), min_size=1, max_size=6)


@given(UNITS, st.integers(1, 130), UNITS, st.integers(1, 60))
def test_a_loop_is_found_at_the_piece_that_completes_it(
    start: list[str], times: int, unit: list[str], size: int
) -> None:
    text, output, released = ("".join(start) + "".join(unit) * times)[:2500], PostProcessor(has_prefix=True), ""
    for at in range(0, len(text), size):
        released += output.feed(text[at : at + size])
        expected = slow_loop_length(released, in_code=has_open_code(released))
        assert output.loop_length == expected
        if expected:
            break


@each_row("tail", ["", "\n", " I am a"])
def test_a_loop_ends_the_answer_with_one_stretch_left(tail: str) -> None:
    output, text = PostProcessor(), ""
    for piece in ["Well. ", *[SENTENCE] * 2, SENTENCE + tail]:
        text += output.feed(piece)
        if output.ended:
            break
    text += output.finish()
    assert output.loop_length or tail == " I am a"
    assert not output.loop_length or text[: len(text) - output.loop_length] == "Well. " + SENTENCE


def test_characters_that_no_database_takes_are_dropped() -> None:
    output = PostProcessor(())
    assert output.feed("a\0b\ud800c ") + output.feed("d") + output.finish() == "abc d"
