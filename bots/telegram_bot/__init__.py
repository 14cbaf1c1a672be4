"""Telegram: updates in, messages out."""

import os

# The library's own switch to its coming behaviour; without it every RetryAfter warns.
os.environ.setdefault("PTB_TIMEDELTA", "true")
