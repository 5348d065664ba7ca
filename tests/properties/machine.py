"""Any order of everything that may happen to jobs, by several workers, with holders that never give up."""

from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.properties.actions import Action, Ask, Claim, Commit, Expire, Release, Renew, Rescue
from tests.properties.bench import Bench, pick
from tests.properties.chain import STAGES
from tests.properties.changes import Entry, Move
from tests.properties.world import WORKERS

Racer = Literal["admit", "claim", "renew", "rescue", "cancel", "retry", "expire"] | Move

numbers = st.integers(0, 11)
"""Which of several, counted from the newest."""
workers = st.integers(0, len(WORKERS) - 1)
rarely = st.sampled_from([False, False, False, True])
moves: st.SearchStrategy[Move] = st.sampled_from(
    ["complete", "complete", "fail", "temporary", "put off", "snooze", "interrupt", "save a", "save b"]
)
racers: st.SearchStrategy[Racer] = st.sampled_from(
    ["admit", "claim", "renew", "rescue", "cancel", "retry", "expire", "complete", "temporary", "save a"]
)


class Engine(Bench):
    """The rules: what people do, what workers do, what time brings."""

    @rule(
        priority=st.sampled_from([0, 5]),
        run_in=st.sampled_from([None, None, 150]),
        deadline_in=st.sampled_from([None, None, 350]),
    )
    def submit(self, priority: int, run_in: int | None, deadline_in: int | None) -> None:
        self.new_job(priority, run_in, deadline_in)

    @rule(which=numbers, stranger=rarely)
    def cancel(self, which: int, stranger: bool) -> None:
        tenant = "stranger" if stranger else "default"
        self.step(Ask("cancel", self.job(which)["_id"], tenant=tenant))

    @rule(which=numbers, anything=rarely)
    def retry(self, which: int, anything: bool) -> None:
        job = self.job(which) if anything else self.failed_job(which)
        self.step(Ask("retry", job["_id"]))

    @rule(which=numbers, stage=st.sampled_from(STAGES), anything=rarely)
    def rerun(self, which: int, stage: str, anything: bool) -> None:
        job = self.job(which) if anything else self.ended(which)
        self.step(Ask("rerun", job["_id"], stage))

    @rule(by=workers, which=numbers, anything=rarely, times=st.sampled_from([1, 1, 2]))
    def admit(self, by: int, which: int, anything: bool, times: int) -> None:
        """By one worker, perhaps twice in one commit."""
        job = self.job(which) if anything else self.job(which, "submitted".__eq__)
        self.commit(by, [Entry("admit", job) for _ in range(times)])

    @rule(
        by=workers, stages=st.sampled_from([STAGES, STAGES, STAGES[:1], STAGES[1:]]), limit=st.integers(1, 3)
    )
    def claim(self, by: int, stages: tuple[str, ...], limit: int) -> None:
        self.step(Claim(WORKERS[by], stages, limit))

    @rule(some=st.lists(st.tuples(numbers, rarely), min_size=1, max_size=3))
    def renew(self, some: list[tuple[int, bool]]) -> None:
        picked = [self.holder(which, stale=stale) for which, stale in some]
        self.step(Renew(list({task.id: task for task in picked}.values())))  # a worker holds a task once

    @rule(by=workers, several=st.lists(st.tuples(moves, numbers, rarely), min_size=1, max_size=3))
    def end_attempts(self, by: int, several: list[tuple[Move, int, bool]]) -> None:
        """One group commit of what attempts came to; the same attempt may be among them twice."""
        self.commit(by, [Entry(move, self.holder(which, stale=stale)) for move, which, stale in several])

    @rule(by=workers)
    def work(self, by: int) -> None:
        """Admit everything, claim everything, complete everything."""
        self.commit(by, [Entry("admit", job) for job in self.jobs if self.state(job) == "submitted"])
        claims = self.step(Claim(WORKERS[by], STAGES, 12))
        self.commit(by, [Entry("complete", task) for task in claims])

    @rule(by=workers, which=numbers)
    def commit_again(self, by: int, which: int) -> None:
        """As after an answer that was lost."""
        if self.entries:
            self.commit(by, [pick(self.entries, which)])

    @rule(seconds=st.sampled_from([100, 300]))
    def wait(self, seconds: int) -> None:
        self.advance(seconds)

    @rule(by=workers, which=numbers, early=rarely)
    def rescue(self, by: int, which: int, early: bool) -> None:
        self.step(Rescue(self.abandoned(which, early=early), by))

    @rule(by=workers)
    def release(self, by: int) -> None:
        self.step(Release(WORKERS[by]))

    @rule(by=workers, which=numbers, late=rarely)
    def expire(self, by: int, which: int, late: bool) -> None:
        """End a job that was seen to be overdue; with `late` its work went on after that."""
        seen = self.late_job(which)
        if late:
            self.work((by + 1) % len(WORKERS))
        self.step(Expire(*seen, by))

    @rule(one=st.tuples(racers, numbers), other=st.tuples(racers, numbers))
    def run_beside(self, one: tuple[Racer, int], other: tuple[Racer, int]) -> None:
        if {one[0], other[0]} not in ({"claim", "cancel"}, {"claim", "expire"}):
            # A claim whose task ends before it has read it says nothing of it: that is no order of the two.
            first, second = self.racer(*one, by=0), self.racer(*other, by=1)
            self.race(first, second)

    def racer(self, kind: Racer, which: int, by: int) -> Action:
        match kind:
            case "admit":
                return Commit([Entry("admit", self.job(which, "submitted".__eq__))], by)
            case "claim":
                return Claim(WORKERS[by], STAGES, 1 + which % 3)
            case "rescue":
                return Rescue(self.abandoned(which), by)
            case "expire":
                return Expire(*self.late_job(which), by)
            case "cancel":
                return Ask("cancel", self.job(which)["_id"])
            case "retry":
                return Ask("retry", self.failed_job(which)["_id"])
            case "renew":
                return Renew([self.holder(which)])
            case _:
                return Commit([Entry(kind, self.holder(which))], by)
