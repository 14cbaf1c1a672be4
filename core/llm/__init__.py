"""The Model protocol, the local model, and the tokenizer."""
