"""The Model protocol, the local model, the tokenizer."""
