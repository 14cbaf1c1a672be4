"""The chat template, text to ids, ids to whole characters. No torch: AutoTokenizer would import it."""

from itertools import takewhile
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from core.domain.errors import SetupError
from core.domain.prompt import Message, Prompt

_PROBE: Prompt = (Message("system", "probe"), Message("user", "probe"))
_QUESTIONS = "a", "1"
"""Two that share no beginning."""
_THINK = "<think>"
_WINDOW = 16
"""Ids decoded again for each piece; a token's spelling depends on a few before it at most."""


class Tokenizer:
    """A checkpoint's tokenizer with its chat template.

    Raises SetupError where the files can't be read or the template can't carry a conversation.
    """

    def __init__(self, folder: Path, chat_template: str) -> None:
        try:
            self._fast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            self._fast.chat_template = chat_template
            self.encode(_PROBE)
        except Exception as error:  # the tokenizers library raises bare Exceptions
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SetupError(f"The tokenizer in {folder} can't be used: {reason}") from error

    def encode(self, prompt: Prompt) -> list[int]:
        """The ids of a prompt, up to where the answer begins, or goes on where the prompt ends with its beginning.

        Control tokens that people wrote are encoded as plain text, so that nobody can forge a system turn.
        """
        messages = [{"role": message.role, "content": message.content} for message in prompt]
        begun = prompt[-1].role == "assistant"
        out = self._fast.apply_chat_template(
            messages,
            add_generation_prompt=not begun,
            continue_final_message=begun,
            sanitize_control_tokens=True,
            return_dict=True,
            # Qwen3's template thinks unless told not to; templates without the variable ignore it.
            enable_thinking=False,
        )
        return list(out["input_ids"])

    def opening(self, prompt: Prompt) -> list[int]:
        """The ids that a prompt begins with, whatever is asked next: up to where the question stands.

        Two questions are tried, because only a whole prompt shows what its template and its tokenizer make of it.
        """
        either, other = (self.encode((*prompt, Message("user", asked))) for asked in _QUESTIONS)
        return [id for id, _ in takewhile(lambda pair: pair[0] == pair[1], zip(either, other, strict=False))]

    def opens_thought(self, ids: list[int]) -> bool:
        """Whether the template itself has begun a thought, so that the answer starts inside it."""
        return str(self._fast.decode(ids[-4:])).rstrip().endswith(_THINK)

    def decoder(self) -> "Decoder":
        """A decoder for one answer."""
        return Decoder(self)

    def plain(self, text: str) -> list[int]:
        """The ids of a text that is no chat."""
        return list(self._fast.encode(text, add_special_tokens=False))

    def text(self, ids: list[int]) -> str:
        """The text of some ids, control tokens left out."""
        return str(self._fast.decode(ids, skip_special_tokens=True))


class Decoder:
    """Ids to text, piece by piece, never half a character.

    Invariant: the pieces joined are what the tokenizer makes of all ids at once. Bytes of an unfinished character
    decode to U+FFFD at the end of the text; they are held until the next id, or given as they are at the end.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = ""

    def feed(self, token: int) -> str:
        """The text that this id completes."""
        self._ids.append(token)
        text = self._tokenizer.text(self._ids)
        if text.endswith("\ufffd"):
            return ""
        piece = text[len(self._shown) :]
        self._shown = text
        self._forget()
        return piece

    def finish(self) -> str:
        """What was held at the end."""
        return self._tokenizer.text(self._ids)[len(self._shown) :]

    def _forget(self) -> None:
        if len(self._ids) > 2 * _WINDOW:
            self._ids = self._ids[-_WINDOW:]
            self._shown = self._tokenizer.text(self._ids)
