"""A stored reply is claimed, run and recovered (C2, C7)."""
