"""The store over SQLAlchemy. Rows never leave this package: the rest of the bot sees the value types of core.domain."""
