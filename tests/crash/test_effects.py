"""A worker that dies right after an effect outside: nobody does it a second time."""

from pathlib import Path

from pipeline.client import Client
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.crash.mailing import MAILS
from tests.records import violations
from tests.support import submit, until, worker_process


async def test_a_mail_is_not_sent_again(store: Store, store_settings: StoreSettings, tmp_path: Path) -> None:
    client, mails = Client(store), tmp_path / "mails"
    mailing, told = "tests.crash.mailing:MAILING", {MAILS: str(mails)}
    job = (await submit(client, "mailing")).id
    async with worker_process(store_settings, mailing, "--name", "first", **told) as process:
        await process.wait()
    await release_worker(store, "first")
    async with worker_process(store_settings, mailing, "--name", "second", **told):
        view = await until(store, job)
        assert (view.state, view.stages[0].attempt) == ("failed", 2)
        assert view.error is not None
        assert view.error.type == "InDoubt"
        [key] = mails.read_text().splitlines()
        await client.retry(job)  # the doubt is still there
        view = await until(store, job)
        assert view.state == "failed"
        await client.retry(job, "mail")
        assert (await until(store, job)).state == "succeeded"
    before, after = mails.read_text().splitlines()
    assert before == key != after
    assert await violations(store) == {}
