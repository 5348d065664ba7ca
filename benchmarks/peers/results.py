"""Final results in PostgreSQL, for queues that keep none: one row a chain, written by its last stage."""

import asyncio

import psycopg

SAVE = "INSERT INTO results (chain, number) VALUES ({}, {})"
"""With the placeholders of the stage's own driver."""

_CREATE = "CREATE TABLE results (chain text PRIMARY KEY, number integer NOT NULL)"
_ASK = 0.002


async def create_results(url: str) -> None:
    """Create the table."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_CREATE)


class Results:
    """Looks for results on a connection of its own, in autocommit."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def clear(self) -> None:
        """Forget earlier chains."""
        await self._connection.execute("TRUNCATE results")

    async def count(self) -> int:
        """Return how many there are."""
        cursor = await self._connection.execute("SELECT count(*) FROM results")
        [count] = await cursor.fetchone() or [0]
        return int(count)

    async def wait(self, chain: str) -> int:
        """Return a chain's as soon as it is there."""
        while True:
            cursor = await self._connection.execute("SELECT number FROM results WHERE chain = %s", [chain])
            found = await cursor.fetchone()
            if found is not None:
                return int(found[0])
            await asyncio.sleep(_ASK)
