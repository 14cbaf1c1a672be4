"""The bot itself: knows no platform and no SQL."""
