"""The store: one client, one database, and the domain's verbs over it."""

from datetime import timedelta
from typing import Self

import pymongo
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from pipeline.settings import StoreSettings
from pipeline.store import schema
from pipeline.store.audit import Audit, Finding
from pipeline.store.batches import Batches
from pipeline.store.budgets import Budgets
from pipeline.store.changes import Changes
from pipeline.store.cleanup import Cleanup
from pipeline.store.commits import Commits
from pipeline.store.controls import Controls
from pipeline.store.deadlines import Deadlines
from pipeline.store.documents import UPLOAD_GRACE, Documents
from pipeline.store.driver import Client, Doc, make_client, require_replica_set, translated
from pipeline.store.failures import Failures
from pipeline.store.jobs import Jobs
from pipeline.store.keys import Keys
from pipeline.store.limits import Limits
from pipeline.store.listeners import Listeners
from pipeline.store.memories import Memories
from pipeline.store.outputs import Outputs
from pipeline.store.permits import Permits
from pipeline.store.pipelines import Pipelines
from pipeline.store.ponds import Ponds
from pipeline.store.rates import Rates
from pipeline.store.refills import Refills
from pipeline.store.repair import Repairs, Verification
from pipeline.store.reprocesses import Reprocesses
from pipeline.store.reruns import Reruns
from pipeline.store.reuse import Reuse
from pipeline.store.schedules import Schedules
from pipeline.store.strays import Strays
from pipeline.store.tasks import Tasks
from pipeline.store.tenants import Tenants
from pipeline.store.usage import Usage
from pipeline.store.versions import Versions
from pipeline.store.waits import Waits
from pipeline.store.workers import Workers
from pipeline.vault import Vault

PING_SECONDS, CLOSE_SECONDS = 2.0, 2.0


class Store:
    """Everything that Millrace keeps in MongoDB: `async with Store(settings) as store`."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.vault = Vault(settings.secret_key)
        self._client: Client = make_client(settings)
        self.db: AsyncDatabase[Doc] = self._client[settings.database]
        self._timeout = settings.timeout.total_seconds()
        self.documents = Documents(self.db)
        self.jobs = Jobs(self._client, self.db, self._timeout)
        self.deadlines = Deadlines(self.db)
        self.strays = Strays(self.db)
        self.batches = Batches(self._client, self.db, self._timeout)
        self.schedules = Schedules(self.db)
        self.cleanup = Cleanup(self.db, self.documents)
        self.failures = Failures(self.db, self.commits)
        self.tasks = Tasks(self.db)
        self.outputs = Outputs(self.db, self.documents)
        self.reuse = Reuse(self.db)
        self.workers = Workers(self.db)
        self.reruns = Reruns(self._client, self.db, self.workers, self._timeout)
        self.reprocesses = Reprocesses(self.db, self.reruns)
        self.changes = Changes(self.db)
        self.listeners = Listeners(self.db)
        self.pipelines = Pipelines(self.db)
        self.controls = Controls(self.db)
        self.ponds = Ponds(self.db)
        self.limits = Limits(self.db)
        self.rates = Rates(self.db)
        self.refills = Refills(self.db)
        self.waits = Waits(self.db)
        self.tenants = Tenants(self.db)
        self.versions = Versions(self.db)
        self.keys = Keys(self.db)
        self.memories = Memories(self.db)
        self.usage = Usage(self.db)
        self.budgets = Budgets(self.db)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            StoreUnavailable: the server can't be reached.
            NotAReplicaSet: the server has no change streams and transactions.
        """
        try:
            await require_replica_set(self._client)
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect, also from a server that does not answer."""
        with pymongo.timeout(CLOSE_SECONDS):
            await self._client.close()

    def commits(self) -> Commits:
        """Return a committer's session; close it after use."""
        return Commits(self._client, self.db, self._timeout)

    def permits(self, commits: Commits) -> Permits:
        """Return what grants claims under limits, in transactions of this session."""
        return Permits(self.db, self.limits, commits)

    @translated
    async def ping(self) -> None:
        """Ask the server whether it is there, and has a primary which a majority confirms.

        By a linearizable read: a primary that was cut off from the others answers a plain ping, and even a
        majority read, but could not take a document.

        Raises:
            StoreUnavailable: it has not, within two seconds.
        """
        confirmed = self.db["listeners"].with_options(read_concern=ReadConcern("linearizable"))
        with pymongo.timeout(PING_SECONDS):
            await confirmed.find_one({"_id": "readiness"}, {"_id": 1})

    async def audit(self, grace: timedelta = UPLOAD_GRACE) -> list[Finding]:
        """Check every promise over the whole database, in one snapshot.

        Bytes that belong to nobody count from an age of `grace` on.
        """
        return await Audit(self._client, self.db, grace).run()

    async def repair(self, grace: timedelta = UPLOAD_GRACE) -> Verification:
        """Repair what can be repaired safely, also while workers run, and check every promise after it.

        Bytes that belong to nobody are removed from an age of `grace` on.
        """
        commits = self.commits()
        try:
            return await Repairs(self._client, self.db, commits, self._timeout, grace).run()
        finally:
            await commits.close()

    @translated
    async def is_installed(self) -> bool:
        """Tell whether the database is one of Millrace's."""
        return "jobs" in await self.db.list_collection_names()

    async def install(self) -> list[str]:
        """Create collections, validators and indexes; returns what was changed. Idempotent."""
        return await schema.install(self.db)
