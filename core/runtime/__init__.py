"""Retry, supervision, cancellation, failpoints."""
