"""Bring a fresh mongod up as a one-member replica set."""

import anyio
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from pipeline.errors import StoreUnavailable
from pipeline.store.driver import Doc, is_outage, translate

_NOT_YET_INITIALIZED = 94
_START_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.05


def _direct(port: int) -> AsyncMongoClient[Doc]:
    return AsyncMongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000)


async def is_member(port: int, name: str) -> bool:
    """Tell whether a member of the replica set `name` answers on a loopback port.

    Raises:
        StoreUnavailable: nothing answers.
    """
    async with _direct(port) as client:
        try:
            hello = await client.admin.command("hello")
        except PyMongoError as error:
            raise translate(error) from error
    return bool(hello.get("setName") == name)


async def bring_up(port: int, name: str) -> None:
    """Wait for a mongod that was just started, initiate its set when it is new, wait for the primary.

    A data folder that comes back on another port gets its one member's address corrected.

    Raises:
        StoreUnavailable: it was not primary within a minute.
    """
    with anyio.move_on_after(_START_SECONDS):
        async with _direct(port) as client:
            while not await _is_primary(client, port, name):  # noqa: ASYNC110 -- another process's state
                await anyio.sleep(_LOOK_AGAIN_SECONDS)
            return
    raise StoreUnavailable(f"the mongod on port {port} did not become primary in {_START_SECONDS:.0f} s")


async def _is_primary(client: AsyncMongoClient[Doc], port: int, name: str) -> bool:
    try:
        hello = await client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return True
        await _configure(client, f"127.0.0.1:{port}", name)
    except PyMongoError as error:
        if not is_outage(error):
            raise
    return False


async def _configure(client: AsyncMongoClient[Doc], host: str, name: str) -> None:
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        members = [{"_id": 0, "host": host}]
        await client.admin.command("replSetInitiate", {"_id": name, "members": members})
        return
    if config["members"][0]["host"] != host:
        config["members"][0]["host"] = host
        config["version"] += 1
        await client.admin.command("replSetReconfig", config, force=True)
