"""A stage that sends a mail, once; the first process that does so dies right after it."""

import os
import signal
from pathlib import Path

from pipeline import Document, Pipeline, StageContext, stage
from tests.support import Text

MAILS = "TEST_MAILS"


def deliver(mails: Path, key: str) -> None:
    first = not mails.exists()
    with mails.open("a") as file:
        file.write(f"{key}\n")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)


@stage(name="mail")
async def mail(document: Document, context: StageContext) -> Text:
    async def send() -> str:
        deliver(Path(os.environ[MAILS]), context.idempotency_key)
        return "sent"

    return Text(text=await context.once("mail", send, str))


MAILING = Pipeline("mailing", [mail])
