"""A traceback without the errors' own messages, which may quote what people wrote."""

import traceback


def safe_traceback(error: BaseException) -> str:
    """The lines and the type of an error and of its causes, in the order of a usual traceback."""
    lines = "".join(traceback.format_tb(error.__traceback__))
    cause = error.__cause__ or error.__context__
    return (
        f"{safe_traceback(cause)}\n" if cause else ""
    ) + f"{lines}{type(error).__module__}.{type(error).__qualname__}"
