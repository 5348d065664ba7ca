"""What is done to a town, one after the other: each returns what it did, in words."""

import signal
from collections.abc import Awaitable, Callable, Sequence

import anyio

from tests.chaos.kept import Kept
from tests.chaos.town import LEASE, Town
from tests.cursors import kill_change_streams

Fault = Callable[[Town], Awaitable[str]]


async def kill_worker(town: Town) -> str:
    return _kill(town, town.victim())


async def stop_worker(town: Town) -> str:
    """A restart, as a deploy does it."""
    victim = town.victim()
    town.deeds.stopped.add(victim.name)
    return f"SIGTERM to {victim.name}" if victim.signal(signal.SIGTERM) else "nothing"


async def pause_worker(town: Town) -> str:
    """Stop it in its tracks, for longer than its leases last."""
    victim = town.victim()
    if not victim.signal(signal.SIGSTOP):
        return "nothing"
    town.deeds.paused.add(victim.name)
    town.group.start_soon(_resume, victim, victim.name)
    return f"SIGSTOP of {victim.name} for {1.5 * LEASE} s"


async def _resume(victim: Kept, name: str) -> None:
    await anyio.sleep(1.5 * LEASE)
    if victim.name == name:
        victim.signal(signal.SIGCONT)


async def kill_child(town: Town) -> str:
    """Kill a child process of any worker, at work or not."""
    children = [child for worker in town.workers for child in worker.children()]
    if not children:
        return "nothing"
    child = town.random.choice(children)
    town.deeds.children_killed += 1
    child.kill()
    return f"kill -9 of child {child.pid}"


async def kill_api(town: Town) -> str:
    return _kill(town, town.apis[-1])


def _kill(town: Town, victim: Kept) -> str:
    town.deeds.killed.add(victim.name)
    return f"kill -9 of {victim.name}" if victim.signal(signal.SIGKILL) else "nothing"


async def step_down(town: Town) -> str:
    member = await town.replicas.step_down()
    await town.replicas.primary()
    return f"step-down of {member.address}"


async def kill_primary(town: Town) -> str:
    """Kill the primary, and have it back some seconds later."""
    member = await town.replicas.primary()
    await member.kill()
    await anyio.sleep(town.random.uniform(1, 8))
    await member.start()
    with anyio.fail_after(90):
        await member.synced()
    return f"kill -9 of the primary {member.address}, and its restart"


async def kill_cursors(town: Town) -> str:
    return f"killed {await kill_change_streams(town.store.db)} change streams"


OF_PROCESSES: Sequence[Fault] = (
    kill_worker,
    kill_worker,
    stop_worker,
    pause_worker,
    kill_child,
    kill_api,
    kill_cursors,
)
OF_MEMBERS: Sequence[Fault] = (step_down, kill_primary)
"""Only for a set of three."""
