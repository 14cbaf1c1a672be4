"""An event is admitted, batched and stored (C1)."""
