"""The state machine without its rules: the world, the model beside it, and something to pick from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from pipeline.model import Task
from tests.properties.actions import Action, Claim, Commit, Race, Submit, told
from tests.properties.chain import STAGES
from tests.properties.changes import Entry
from tests.properties.model import ENDED, Model
from tests.properties.view import compare, compare_history
from tests.properties.world import WORKERS, Doc, Seen, World

T = TypeVar("T")


class Bench(RuleBasedStateMachine):
    """Does steps, compares the database with the model after each, and finds things to do steps with.

    What is drawn never depends on the database: a rule gets numbers, and picks by them, so that the same
    numbers stay the same program however a race comes out. Where there is nothing to pick, it is made.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.model = Model()
        self.jobs: list[Doc] = []
        self.claims: list[Task] = []
        """Every claim that was ever granted; its holder goes on using it."""
        self.entries: list[Entry] = []
        """Every change that was ever committed, or refused."""
        self.running: dict[str, Doc] = {}
        """Running tasks as they were seen, by claim_id: what a slow rescuer may hold."""
        self.overdue: list[tuple[str, str | None]] = []
        """Overdue jobs as they were seen, with the task that was open."""
        self._before: Seen | None = None
        self._possible: list[Model] = []
        self._told: list[str] = []
        self._sound = True
        world.run(world.clear)

    def teardown(self) -> None:
        if self._sound:
            findings = self.world.run(self.world.store.audit)
            assert {each.promise: each.examples for each in findings if each.violations} == {}

    def step(self, action: Action) -> Any:
        """Do it, and compare; returns the engine's answer."""
        with self._checking():
            answer = self.world.run(lambda: action.perform(self.world))
            self._told.append(f"{action} -> {told(answer)}")
            action.check(self.model, answer)
            self._remember(action, answer)
            self._look()
        return answer

    def race(self, first: Action, second: Action) -> None:
        """Do both at the same time; either order must explain the answers and what is there."""
        race = Race(first, second)
        with self._checking():
            answers = self.world.run(lambda: race.perform(self.world))
            self._told += [
                f"{action} -> {told(answer)} ({place} of two at once)"
                for action, answer, place in zip((first, second), answers, ("first", "second"), strict=True)
            ]
            self._possible = race.outcomes(self.model, answers)
            assert self._possible, "no order of the two explains their answers"
            for answer, action in zip(answers, (first, second), strict=True):
                self._remember(action, answer)
            self._look()

    def commit(self, by: int, entries: Sequence[Entry]) -> None:
        if entries:
            self.step(Commit(entries, by))

    def advance(self, seconds: int) -> None:
        with self._checking():
            self._told.append(f"{seconds} s later")
            self.world.run(lambda: self.world.advance(seconds))
            self.model.now += seconds
            self._look()

    def job(self, which: int, among: Callable[[str], bool] = lambda _: True) -> Doc:
        """A job, counted from the newest, of those whose state is wanted; a new one when there is none."""
        wanted = [each for each in self.jobs if among(self.state(each))]
        return pick(wanted, which) if wanted else self.new_job()

    def new_job(self, priority: int = 0, run_in: int | None = None, deadline_in: int | None = None) -> Doc:
        job: Doc = self.step(Submit(priority, run_in, deadline_in))
        return job

    def failed_job(self, which: int) -> Doc:
        if all(self.state(each) != "failed" for each in self.jobs):
            self.commit(0, [Entry("fail", self.holder(which))])
        return self.job(which, "failed".__eq__)

    def holder(self, which: int, *, stale: bool = False) -> Task:
        """A holder of a lease; with `stale` any that ever held one."""
        if not any(self.model.holds(each) for each in self.claims):
            if not self.model.claimable(STAGES):
                self.commit(0, [Entry("admit", self.new_job())])
            self.step(Claim(WORKERS[which % len(WORKERS)], STAGES, 2))
        return pick([each for each in self.claims if stale or self.model.holds(each)], which)

    def abandoned(self, which: int, *, early: bool = False) -> Doc:
        """A task as it was seen running, whose lease has run out; with `early` any."""
        if not self.model.expired():
            self.holder(which)
            if not early:
                self.advance(300)
        expired = self.model.expired()
        return pick([each for each in self.running.values() if early or each["_id"] in expired], which)

    def late_job(self, which: int) -> tuple[str, str | None]:
        """A job that was seen to be overdue, perhaps long ago, with the task that was open then."""
        if not self.overdue:
            job = self.new_job(deadline_in=350)
            if which % 2:
                self.commit(0, [Entry("admit", job)])
            self.advance(400)
        self.world.run(self.world.store.deadlines.index)
        self.overdue += self.world.run(lambda: self.world.store.deadlines.overdue(100))
        self.overdue = list(dict.fromkeys(self.overdue))
        return pick(self.overdue, which)

    def state(self, job: Doc) -> str:
        return self.model.jobs[job["_id"]].state

    def ended(self, which: int) -> Doc:
        return self.job(which, lambda state: state in ENDED)

    def _remember(self, action: Action, answer: Any) -> None:
        if isinstance(action, Claim):
            self.claims += answer
        elif isinstance(action, Commit):
            self.entries += [each for each in action.entries if each not in self.entries]
        elif isinstance(action, Submit):
            self.jobs.append(answer)

    @contextmanager
    def _checking(self) -> Iterator[None]:
        """Tell with a failure what had happened: a race may not come out so again."""
        self._sound = False
        try:
            yield
        except AssertionError as error:
            story = "\n  ".join(["What had happened:", *self._told])
            for number, job in enumerate(self.jobs, 1):
                story = story.replace(job["_id"], f"job{number}")
            error.add_note(story)
            raise
        self._sound = True

    def _look(self) -> None:
        seen = self.world.run(self.world.look)
        if self._possible:
            fitting = [each for each in self._possible if not compare(each, seen, self.world.began)]
            self.model, self._possible = (fitting or self._possible)[0], []
        assert not compare(self.model, seen, self.world.began)
        assert not compare_history(self._before, seen)
        self._before = seen
        running = (each for each in seen.tasks.values() if each["state"] == "running")
        self.running |= {each["lease"]["claim_id"]: each for each in running}


def pick(among: Sequence[T], which: int) -> T:
    """One of several, counted from the newest."""
    return among[-1 - which % len(among)]
