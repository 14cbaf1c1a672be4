"""From a text to messages on a platform: rate limits, splitting, the streaming message, the final check (C3, C4)."""
