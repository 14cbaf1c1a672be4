"""The engine beside its peers, on the same work, on the same machine, in one run."""
