"""Token ids in, token ids out. Knows no chats and no text. Only the worker's process imports torch."""
