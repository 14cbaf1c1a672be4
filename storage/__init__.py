"""Memory: SQLAlchemy rows, which never leave this package. The rest of the bot sees the nouns of core.domain."""
