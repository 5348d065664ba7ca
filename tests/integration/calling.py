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


CALLING = Pipeline("calling", [read, call])
PLAIN = Pipeline("plain", [plain_call])


def _request(task: str) -> None:
    with MongoClient(os.environ["MILLRACE_MONGODB_URI"]) as client:
        database = client[os.environ["MILLRACE_DATABASE"]]
        database["requests"].insert_one({"task": task, "pid": os.getpid()})
        state = database["outside"].find_one({"_id": SERVICE}) or {}
    match state.get("is"):
        case "away":
            pause = state.get("retry_after")
            raise Unavailable(
                SERVICE, "no paper", retry_after=None if pause is None else timedelta(seconds=pause)
            )
        case "failing":
            raise TemporaryError("it is jammed")
        case "hanging":
            time.sleep(3600)
