"""What Alembic runs: `serve.store.migrate` gives the connection, inside a transaction that holds the lock."""

from alembic import context

from serve.rows import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
