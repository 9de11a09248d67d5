"""PostgreSQL: pools and migrations. One schema and one role per service; `search_path` is the service's schema, so SQL names no schema."""

from shared.db.migrate import Migration, NewerSchema, OlderSchema, Step, check, migrate, migrations_in, steps_left
from shared.db.pool import DATABASE_DOWN, Connection, Lent, Pool, answers, clock_of, is_down, is_gone, open_pool, version_of
from shared.db.roles import REFUSED, as_role, open_service_pool, password_of, role_of

__all__ = [
    "DATABASE_DOWN", "REFUSED", "Connection", "Lent", "Migration", "NewerSchema", "OlderSchema", "Pool", "Step", "answers", "as_role",
    "check", "clock_of", "is_down", "is_gone", "migrate", "migrations_in", "open_pool", "open_service_pool", "password_of", "role_of",
    "steps_left", "version_of",
]  # fmt: skip
