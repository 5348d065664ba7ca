"""Millrace beside other queues: the same chain, on the same machine, in the same run.

`python -m benchmarks.peers` measures everything, `--short` in a tenth of the time, names only some
(`millrace poller`). What is compared is a chain of three stages that do nothing: a document of two bytes goes
into the first, what each returns goes into the next, and the submitter sees what the last one returned.
What a stage returned is durable before the next one begins, and so is the end before it can be seen.

Durable
    PostgreSQL as it comes: fsync and synchronous_commit on. Redis with an append-only file and
    `appendfsync always`. RabbitMQ with durable queues, persistent messages and publisher confirms, the
    results in such a Redis. mongod with majority and journal. Servers are started here for each peer, with
    empty data in one temporary folder on the same disk, and stopped by their process id.

Measured
    Throughput: chains that were submitted before are worked off by one worker process; from its first work
    to the last end seen from outside. Latency: the worker is idle, and one chain at a time is submitted,
    20 to 80 ms after the last one ended: from the submission to the final result in the submitter's hands.
    Medians of three rounds, one in the short form. Every peer has its documented settings for short tasks,
    each says which, and those of its concurrency are tried with fewer chains before: the best is measured.

What is not fair about it
    One machine, one process, tasks that cost nothing: most queues are built to run many worker processes,
    and beside real work their overhead disappears. What a crash of the worker does differs: Huey loses the
    tasks in its hands, SAQ, Dramatiq and Celery deliver them again after a timeout; PgQueuer and
    Procrastinate, as used here, enqueue the next stage in one commit and end this one in another, so a
    crash between them runs a stage twice. Millrace and DBOS write every stage's result, Millrace also its
    input's hash, attempt, lease and times, which the others don't do. Procrastinate and PgQueuer keep no
    results, so their last stage writes one row. Where a library has no way to be told of a result, its
    submitter asks every 2 ms. Servers have default memory and no tuning but durability; disks differ in
    what an fsync costs. And we know our own engine best.

To install the peers and their servers on Debian or Ubuntu; the servers that apt may start are not used::

    apt-get install --yes postgresql redis-server rabbitmq-server && make .venv-peers/ready

A peer whose library or server is missing is named in the table with what installs it.
"""
