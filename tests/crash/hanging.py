"""A pipeline whose plain stage function never returns."""

import time
from datetime import timedelta

from pipeline import Document, Pipeline, RetryPolicy, StageContext, stage
from tests.support import Text


@stage(name="hanging", timeout=timedelta(seconds=0.2), retry=RetryPolicy(max_attempts=1))
def hanging(document: Document, context: StageContext) -> Text:
    while True:
        time.sleep(60)


HANGING = Pipeline("hanging", [hanging])
