"""What the console's pages are made from, to hold two moments against each other."""

import asyncpg

from services.console.store.generation import PROJECTIONS


async def projections(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, list[str]]:
    """Every row of every projection, without the machine's time at which it was written."""
    return {
        table: [
            row["row"]
            for row in await connection.fetch(f"select (to_jsonb(t) - 'created_at')::text as row from console.{table} t order by 1")
        ]
        for table in PROJECTIONS
    }
