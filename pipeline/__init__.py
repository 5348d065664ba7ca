"""Millrace's engine: a pipeline of stages over documents, on MongoDB change streams.

One direction
    ``jobs.insert`` → change stream → `listener` → `wakeups`: there may be work, and whose `turns` it is →
    `claimer`: free slots → `intake`: submitted jobs are admitted and begun at once (`admitter`), ready
    tasks are claimed → `runner`: an attempt by the `executor`, its outcome → `transitions` → `committer`:
    one transaction for many tasks with their end, output and successor; `handoff`: the same worker goes
    on with that, or it is a change again. Nothing flows back: a stage sees no database, a listener looks
    into no job, watching only reads.

Words
    document     the bytes that a user submits
    pipeline     ordered stages, with a name and a version
    batch        many jobs as one: totals, and one end
    schedule     what is due again and again, at each tick: a job, or a built-in task
    stage        one kind of work
    job          one document's trip through one pipeline: submitted, running, then succeeded, failed
                 or cancelled
    task         one stage of one job, which is claimed: ready, running, succeeded, failed, cancelled
    attempt      one execution of a task, counted by its claim
    lease        the time-limited right to run a task: `claim_id`, `fence`, worker, until; renewed
    rescue       give back a task whose lease ran out
    outcome      what an attempt produced, in memory; a transition is the write that it causes
    output       what a stage wrote; a checkpoint is a part of it, saved inside an attempt
    effect       what a stage does outside of MongoDB, and must not do twice
    progress     how far a stage is, as people see it
    usage        what requests to services outside took and cost: a record for each, made before it is asked;
                 unsettled while nobody knows how it ended
    budget       what a job may use in all, a tenant or everybody on one day (UTC)
    wakeup       "look, there may be work"
    stray        a submitted job of which no live worker knows the pipeline
    backlog      the submitted jobs that nobody has admitted yet
    hand-off     a stage's end creates the next stage's task; sticky: claimed already, by the same worker
    turn         of many workers that hear of a job, one acts at once, the others only if it doesn't
    service      what stages call outside of Millrace; while it is away its breaker is open for all workers,
                 the stages that use it are parked, and now and then one attempt goes through: the probe
    gate         closed while its subject (a stage, a pipeline, a tenant, a worker) is paused, or parked
    limit        how many tasks of a stage, a tenant or a key may run at once, over all workers, and rates
    rate         so many units in each interval: attempts begun, or what stages name as their cost
    pond         a queue beside a stage's, of tasks that one subject holds back
    share        of the slots: of equal priority, the tenant that has had least goes first
    gap          a stretch of the change stream that can't be read any more; a reconciliation heals it
    worker       a process that claims; a slot is its unit of concurrency
    soft stop    stop claiming; a hard stop interrupts what runs
"""

from pipeline.context import StageContext
from pipeline.cost import Cost
from pipeline.document import Document
from pipeline.errors import (
    BudgetExceeded,
    ChildError,
    ChildProcessDied,
    DaySpent,
    InDoubt,
    InvalidAnswer,
    PermanentError,
    Snooze,
    TemporaryError,
    Unavailable,
)
from pipeline.progress import Progress
from pipeline.stage import Pipeline, RetryPolicy, Stage, stage
from pipeline.tariff import Price, Tariff
from pipeline.trial import run_stage
from pipeline.usage import Budget, Spent

__all__ = [
    "Budget",
    "BudgetExceeded",
    "ChildError",
    "ChildProcessDied",
    "Cost",
    "DaySpent",
    "Document",
    "InDoubt",
    "InvalidAnswer",
    "PermanentError",
    "Pipeline",
    "Price",
    "Progress",
    "RetryPolicy",
    "Snooze",
    "Spent",
    "Stage",
    "StageContext",
    "Tariff",
    "TemporaryError",
    "Unavailable",
    "run_stage",
    "stage",
]
