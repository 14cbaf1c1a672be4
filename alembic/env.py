"""Alembic's entry: migrates over the connection it is handed; `alembic revision` and `alembic check` open their own."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from storage.tables import metadata


def migrate(connection: Connection) -> None:
    """Run what was asked for. Batch mode, because SQLite can alter little."""
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


if (handed := context.config.attributes.get("connection")) is not None:
    migrate(handed)
else:
    with create_engine(os.environ.get("ALEMBIC_URL", "sqlite:///:memory:")).connect() as own:
        migrate(own)
        own.commit()
