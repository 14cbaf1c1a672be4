"""A terminal to talk to the bot: the whole path without a platform."""
