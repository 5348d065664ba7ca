"""The built-in task `cleanup`: ended jobs after their retention, files of nobody after a grace period.

Every removal is complete in itself, so that a cleanup may die anywhere: the next one goes on.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from pipeline.scheduler import Keep
from pipeline.store import Store
from pipeline.store.commits import Commits
from pipeline.store.documents import UPLOAD_GRACE

ORPHAN_GRACE = timedelta(days=1)
"""Age from which a file counts as nobody's: its submitter may be about to insert the job for longer than one
of our own uploads takes, which has an intent."""


async def cleanup(
    store: Store, commits: Commits, keep: Keep, *, grace: timedelta = ORPHAN_GRACE
) -> Mapping[str, int]:
    """Remove what is over, of all tenants that have a retention; returns what was removed, counted.

    Raises:
        LeaseLost: somebody else does it now.
        StoreUnavailable: the database is away.
    """
    done = Counter(jobs=0, batches=0, files=0)
    for tenant, retention in (await store.cleanup.retentions()).items():
        async for page in store.cleanup.ended_jobs(tenant, retention):
            await keep()
            for job in page:
                done["jobs"] += await store.cleanup.remove_job(job, retention, commits)
        done["batches"] += await store.cleanup.remove_batches(tenant, retention)
    done["files"] += await store.documents.sweep(UPLOAD_GRACE)
    async for files in store.cleanup.files_of_nobody(grace):
        await keep()
        for file in files:
            done["files"] += await store.documents.discard_unused(file)
    return done
