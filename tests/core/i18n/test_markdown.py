"""What people wrote comes out of the bot's own Markdown as they wrote it."""

from hypothesis import example, given
from hypothesis import strategies as st

from core.i18n.markdown import escape
from core.markdown.document import plain_text
from core.markdown.reader import read

SIGNS = st.lists(st.sampled_from([*"ab1 \\&[]()`*_<>~|#$!^{}", "&amp;", "\\(", "\\)", "\\[", "http://a.b", "**", "__"]))


@given(SIGNS.map("".join))
@example("\\(x\\) [a](b) ![c](d) $x$ \\* C:\\a_b <b>x</b> &lt;")
def test_an_escaped_text_is_read_as_it_was(text: str) -> None:
    whole = f"by {text} today"  # what stands at the beginning of a line is another matter
    assert plain_text(read(f"by {escape(text)} today"), lambda address: True).split() == whole.split()
