"""The primary is cut off from the others, and a worker with it, in the middle of a document."""

from collections import Counter
from pathlib import Path

from pipeline.client import Client
from tests.faults.conftest import installed, settings_of
from tests.faults.gate import PAGE, PAGES, gate
from tests.records import violations
from tests.replica_set import ReplicaSet
from tests.support import submit, until

LEASE, TIMEOUT = "3", "5"


async def test_a_worker_in_the_minority_loses_its_lease_and_goes_on_after_the_partition(
    networked: ReplicaSet, tmp_path: Path
) -> None:
    minority = await networked.primary()
    majority = networked.others(minority)
    here = tuple(minority.inside)
    async with gate(tmp_path) as shut, installed(settings_of(networked)) as store:
        async with shut.worker(
            store.settings, "minority", inside=here, MILLRACE_WORKER_LEASE=LEASE, MILLRACE_TIMEOUT=TIMEOUT
        ) as cut:
            held = await shut.held(store, 2)
            before = (await submit(Client(store), "pages", b"acknowledged, not claimed")).id
            shut.remove()
            await networked.partition([minority])
            await networked.primary(majority)
            async with shut.worker(
                store.settings, "majority", MILLRACE_WORKER_LEASE=LEASE, MILLRACE_TIMEOUT=TIMEOUT
            ) as other:
                during = (await submit(Client(store), "pages", b"acknowledged meanwhile")).id
                rescued = [await until(store, each) for each in held]
                untouched = [await until(store, each) for each in (before, during)]
                shut.close()  # the attempts in the minority have something to save now
                await networked.heal()
                other.terminate()
                assert await other.wait() == 0
            after = (await submit(Client(store), "pages", b"for the one that was cut off")).id
            untouched.append(await until(store, after))
            assert cut.returncode is None
        assert [(end.state, end.stages[0].attempt) for end in rescued] == [("succeeded", 2)] * 2
        assert [(end.state, end.stages[0].attempt) for end in untouched] == [("succeeded", 1)] * 3
        # Of the two that were held, the page in flight ran again, and nothing after it ran twice.
        assert Counter(shut.ran()) == {page: 7 if page == PAGE else 5 for page in range(1, PAGES + 1)}
        assert await violations(store) == {}
