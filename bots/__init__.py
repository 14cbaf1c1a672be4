"""The outside world: one adapter a platform, and the joint that puts everything together."""
