"""Markdown, read once: what a model wrote becomes blocks of words, which each platform writes in its own way."""
