"""A pipeline whose stage says, in the database, when it runs: for limits over several worker processes."""

import os
import time

from pydantic import BaseModel
from pymongo import MongoClient

from pipeline import Document, Pipeline, StageContext, stage


class Span(BaseModel):
    begun: float
    ended: float


class Params(BaseModel):
    account: str = ""


@stage(name="work", key="account/{account}")
def work(document: Document, context: StageContext, params: Params) -> Span:
    """Hold its slot for a moment, noted by the machine's one monotonic clock."""
    begun = time.monotonic()
    with MongoClient(os.environ["MILLRACE_MONGODB_URI"]) as client:
        runs = client[os.environ["MILLRACE_DATABASE"]]["runs"]
        runs.insert_one({"task": context.task, "account": params.account})
    time.sleep(0.05)
    return Span(begun=begun, ended=time.monotonic())


CAPPED = Pipeline("capped", [work])
