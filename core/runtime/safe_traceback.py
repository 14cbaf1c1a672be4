"""A traceback without the errors' own messages, which may quote what people wrote."""

import traceback

from core.domain.store import Unavailable


def safe_traceback(error: BaseException) -> str:
    """The lines and the type of an error and of its causes, in the order of a usual traceback.

    Of the database's own trouble the reason is enough: no code is wrong, and it comes again and again.
    """
    if isinstance(error, Unavailable):
        return f"the database can't be used: {error}"
    lines = "".join(traceback.format_tb(error.__traceback__))
    cause = error.__cause__ or error.__context__
    return (
        f"{safe_traceback(cause)}\n" if cause else ""
    ) + f"{lines}{type(error).__module__}.{type(error).__qualname__}"
