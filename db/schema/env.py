"""Entry point of alembic. The connection and its transaction come from `db.schema.upgrade`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
