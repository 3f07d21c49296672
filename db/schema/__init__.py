"""The schema, by revisions (alembic). Run through ``Database.upgrade()``, from any working directory."""
