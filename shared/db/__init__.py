"""PostgreSQL: pools and migrations. One schema and one role per service; `search_path` is the service's schema, so SQL names no schema."""

from shared.db.migrate import Migration, NewerSchema, migrate, migrations_in
from shared.db.pool import DATABASE_DOWN, Connection, Pool, answers, is_down, open_pool

__all__ = ["DATABASE_DOWN", "Connection", "Migration", "NewerSchema", "Pool", "is_down", "migrate", "answers", "migrations_in", "open_pool"]
