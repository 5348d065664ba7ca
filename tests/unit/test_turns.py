"""Turns: who acts first for a job, and who after that when nobody did."""

import asyncio

import anyio
import pytest
from anyio.abc import TaskGroup

from pipeline.turns import STEP, Peers, Turns

NAMES = [f"worker-{number}" for number in range(5)]
JOBS = [f"default.{number:020x}" for number in range(200)]
QUEUE, OTHER = "test@1/first", "test@1/second"
OWN = {"_id": "own", "queues": [], "alive": True}


def crowd(queues: tuple[str, ...] = (QUEUE,), names: list[str] = NAMES) -> list[Peers]:
    """The same workers, as each of them sees them."""
    everybody = [{"_id": name, "queues": queues, "alive": True} for name in names]
    crowd = [Peers(name, queues) for name in names]
    for peers in crowd:
        peers.replace(everybody)
    return crowd


def job_of_rank(peers: Peers, rank: int, *, but: str = "") -> str:
    return next(job for job in JOBS if job != but and peers.rank(job, QUEUE) == rank)


def test_every_job_ranks_all_workers_and_each_comes_first_for_some() -> None:
    workers = crowd()
    firsts = set()
    for job in JOBS:
        ranks = [peers.rank(job, QUEUE) for peers in workers]
        assert sorted(ranks) == [0, 1, 2, 3, 4]
        assert [peers.first(job, QUEUE) for peers in workers] == [rank == 0 for rank in ranks]
        firsts.add(ranks.index(0))
    assert firsts == {0, 1, 2, 3, 4}


def test_a_worker_that_goes_leaves_the_order_of_the_others_as_it_was() -> None:
    workers = crowd()
    before = {job: sorted(range(4), key=lambda each: workers[each].rank(job, QUEUE)) for job in JOBS}
    for peers in workers[:4]:
        peers.leave(NAMES[4])
    for job in JOBS:
        assert [workers[each].rank(job, QUEUE) for each in before[job]] == [0, 1, 2, 3]


def test_only_those_count_who_claim_from_the_queue() -> None:
    own = Peers("own", [QUEUE, OTHER])
    own.join("elsewhere", [OTHER])
    job = next(job for job in JOBS if own.rank(job, OTHER) == 1)
    assert not own.first(job, OTHER)
    assert (own.rank(job, QUEUE), own.first(job, QUEUE)) == (0, True)
    assert own.rank(job, None) == 1  # nobody knows the queue: anybody may come first


def test_one_that_begins_nothing_is_there_all_the_same() -> None:
    own = Peers("own", [QUEUE])
    assert own.sole
    own.join("other", [QUEUE])
    own.drain("other")
    assert (own.alone, own.sole) == (True, False)
    own.leave("other")
    assert own.sole
    own.replace([OWN, {"_id": "other", "alive": True}], drained=["other"])
    assert (own.alone, own.sole) == (True, False)
    own.leave("other")
    own.join("own", [QUEUE])
    assert own.sole


def test_one_that_is_silent_may_be_back() -> None:
    own = Peers("own", [QUEUE])
    own.replace([OWN, {"_id": "other", "queues": [QUEUE], "alive": False}])
    assert (own.alone, own.sole) == (True, False)
    own.replace([OWN])  # as of before it came: only that it left would take it away
    assert (own.alone, own.sole) == (True, False)
    own.leave("other")
    assert own.sole


def test_workers_come_and_go_and_this_one_is_always_there() -> None:
    own = Peers("own", [QUEUE])
    assert (own.alone, own.count) == (True, 1)
    own.join("other", [QUEUE])
    assert (own.alone, own.count) == (False, 2)
    own.leave("other")
    own.leave("other")
    own.leave("own")
    assert (own.alone, own.count) == (True, 1)
    own.replace([{"_id": "other", "queues": [QUEUE], "alive": True}, {"_id": "no queues", "alive": True}])
    assert own.count == 3
    job = next(job for job in JOBS if own.rank(job, None) == 2)
    assert own.rank(job, QUEUE) == 1
    own.replace([OWN])
    assert own.alone
    other = Peers("other", [QUEUE])
    other.join("own", [QUEUE])
    own.join("other", [QUEUE])
    assert all(own.first(job, QUEUE) != other.first(job, QUEUE) for job in JOBS)


