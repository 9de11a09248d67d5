"""A plan that a connection made when a table was empty serves it when it is full."""

import json

from tests.integration.engine.bed import Bed

ROWS = 20_000


async def test_a_plan_made_on_an_empty_table_goes_by_the_key_when_it_is_full(bed: Bed) -> None:
    """Goal: no minutes of reading everything between filling a table and its first analysis. Method: a statement of many keys is run until
    its plan is kept, the table is filled and not analyzed, and the kept plan is asked for.
    """
    said = ", ".join(f"said_{n} text" for n in range(20))
    await bed.as_owner(f"create table fresh (id text primary key, {said}) with (autovacuum_enabled = false); grant all on fresh to public")
    try:
        async with bed.pool.acquire() as conn:
            await conn.execute("prepare looked_up (text[]) as select * from fresh where id = any($1)")
            keys = f"'{{{','.join(map(str, range(1000)))}}}'"
            for _ in range(8):
                await conn.execute(f"execute looked_up({keys})")
            await conn.execute(f"insert into fresh (id, said_0) select n::text, 'word' from generate_series(1, {ROWS}) n")
            told = json.loads(await conn.fetchval(f"explain (format json) execute looked_up({keys})"))
            generic = await conn.fetchval("select generic_plans from pg_prepared_statements where name = 'looked_up'")
            await conn.execute("deallocate looked_up")
    finally:
        await bed.as_owner("drop table fresh")
    assert generic, "the plan was not kept, so this shows nothing"
    assert "Seq Scan" not in json.dumps(told)
