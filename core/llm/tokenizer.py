"""The tokenizer: chat prompts to token ids, token ids to text."""

from itertools import takewhile
from pathlib import Path

from core.domain.errors import SetupError
from core.domain.prompt import Message, Prompt
from core.llm.chat_template import ChatTemplate
from core.llm.control_tokens import ControlTokenMarks, encode_text
from core.llm.tokenizer_files import load_tokenizer

_PROBE_PROMPT: Prompt = (Message("system", "probe"), Message("user", "probe"))
_SAMPLE_QUESTIONS = "a", "1"
"""Two questions whose tokens have no common beginning."""
THINK_TAG = "<think>"
_DECODE_WINDOW_TOKENS = 16
"""Tokens decoded again with each new one, because a token's text depends on a few before it."""


class Tokenizer:
    """A checkpoint's tokenizer with its chat template (Jinja): gives the ids that transformers' apply_chat_template
    gives with sanitize_control_tokens, without transformers.

    Raises SetupError where the files can't be read or the template can't express `probe`, the shortest of the prompts
    that it is for.
    """

    def __init__(self, folder: Path, chat_template: str, probe: Prompt = _PROBE_PROMPT) -> None:
        try:
            loaded = load_tokenizer(folder)
            self._backend = loaded.backend
            # Qwen3's template thinks unless told not to; templates without the variable ignore it.
            self._template = ChatTemplate(chat_template, {**loaded.named_tokens, "enable_thinking": False})
            self._marks = ControlTokenMarks(loaded, self._template.literal_text)
            self.encode(probe)
            self.user_role = self._template.user_role(
                [{"role": message.role, "content": message.content} for message in probe]
            )
            """The template's word for the person who asks."""
        except Exception as error:  # the tokenizers library raises bare Exceptions
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SetupError(f"The tokenizer in {folder} can't be used: {reason}") from error

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt, up to where the answer begins; a prompt that ends with an assistant message is the
        beginning of that answer.

        Control tokens in what people wrote are encoded as plain text, so that nobody can forge a system turn.
        """
        messages = [{"role": message.role, "content": self._marks.mark(message.content)} for message in prompt]
        return self._marks.encode(self._template.render(messages))

    def encode_before_question(self, prompt: Prompt) -> list[int]:
        """The token ids that any next prompt with this history begins with: up to the text of its question.

        Two sample questions are encoded and compared, because only a whole prompt shows what the template and the
        tokenizer make of it.
        """
        first, second = (self.encode((*prompt, Message("user", question))) for question in _SAMPLE_QUESTIONS)
        return [id for id, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]

    def starts_thinking(self, ids: list[int]) -> bool:
        """Whether the template has opened a thinking block at the end of the prompt, so that the answer starts inside
        it."""
        return str(self._backend.decode(ids[-4:], skip_special_tokens=False)).rstrip().endswith(THINK_TAG)

    def decoder(self) -> "Decoder":
        """A decoder for one answer."""
        return Decoder(self)

    def encode_text(self, text: str) -> list[int]:
        """The token ids of a text outside any chat template."""
        return encode_text(self._backend, text)

    def encode_after_line(self, text: str) -> list[int]:
        """The token ids of a text that continues a prompt behind the end of a line."""
        return self._marks.encode_after_line(text)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, control tokens left out."""
        return str(self._backend.decode(ids))


class Decoder:
    """Token ids to text, piece by piece, never half a character.

    Invariant: the pieces joined equal the text of all ids decoded at once. Bytes of an unfinished character decode to
    U+FFFD at the end of the text; they are held until the next id, or returned as they are at the end.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._decoded = ""

    def feed(self, *tokens: int) -> str:
        """The text that these token ids complete; "" inside a character."""
        self._ids += tokens
        text = self._tokenizer.decode(self._ids)
        if text.endswith("\ufffd"):
            return ""
        piece = text[len(self._decoded) :]
        self._decoded = text
        self._trim()
        return piece

    def finish(self) -> str:
        """The text that was held back."""
        return self._tokenizer.decode(self._ids)[len(self._decoded) :]

    def _trim(self) -> None:
        """Keep the window alone, so that the cost of a token does not grow with the answer."""
        if len(self._ids) > 2 * _DECODE_WINDOW_TOKENS:
            self._ids = self._ids[-_DECODE_WINDOW_TOKENS:]
            self._decoded = self._tokenizer.decode(self._ids)
