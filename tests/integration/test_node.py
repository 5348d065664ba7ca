"""A Node application submits with the npm driver `mongodb`, by itself and in a transaction of its own."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.store import Store
from tests.records import violations
from tests.support import COUNTING, running, until

FOLDER = Path(__file__).parent.parent / "node"


async def node(store: Store, end: str) -> Any:
    """Run `submit.js`; without Node, or its driver, the test fails and says what to do."""
    if shutil.which("node") is None:
        pytest.fail("there is no `node`: install Node 18 or later (Debian: apt-get install nodejs npm)")
    if not (FOLDER / "node_modules" / "mongodb").is_dir():
        pytest.fail(f"Node's driver is not installed: run `npm ci` in {FOLDER}, or `make test`")
    uri = store.settings.mongodb_uri
    assert uri is not None
    command = ["node", str(FOLDER / "submit.js"), uri.get_secret_value(), store.settings.database, end]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, check=False, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("end", ["commit", "abort"])
async def test_a_job_inserted_by_node_runs_and_lives_or_dies_with_its_transaction(
    store: Store, end: str
) -> None:
    await store.db.create_collection("orders")
    async with running(store, COUNTING):
        told = await node(store, end)
        # The stream is in order: once the later job has ended, nothing of an earlier one is on its way.
        assert (await until(store, told["alone"])).state == "succeeded"
        if end == "commit":
            assert (await until(store, told["beside"])).state == "succeeded"
    assert told["refused"] == 121  # by the database's validator
    output = await store.db["outputs"].find_one({"_id": f"{told['alone']}:count:1"})
    assert output is not None
    assert output["body"] == {"words": 3}
    there = int(end == "commit")
    assert await store.db["orders"].count_documents({}) == there
    assert await store.db["jobs"].count_documents({"_id": told["beside"]}) == there
    assert await store.db["tasks"].count_documents({"job": told["beside"]}) == 2 * there
    assert await violations(store) == {}