class Clock:
    """The loop's time, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = float(int(asyncio.get_running_loop().time()) + 1)  # whole: steps add up exactly

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        await settled()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock.now)
    return clock


async def settled() -> None:
    """Let whatever can go on do so."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def peers() -> Peers:
    return crowd()[0]


async def listening(group: TaskGroup, turns: Turns) -> list[int | None]:
    came: list[int | None] = []

    async def listen() -> None:
        while True:
            came.append(await turns.next())

    group.start_soon(listen)
    await settled()
    return came


async def test_the_first_acts_at_once_and_its_turn_never_comes_again(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        job = job_of_rank(peers, 0)
        assert turns.mine(job, QUEUE, 0)
        assert not turns.others(job)
        await clock.advance(100 * STEP)
        assert came == []
        group.cancel_scope.cancel()


async def test_whoever_is_alone_acts_at_once(clock: Clock) -> None:
    turns = Turns(Peers("own", [QUEUE]))
    assert all(turns.mine(job, queue, None) for job in JOBS for queue in (QUEUE, OTHER, None))


async def test_the_others_act_after_their_steps_the_higher_ranks_first(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        for rank in (4, 3, 2, 1):
            assert not turns.mine(job_of_rank(peers, rank), QUEUE, rank)
        await clock.advance(STEP / 2)
        assert came == []
        assert turns.others(job_of_rank(peers, 1))
        await clock.advance(STEP / 2)
        assert came == [2]  # of the first and the second: both have waited one step
        assert not turns.others(job_of_rank(peers, 1))
        assert turns.others(job_of_rank(peers, 3))
        await clock.advance(STEP)
        assert came == [2, 4]
        await clock.advance(100 * STEP)
        assert came == [2, 4]
        group.cancel_scope.cancel()


async def test_what_somebody_has_begun_is_nobody_elses_turn(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        begun = job_of_rank(peers, 1)
        left = job_of_rank(peers, 1, but=begun)
        turns.mine(begun, QUEUE, 9)
        turns.mine(left, QUEUE, 3)
        turns.settle(begun)
        assert not turns.others(begun)
        await clock.advance(STEP)
        assert came == [3]
        group.cancel_scope.cancel()


async def test_a_priority_that_is_not_known_may_be_any(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        known = job_of_rank(peers, 1)
        turns.mine(known, QUEUE, 9)
        turns.mine(job_of_rank(peers, 1, but=known), QUEUE, None)
        await clock.advance(STEP)
        assert came == [None]
        group.cancel_scope.cancel()


async def test_a_turn_that_comes_earlier_than_all_others_is_not_missed(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        turns.mine(job_of_rank(peers, 3), QUEUE, 3)
        await settled()  # waits for that one now
        turns.mine(job_of_rank(peers, 1), QUEUE, 1)
        await clock.advance(STEP)
        assert came == [1]
        await clock.advance(STEP)
        assert came == [1, 3]
        group.cancel_scope.cancel()


async def test_who_hears_of_a_job_again_waits_anew(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        job = job_of_rank(peers, 1)
        turns.mine(job, QUEUE, 1)
        await clock.advance(STEP / 2)
        turns.mine(job, QUEUE, 2)
        await clock.advance(STEP / 2)
        assert came == []
        await clock.advance(STEP / 2)
        assert came == [2]
        group.cancel_scope.cancel()


async def test_who_is_first_by_now_need_not_wait_any_longer(clock: Clock, peers: Peers) -> None:
    turns = Turns(peers)
    async with anyio.create_task_group() as group:
        came = await listening(group, turns)
        job = job_of_rank(peers, 1)
        assert not turns.mine(job, QUEUE, 0)
        for name in NAMES[1:]:
            peers.leave(name)
        assert turns.mine(job, QUEUE, 0)
        assert not turns.others(job)
        await clock.advance(STEP)
        assert came == []
        group.cancel_scope.cancel()
