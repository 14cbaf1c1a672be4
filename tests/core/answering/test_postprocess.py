"""What people see of a model's text is the same however it is cut into pieces, and never shrinks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from core.answering.postprocess import PostProcessor
from tests.core.answering.dialogues import CUT, DIALOGUES
from tests.core.answering.repetitions import ENDLESS_SIGNS, RUNAWAYS, WANTED
from tests.tables import each_row

MARK = "(left out)"
PEOPLE = ("Anna", "Bob", "Note")


@dataclass(frozen=True)
class Answer:
    """What was shown, why it was ended, what the history gets, and how long it was after each piece."""

    text: str
    notice: str
    history: str
    lengths: tuple[int, ...]


def run(pieces: Sequence[str], prefix: str = "") -> Answer:
    """The answer that is made of these pieces."""
    output = PostProcessor(("Qwentin", "Anna"), PEOPLE, prefix=prefix, mark=MARK)
    text, lengths = "", list[int]()
    for piece in pieces:
        text += output.feed(piece)
        lengths.append(len(text))
        if output.ended:
            break
    text += output.feed("", final=True)
    assert not output.is_history or output.for_history(text) == text
    return Answer(text, output.notice, output.for_history(text), tuple(lengths))


def cuttings(text: str) -> list[list[str]]:
    """Whole, by characters, in words, and in two at every place of a short text."""
    halves = [[text[:at], text[at:]] for at in range(1, len(text))] if len(text) < 400 else []
    return [[text], list(text), [text[at : at + 7] for at in range(0, len(text), 7)], *halves]


def shown(text: str, prefix: str = "") -> Answer:
    """The answer, the same for every cutting."""
    answers = [run(pieces, prefix) for pieces in cuttings(text)]
    assert {(answer.text, answer.notice, answer.history) for answer in answers} == {
        (answers[0].text, answers[0].notice, answers[0].history)
    }
    return answers[0]


CALL = '{"name": "f", "arguments": {"x": [1, "{"]}}'
CASES = [
    ("plain", "Hello there.", "Hello there."),
    ("white space before", " \n Hello", "Hello"),
    ("code in a list", "- ```\n  <tool_call>{}</tool_call>\n  ```", "- ```\n  <tool_call>{}</tool_call>\n  ```"),
    ("nothing", "", ""),
    ("white space alone", " \n\n ", ""),
    ("ends with a line break", "Sure.\n", "Sure.\n"),
    ("characters that no database takes", "a\0b\ud800c", "abc"),
    # Thoughts
    ("a thought", "<think>let me see</think>\n\nHello", "Hello"),
    ("white space, then a thought", "\n <think>let me see</think>Hello", "Hello"),
    ("a thought in capitals", "<THINK>let me see</Think>Hello", "Hello"),
    ("a thought by another name", "<thinking>let me see</thinking>Hello", "Hello"),
    ("a thought with a tag-like text", "<think>a < b </thin k></think>Hi", "Hi"),
    ("a thought that never ends", "<think>for ever and ever", ""),
    ("an empty thought", "<think>\n\n</think>\n\nHi", "Hi"),
    ("two thoughts", "<think>a</think>\n<think>b</think>Hi", "Hi"),
    ("a nested thought", "<think>a <think>b</think> c</think>Hi", "Hi"),
    ("thoughts nested twice", "<think><think>a<thinking>b</thinking></think>c</think>Hi", "Hi"),
    ("a nested thought that never ends", "<think>a<think>b</think>c", ""),
    ("a thought about code", "<think>they ask what `<think>` and `</think>` do</think>It opens one.", "It opens one."),
    ("a thought about a tag", "<think>They ask about the <think> tag.</think>\n\nIt opens one.", "It opens one."),
    ("a thought with half code", "<think>the ` key</think>Press it.", "Press it."),
    ("a thought of code", "<think>```\nx\n```\n</think>Hi", "Hi"),
    *(
        (
            f"a thought with a tag in {fence}",
            f"<think>Look:\n{fence}xml\n<think>\nx\n</think>\n{fence}\nok</think>Hi",
            "Hi",
        )
        for fence in ("```", "~~~", "````", "  ```")
    ),
    ("a thought that begins with a fence", "<think>```\n</think>\n```\n</think>\n\nHi", "Hi"),
    ("a longer fence in a thought", "<think>\n````\n```\n</think>\n```\n````\n</think>Hi", "Hi"),
    ("two fences in a thought", "<think>\n```\n</think>\n```\na\n```\n</think>\n```\n</think>Hi", "Hi"),
    ("a fence that a tag follows", "<think>\n```\nx\n```</think>Hi", "Hi"),
    ("a thought whose fence is never closed", "<think>Look:\n```\nx\n</think>\n\nHi there.", "Hi there."),
    (
        "the same, and an answer with code",
        "<think>\n```\nx\n</think>\nHi:\n```py\ny\n```\nok",
        "Hi:\n```py\ny\n```\nok",
    ),
    ("a thought with a fence in a sentence", "<think>use ``` here</think>Hi", "Hi"),
    ("a fence in a nested thought", "<think>a <think>\n```\n</think>\n```\n</think> c</think>Hi", "Hi"),
    ("three fences, one never closed", "<think>\n```\nx\n```<think> ```py\n~~~\n</think></think> b", "b"),
    ("a thought of a fence that never ends", "<think>\n```\nfor ever", ""),
    ("a tag in the answer", "Write <think>, then </think>.", "Write <think>, then </think>."),
    ("a tag in inline code", "`<think>` opens a thought.", "`<think>` opens a thought."),
    ("a tag in a fence", "```xml\n<think>\nx\n</think>\n```\nok", "```xml\n<think>\nx\n</think>\n```\nok"),
    ("a thought, then a tag", "<think>x</think>Use <think>y</think>.", "Use <think>y</think>."),
    ("nearly a tag", "<thin line", "<thin line"),
    ("a tag with more letters", "<thinker>x", "<thinker>x"),
    ("ends like a tag", "1 <", "1 <"),
    # An echoed name
    ("an echoed name", "Anna: hello", "hello"),
    ("an echoed role", "Assistant: hello", "hello"),
    ("the bot's name", "Qwentin: hello", "hello"),
    ("an echoed name in bold", "**Anna:** hello", "hello"),
    ("an echoed name in bold, other colon", "**Qwentin**: hello", "hello"),
    ("an echoed name, other case", "ANNA:   hello", "hello"),
    ("an echo on a line of its own", "Anna:\nhello", "hello"),
    ("thought, then name", "<think>x</think> Anna: hello", "hello"),
    ("an echo, then a thought", "Qwentin: <think>User: x\nAssistant: y</think>\n\nhello", "hello"),
    ("an echo in bold, then a thought", "**Qwentin:**\n<think>x</think>hello", "hello"),
    ("a thought, an echo, a thought", "<think>x</think>Anna: <THINK>\nx\n</THINK>\nhello", "hello"),
    ("an echo, then a thought that never ends", "Qwentin: <think>x", ""),
    ("an echo, then nearly a thought", "Qwentin: <thin line", "<thin line"),
    ("once", "Assistant: Assistant: hello", "Assistant: hello"),
    ("two names", "Qwentin: Anna: hello", "Anna: hello"),
    (
        "an echo before many lines",
        "Qwentin: Sure.\n\nOne.\nTwo.\n\nQwentin: no echo",
        "Sure.\n\nOne.\nTwo.\n\nQwentin: no echo",
    ),
    ("an echo before a note", "Anna: Sure.\nNote: wear gloves.", "Sure.\nNote: wear gloves."),
    ("an echo before a long paragraph", "Anna: " + "word " * 200, "word " * 200),
    ("a name later", "Sure. Anna: hello", "Sure. Anna: hello"),
    ("a name on the next line", "Sure.\nAnna: hello", "Sure.\nAnna: hello"),
    ("a member who did not ask", "Bob: hello", "Bob: hello"),
    ("a name in a bold line", "**Anna: hello**", "**Anna: hello**"),
    ("a name without a colon", "Anna is nice", "Anna is nice"),
    ("only a name", "Anna", "Anna"),
    ("only a bold name", "**Anna**", "**Anna**"),
    ("only an echo", "Anna:", ""),
    # Control tags
    ("a control tag as text", "Hi<|im_end|>\n<|im_start|>user", "Hi"),
    ("a control tag in a fence", "```\n<|im_start|>user\n```\nok", "```\n<|im_start|>user\n```\nok"),
    ("a control tag in inline code", "It is `<|im_end|>`.\nok", "It is `<|im_end|>`.\nok"),
    ("a control tag behind a fence", "```\nx\n```<|im_end|>\nno", "```\nx\n```"),
    ("a control tag behind inline code", "`x` ``y`z``<|endoftext|>no", "`x` ``y`z``"),
    ("a control tag behind one backtick", "the ` key\n\nand<|im_end|>no", "the ` key\n\nand"),
    ("a fence that is no fence", "```x``` and<|im_end|>no", "```x``` and"),
    ("a longer fence", "````\n```\n<|im_end|>\n```\n````\nok<|im_end|>", "````\n```\n<|im_end|>\n```\n````\nok"),
    ("the template's opening", "<|im_start|>assistant\nHello", "Hello"),
    ("the template's opening, then a thought", "<|im_start|>assistant\n<think>x</think>\nHello", "Hello"),
    ("another turn at once", "<|im_start|>user\nHello", ""),
    ("a tag on a line of its own", "Hello\n<|im_end|>\nno", "Hello\n"),
    ("a tag behind a space", "Hello. <|im_end|> <|im_start|>user\nno", "Hello. "),
    ("a tag behind a space, then a sentence", "Hello. <|im_end|> No", "Hello. "),
    ("a tag behind a space, then a line", "Hello. <|endoftext|>\nno", "Hello. "),
    ("a tag behind a space, at the end", "Hello. <|im_end|> ", "Hello. "),
    *(
        (f"words: {words}", words, words)
        for words in [
            "The <|im_end|> token ends a turn in ChatML.",
            "It ends with <|im_end|>.",
            "(see <|im_end|>)",
            '"<|im_end|>" ends it.',
            "<|im_end|> is a token.",
            "**<|im_end|>** is a token.",
            "Qwen has <|im_start|>, <|im_end|> and <|endoftext|>.",
            "Thẻ <|im_end|> là một token.",
            "- <|im_end|>: the end\n- <|im_start|>: the start",
            "The <|im_end|>  token",
        ]
    ),
    # Calls of tools
    ("a call", '<tool_call>\n{"name": "x"}\n</tool_call>', MARK),
    ("a call in a sentence", "I look<tool_call>{}</tool_call>it up", f"I look {MARK} it up"),
    ("a call between lines", "I look.\n<tool_call>{}</tool_call>\nDone.", f"I look.\n{MARK}\nDone."),
    (
        "a run of calls",
        "I look.\n<tool_call>{}</tool_call>\n<tool_call>{}</tool_call>\n\nDone.",
        f"I look.\n{MARK}\n\nDone.",
    ),
    ("two runs", "A <tool_call>{}</tool_call> b <tool_call>{}</tool_call>\n", f"A {MARK} b {MARK}"),
    ("a call in words", "<tool_call>search('x')</tool_call> Done.", f"{MARK} Done."),
    ("a call of a coder", "<tool_call>\n<function=x>\n<parameter=y>\n1\n</parameter>\n</function>\n</tool_call>", MARK),
    ("a call with bars", "Ok.\n<|tool_call|>[{}]<|/tool_call|>", f"Ok.\n{MARK}"),
    ("a call between bars", "<|tool_call_start|>[f()]<|tool_call_end|>Ok.", f"{MARK} Ok."),
    ("a call that is cut off", 'I look.\n<tool_call>\n{"name": "x", "ar', f"I look.\n{MARK}"),
    (
        "a call that is not closed, then the answer",
        f"<tool_call>\n{CALL}\n\nThe answer is 4.",
        f"{MARK}\n\nThe answer is 4.",
    ),
    ("the same without a blank line", f"Look: <tool_call>{CALL}\nIt is 4.\n", f"Look: {MARK}\nIt is 4.\n"),
    ("the same in one line", f"<tool_call>{CALL} It is 4.", f"{MARK} It is 4."),
    ("brackets that are not closed, then the answer", f"<tool_call>\n{CALL[:-1]}\n\nIt is 4.", f"{MARK}\n\nIt is 4."),
    ("a string that is not closed", '<tool_call>{"a": "b}\n\nIt is 4.', f"{MARK}\n\nIt is 4."),
    ("a bracket too many", f"<tool_call>\n{CALL}}}\n</tool_call>\nIt is 4.", f"{MARK}\nIt is 4."),
    ("two in one call", f"<tool_call>\n{CALL}\n{CALL}\n</tool_call>\nIt is 4.", f"{MARK}\nIt is 4."),
    ("brackets in a string", '<tool_call>{"a": "}]\\"}"}</tool_call>ok', f"{MARK} ok"),
    ("a blank line in a string", '<tool_call>{"a": "x\n\ny"}</tool_call>ok', f"{MARK} ok"),
    ("a call in a fence of its own", f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>\nok", f"{MARK}\nok"),
    (
        "a call that is not closed, then one that is",
        f"<tool_call>{CALL}\n\n<tool_call>{CALL}</tool_call>ok",
        f"{MARK} ok",
    ),
    (
        "one that is broken, then one that is whole",
        f"<tool_call>{CALL[:-1]}\n\nSo <tool_call>{CALL}</tool_call>ok",
        f"{MARK}\n\nSo {MARK} ok",
    ),
    ("a function that is not closed", "<tool_call>\n<function=f>\n</function>\n\nIt is 4.", f"{MARK}\n\nIt is 4."),
    ("a function with blank lines", "<tool_call>\n<function=f>\na\n\nb\n</function>\n</tool_call>ok", f"{MARK} ok"),
    ("a function that is cut off", "<tool_call>\n<function=f>\na\n\nb", MARK),
    ("a call with a name before it", "<tool_call>search\n<arg_key>x</arg_key>\n</tool_call>ok", f"{MARK} ok"),
    ("a call that is not closed at the end", f"So: <tool_call>{CALL}\n", f"So: {MARK}"),
    ("a call that is cut off at its first sign", "<tool_call>\n{", MARK),
    *(
        (f"words: {words}", words, words)
        for words in [
            "It writes <tool_call> and then JSON, and closes it with </tool_call>.",
            "In Qwen, <tool_call> {...} marks a call. More text here follows.",
            "In Qwen, <tool_call>{...}</tool_call> marks a call.",
            "<tool_call>…</tool_call> is a call.",
            "Between <tool_call> [JSON] </tool_call> stands a call.",
            "a <tool_call> <b> text here </b> and more",
            "Use <tool_call>, </tool_call> and <think>.",
            "<tool_call> opens one.\n\n</tool_call> closes it.",
            "The tags are <|tool_call|> and <|/tool_call|>, or <|tool_call_start|>.",
            "a <tool_call>x</tool_call> b",
        ]
    ),
    ("a call that hardly begins", "I look.\n<tool_call>", "I look.\n<tool_call>"),
    ("a call and a tag", "<tool_call>{}</tool_call><|im_end|>no", MARK),
    ("a call in a fence", "```\n<tool_call>{}</tool_call>\n```", "```\n<tool_call>{}</tool_call>\n```"),
    ("a call in inline code", "Qwen writes `<tool_call>{}</tool_call>`.", "Qwen writes `<tool_call>{}</tool_call>`."),
    (
        "a call that is only named",
        "The <tool_call> tag opens one.\n\nIt is a tag.",
        "The <tool_call> tag opens one.\n\nIt is a tag.",
    ),
    ("two tags", "The <tool_call> tag.\n\nThen </tool_call>.", "The <tool_call> tag.\n\nThen </tool_call>."),
    (
        "a call that is only named, at the end",
        "It is the tag <tool_call> for short",
        "It is the tag <tool_call> for short",
    ),
]


@each_row(("text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_cutting_gives_the_same(text: str, expected: str) -> None:
    answer = shown(text)
    assert (answer.text, answer.notice) == (expected, "")
    assert answer.history == expected.replace(MARK, "")


SPOKEN = [
    ("", text.replace(CUT, ""), text.partition(CUT)[0], "mark.turn" if CUT in text else "") for _, text in DIALOGUES
]
CONTINUED = [
    ("Paris.\n\n", "User: thanks", "", "mark.turn"), ("Paris.\n\nUs", "er: thanks", "er: thanks", ""),
    ("User: Hi!\nAssistant: Hello!\n", "\nUser: Bye!", "\nUser: Bye!", ""),
    ("One.\nTwo.\nThree.", "\n\nUser: ok", "\n\n", "mark.turn"), ("The form:", "\n\nUser: you", "\n\nUser: you", ""),
    ("```\na: 1\n", "\nuser: x\n```\n<|im_end|>", "\nuser: x\n```\n", ""),
    ("See `", "<|im_end|>` x", "<|im_end|>` x", ""),
    ("Hello. ", "Anna: hi", "Anna: hi", ""), ("The tag is ", "<think>.", "<think>.", ""),
    ("I hear you.\n\n", "<think>x</think>Talk to me.", "Talk to me.", ""),
    ("I hear you.\n\n", "\n<think>x</think>\n\nTalk to me.", "\nTalk to me.", ""),
    ("```xml\n", "<think>\n", "<think>\n", ""),
]  # fmt: skip


@each_row(("prefix", "text", "expected", "notice"), SPOKEN + CONTINUED)
def test_dialogues_and_false_turns_also_where_an_answer_goes_on(
    prefix: str, text: str, expected: str, notice: str
) -> None:
    answer = shown(text, prefix)
    assert (answer.text, answer.notice) == (expected, notice)
    for end in (found.start() for found in re.finditer("\n", expected) if not prefix):
        rest = run([expected[end:]], prefix=expected[:end])
        assert (rest.text, rest.notice) == (expected[end:], ""), "what is kept is also kept where the answer goes on"


@each_row("text", [text for _, text in WANTED], ids=[name for name, _ in WANTED])
def test_wished_for_repetition_is_kept_whole(text: str) -> None:
    answer = shown(text)
    assert (answer.text, answer.notice, answer.history) == (text, "", text)


LOOPS = [*(("Well. ", unit) for _, unit in RUNAWAYS), *((start, unit) for _, start, unit in ENDLESS_SIGNS)]


@each_row(("start", "unit"), LOOPS)
def test_a_runaway_loop_ends_behind_a_sentence_and_keeps_what_was_shown(start: str, unit: str) -> None:
    text = start + unit * (30_000 // len(unit))
    answer = shown(text)
    assert answer.notice == "mark.loop" and text.startswith(answer.text)
    assert len(answer.text) > 8 * len(unit) and answer.text.rstrip().endswith(tuple(unit.split()))
    assert answer.history.rstrip() == (start + unit).rstrip()


SIGNS = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<THINK>", "<", "think", ">", "\n", "\n\n", "User:", "user", ":", "Anna:", "**", "a",
         " ", "```", "`", "~~~", "```\n",
         "- ", "> ", "<|im_end|>", "<tool_call>", "</tool_call>", "{", "Note: x", "So it is. ",
         "---", "# ", "**a**\n", "(a)\n", "*a*", "|", ".", ")", "Bot: x\n", "x:\n",
         '{"a":', "}", '"', "<function=f>", "</function>"]
    ),
    max_size=30,
)  # fmt: skip


@given(SIGNS, st.integers(1, 120), st.integers(1, 90), st.sampled_from(["", "Paris.\n\n", "```\n", "Anna: hi\n"]))
def test_pieces_do_not_matter_and_nothing_shown_is_taken_back(
    signs: list[str], times: int, size: int, prefix: str
) -> None:
    text = "".join(signs) + "".join(signs[-3:]) * times
    whole = run([text], prefix)
    for pieces in (list(text), [text[at : at + size] for at in range(0, len(text), size)], signs + signs[-3:] * times):
        answer = run(pieces, prefix)
        assert (answer.text, answer.notice, answer.history) == (whole.text, whole.notice, whole.history)
        assert list(answer.lengths) == sorted(answer.lengths) and answer.lengths[-1:] <= (len(answer.text),)


@given(st.text(alphabet=st.characters(exclude_characters="<:\0", exclude_categories=["Cs"]), max_size=300))
def test_ordinary_text_comes_out_whole(text: str) -> None:
    answer = run(list(text))
    assert (answer.text, answer.notice) == (text.lstrip(), "")
