"""Texts that repeat something because they should, and loops of a model. Pure."""

import json
from pathlib import Path

GIVEN = [json.loads(line) for line in Path(__file__).with_name("repetition.jsonl").read_text("utf-8").splitlines()]

MULTIPLICATION = "\n".join(f"{a} x {b} = {a * b}" for a in range(1, 10) for b in range(1, 10))
ROW = "|   |   |   |   |   |\n"

WANTED = [(each["name"], each["text"]) for each in GIVEN] + [
    ("twenty lines", "I will not be late again.\n" * 20),
    ("fifty lines", "I will not talk in class.\n" * 50),
    ("fifty numbered lines", "".join(f"{n}. I will not talk in class.\n" for n in range(1, 51))),
    ("hai mươi dòng", "Em xin lỗi cô vì đã nói chuyện trong lớp.\n" * 20),
    ("ba mươi dòng", "Con hứa sẽ dọn phòng mỗi ngày.\n" * 30),
    ("lời chúc", "Chúc mừng năm mới! " * 12),
    ("a refrain", "We all live in a yellow submarine,\nyellow submarine, yellow submarine.\n" * 4),
    ("điệp khúc", "Kìa con bướm vàng, kìa con bướm vàng,\nxòe đôi cánh, xòe đôi cánh.\n" * 4),
    ("one line of a song", "Around the world, around the world\n" * 24),
    ("na na na", "Na na na na, hey hey, goodbye. " * 8),
    ("la la la", "la " * 120),
    ("a laugh", "ha" * 300),
    ("cười", "hihi " * 60),
    ("a scream", "A" * 600 + "!"),
    ("snow", "❄️" * 200),
    ("cờ", "🇻🇳" * 100),
    ("rows of emoji", "😀😀😀😀😀😀😀😀\n" * 20),
    ("dashes", "-" * 130),
    ("a line of signs", "=" * 200 + "\n" + "*" * 200 + "\n" + "~" * 200),
    ("dots", "." * 500),
    ("an empty table", "| a | b | c | d | e |\n|---|---|---|---|---|\n" + ROW * 30),
    ("bảng trống", "| Thứ | Sáng | Chiều |\n|---|---|---|\n" + "| | | |\n" * 40),
    ("a table of the same words", "| task | state |\n|---|---|\n" + "| write the report | not done yet |\n" * 40),
    ("zeros", "[" + "0, " * 400 + "0]"),
    ("a matrix", "[0, 0, 0, 0, 0, 0, 0, 0],\n" * 24),
    ("a matrix in code", "```\n" + "    [0, 0, 0, 0, 0, 0, 0, 0],\n" * 60 + "```\n"),
    ("the same statement", "```python\n" + "print('hello world')\n" * 60 + "```\n"),
    ("the same call", "```js\n" + "  expect(screen.getByText('Save')).toBeVisible();\n" * 30 + "```"),
    ("CSV", "id,value\n" + "0,0\n" * 120),
    ("bits", "01" * 300),
    ("a form", "Name: ______________________\nDate: ______________________\n\n" * 6),
    ("mẫu đơn", "Họ và tên: ........................................\n" * 10),
    ("a bingo card", ("| FREE " * 5 + "|\n") * 5),
    ("a board", "```\n" + ". . . . . . . .\n" * 8 + "```"),
    ("a chessboard", "⬜⬛⬜⬛⬜⬛⬜⬛\n⬛⬜⬛⬜⬛⬜⬛⬜\n" * 4),
    ("a fence of signs", "<><><><><><><><><><><><><><><>\n" * 20),
    ("a table of contents", "".join(f"{n}. Chapter {'.' * 120} {n * 7}\n" for n in range(1, 21))),
    ("a multiplication table", MULTIPLICATION),
    ("a prayer", "Lord, have mercy. Christ, have mercy. " * 12),
    ("counting sheep", "".join(f"{n} sheep jump over the fence.\n" for n in range(1, 60))),
    ("đếm cừu", "".join(f"{n} con cừu nhảy qua hàng rào.\n" for n in range(1, 50))),
    ("blank lines", "a\n" + "\n" * 300 + "b"),
    ("the same paragraph three times", ("It was a dark night, and nobody was in the street. " * 2 + "\n\n") * 3),
]

SENTENCE = "I am a large language model and I like to help. "
CAU = "Mình là một mô hình ngôn ngữ và mình thích giúp đỡ mọi người. "
PARAGRAPH = (
    "The quick brown fox jumps over the lazy dog, and the dog looks up for a moment before it goes to sleep again. "
    "Then the fox comes back, because it has forgotten something, and everything begins anew.\n\n"
)
RUNAWAYS = [
    ("a sentence", SENTENCE), ("một câu", CAU),
    ("a line", "I want to help you with this.\n"), ("a paragraph", PARAGRAPH),
    ("một dòng", "Mình sẽ giúp bạn việc này ngay bây giờ.\n"), ("two sentences", SENTENCE + "Ask me anything! "),
    ("an item", "- Always be kind to the people around you\n"), ("a word", "very "), ("two words", "of course "),
    ("words without a sign", "and then we go on and on "),
    ("a heading", "### Conclusion\n\nIn conclusion, it depends.\n\n"),
    ("bold", "**Note:** this is important. "),
]  # fmt: skip
"""The stretch that a model repeats up to the token limit."""
ENDLESS_SIGNS = [
    ("code", "```\n", "x = x + 1\n"), ("a table", "| a | b |\n|---|---|\n", "| again and again | and again |\n"),
    ("zeros", "", "0, "), ("emoji", "", "🎉 "),
    ("a statement", "```python\n", "print('again')\nprint('again, please')\n"),
]  # fmt: skip
"""What begins a text, and the code, numbers or signs that a model repeats without end."""
