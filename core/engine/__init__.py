"""Token ids in, token ids out. Knows no chats and no text; torch lives only here, and only in the worker's process."""
