"""The tokenizer: chat prompts to token ids, token ids to text. AutoTokenizer is not used because it imports torch."""

from itertools import takewhile
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from core.domain.errors import SetupError
from core.domain.prompt import Message, Prompt

_PROBE_PROMPT: Prompt = (Message("system", "probe"), Message("user", "probe"))
_SAMPLE_QUESTIONS = "a", "1"
"""Two questions whose tokens have no common beginning."""
THINK_TAG = "<think>"
_DECODE_WINDOW_TOKENS = 16
"""Tokens decoded again with each new one, because a token's text depends on a few before it."""


class Tokenizer:
    """A checkpoint's tokenizer with its chat template (Jinja).

    Raises SetupError where the files can't be read or the template can't express a conversation.
    """

    def __init__(self, folder: Path, chat_template: str) -> None:
        try:
            self._fast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            self._fast.chat_template = chat_template
            # The wrapper around this call takes as long as the call; it is needed where it changes the text.
            cleans_up = self._fast.clean_up_tokenization_spaces
            self._decode = self._fast.decode if cleans_up else self._fast.backend_tokenizer.decode
            self.encode(_PROBE_PROMPT)
        except Exception as error:  # the tokenizers library raises bare Exceptions
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SetupError(f"The tokenizer in {folder} can't be used: {reason}") from error

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt, up to where the answer begins; a prompt that ends with an assistant message is the
        beginning of that answer.

        Control tokens in what people wrote are encoded as plain text, so that nobody can forge a system turn.
        """
        messages = [{"role": message.role, "content": message.content} for message in prompt]
        has_prefix = prompt[-1].role == "assistant"
        out = self._fast.apply_chat_template(
            messages,
            add_generation_prompt=not has_prefix,
            continue_final_message=has_prefix,
            sanitize_control_tokens=True,
            return_dict=True,
            # Qwen3's template thinks unless told not to; templates without the variable ignore it.
            enable_thinking=False,
        )
        return list(out["input_ids"])

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
        return str(self._fast.decode(ids[-4:])).rstrip().endswith(THINK_TAG)

    def decoder(self) -> "Decoder":
        """A decoder for one answer."""
        return Decoder(self)

    def encode_text(self, text: str) -> list[int]:
        """The token ids of a text outside any chat template."""
        return list(self._fast.encode(text, add_special_tokens=False))

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, control tokens left out."""
        return str(self._decode(ids, skip_special_tokens=True))


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
