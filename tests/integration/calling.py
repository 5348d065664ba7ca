"""Pipelines that call a service outside, which is as a document in the database says, and count that."""

import os
import time
from datetime import timedelta

from pymongo import MongoClient

from pipeline import Document, Pipeline, RetryPolicy, StageContext, TemporaryError, Unavailable, stage
from tests.support import Count, Text, read

SERVICE = "printer"


@stage(name="call", retry=RetryPolicy(max_attempts=2))
def call(text: Text, context: StageContext) -> Count:
    """Call the service."""
    with context.service(SERVICE):
        _request(context.task)
    return Count(words=len(text.text.split()))


@stage(name="plain-call")
def plain_call(document: Document, context: StageContext) -> Text:
    """Call it, and tell nothing but that it is away."""
    _request(context.task)
    return Text(text="")


@stage(name="own-call", service="llm/{tenant}")
def own_call(text: Text, context: StageContext) -> Count:
    """Call the service of the job's tenant."""
    name = own_service(context.job)
    with context.service(name):
        _request(context.task, name)
    return Count(words=len(text.text.split()))


@stage(name="own-first-call", service="llm/{tenant}")
def own_first_call(document: Document, context: StageContext) -> Text:
    """Do so in a first stage."""
    name = own_service(context.job)
    with context.service(name):
        _request(context.task, name)
    return Text(text="")


def own_service(job: str) -> str:
    """Return what the service of a job's tenant is called."""
    return f"llm/{job.partition('.')[0]}"


OWN = Pipeline("own", [read, own_call])
OWN_FIRST = Pipeline("own-first", [own_first_call])
CALLING = Pipeline("calling", [read, call])
PLAIN = Pipeline("plain", [plain_call])


def _request(task: str, service: str = SERVICE) -> None:
    with MongoClient(os.environ["MILLRACE_MONGODB_URI"]) as client:
        database = client[os.environ["MILLRACE_DATABASE"]]
        database["requests"].insert_one({"task": task, "pid": os.getpid()})
        state = database["outside"].find_one({"_id": service}) or {}
    match state.get("is"):
        case "away":
            pause = state.get("retry_after")
            raise Unavailable(
                service, "no paper", retry_after=None if pause is None else timedelta(seconds=pause)
            )
        case "failing":
            raise TemporaryError("it is jammed")
        case "hanging":
            time.sleep(3600)
