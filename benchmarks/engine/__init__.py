"""Benchmarks of the engine beside its peers, on the same work and machine, in one run."""
