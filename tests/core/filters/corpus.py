"""Texts for the filter's tests: harmless texts that look rude, rude texts, and functions that disguise them."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent


def benign(language: str) -> list[str]:
    """Harmless sentences that look rude: place names, birds, medicine, code, Vietnamese without its accents."""
    lines = (HERE / f"benign_{language}.txt").read_text("utf-8").splitlines()
    return [line.partition("|")[2] for line in lines if line.strip()]


def talk(*classes: str) -> list[tuple[str, str]]:
    """What is wanted of a text, and the text, for all texts of these classes in talk_en.txt and talk_vi.txt."""
    lines = [line for name in ("en", "vi") for line in (HERE / f"talk_{name}.txt").read_text("utf-8").splitlines()]
    rows = [line.split("|", 2) for line in lines if line and line[0] != "#"]
    return [(want, text.replace("\\n", "\n")) for found, want, text in rows if found in classes]


BENIGN = benign("en") + benign("vi")

RUDE = (
    "fuck", "shit", "motherfucker", "asshole", "bullshit", "nigger", "faggot", "cunt", "blowjob",
    "địt mẹ", "đụ má mày", "con cặc", "cái lồn", "đồ chó đẻ", "thằng mặt lồn", "vãi lồn", "dit me may", "vãi cả lồn",
    "con đĩ này", "đéo biết",
)  # fmt: skip


def _letters(text: str, change: Callable[[str], str]) -> str:
    """The text with each letter changed and its marks kept."""
    parts = [unicodedata.normalize("NFD", char) for char in text]
    return "".join(unicodedata.normalize("NFC", change(part[0]) + part[1:]) for part in parts)


def _bold(letter: str) -> str:
    return chr(0x1D41A + ord(letter) - 97) if "a" <= letter <= "z" else letter


_CYRILLIC = str.maketrans("aceiopsxy", "асеіорѕху")

DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "title": str.title,
    "nfd": lambda text: unicodedata.normalize("NFD", text),
    "zero width": "\u200b".join,
    "soft hyphen": "\u00ad".join,
    "spaced": lambda text: " ".join(text.replace(" ", "")),
    "lines": lambda text: "\n".join(text.replace(" ", "")),
    "dots": lambda text: " ".join(".".join(word) for word in text.split()),
    "pictures": lambda text: "🙂".join(text.replace(" ", "")),
    "bold letters": lambda text: _letters(text, _bold),
    "Cyrillic": lambda text: _letters(text, lambda letter: letter.translate(_CYRILLIC)),
    "struck": lambda text: "".join(char + "\u0336" for char in text),
    "markup": lambda text: text[0] + "**" + text[1:] + "**",
    "code marks": lambda text: text[0] + "`" + text[1:] + "`",
    "tags": lambda text: text[0] + "<b>" + text[1:] + "</b>",
    "drawn out": lambda text: text[:-1] + text[-1] * 5,
}
