"""Control tokens in what people wrote, encoded as plain text: as transformers does it (mark_control_tokens and
encode_marked_chat in utils/chat_template_utils.py)."""

import re
from collections.abc import Callable, Iterable

from tokenizers import Tokenizer as Backend

from core.llm.tokenizer_files import LoadedTokenizer

_START, _END = "\U000f0000", "\U000f0001"
"""Private-use characters around a control token in a message, until the whole prompt is encoded."""


class ControlTokenMarks:
    """Marks control tokens in messages, and encodes a prompt that was rendered from marked messages.

    `template_text`: all text that the chat template itself can write. An added token in it is a control token, unless
    the model's author lists which are.
    """

    def __init__(self, loaded: LoadedTokenizer, template_text: str) -> None:
        self._backend = loaded.backend
        added = self._backend.get_added_tokens_decoder().values()

        def is_control(text: str) -> bool:
            if loaded.control_tokens is not None:
                return text in loaded.control_tokens
            return text in template_text and not text.isspace()

        self._control = _any_of(token.content for token in added if token.special or is_control(token.content))
        every = _any_of(token.content for token in added)
        self._marked = re.compile(f"{_START}({every.pattern}){_END}|[{_START}{_END}]")
        self._line_end = encode_text(self._backend, "\n")

    def mark(self, text: str) -> str:
        """The text of a message with every control token marked. Marks that it brings are removed first."""
        text = text.replace(_START, "").replace(_END, "")
        return self._control.sub(f"{_START}\\g<0>{_END}", text)

    def encode(self, prompt: str) -> list[int]:
        """The ids of a rendered prompt, each marked token in it as plain text. Raises ValueError where the tokenizer
        makes a control token of plain text too.

        Single marks, which a template may leave by cutting text, separate what stands around them.
        """
        first, *pieces = self._marked.split(prompt)  # text, marked token or None, text, marked token or None, text ...
        ids = encode_text(self._backend, first)
        for number, piece in enumerate(pieces):
            if not piece:
                continue
            is_marked = number % 2 == 0
            piece_ids = self._encode_piece(piece, encode_plain if is_marked else encode_text)
            if is_marked and self._backend.token_to_id(piece) in piece_ids:
                raise ValueError(f"the tokenizer makes {piece!r} of plain text")
            ids += piece_ids
        return ids

    def encode_after_line(self, text: str) -> list[int]:
        """The ids of a text that comes after the end of a line; what looks like an added token is one."""
        return self._encode_piece(text, encode_text)

    def _encode_piece(self, piece: str, encode: Callable[[Backend, str], list[int]]) -> list[int]:
        """The ids of a later piece. It is encoded behind a line end, which is removed again, because some put a
        space before the beginning of a text."""
        ids = encode(self._backend, f"\n{piece}")
        if ids[: len(self._line_end)] == self._line_end:
            return ids[len(self._line_end) :]
        return encode(self._backend, piece)


def encode_text(backend: Backend, text: str) -> list[int]:
    """The ids of a text; what looks like an added token is one."""
    return list(backend.encode(text, add_special_tokens=False).ids)


def encode_plain(backend: Backend, text: str) -> list[int]:
    """The ids of a text in which nothing is an added token, special or not: the steps of the tokenizer one by one,
    because its own option leaves out the special ones alone."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    words = [text]
    if backend.pre_tokenizer is not None:
        words = [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    return [token.id for word in words for token in backend.model.tokenize(word)]


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches any of the texts, the longest first; nothing where there are none."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")
