"""From a question to an answer: prompt, context window, one answer, post-processing (C6)."""
