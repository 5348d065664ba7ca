"""The LLM stage: what is this document about?"""

from datetime import timedelta

from pipeline import Cost, RetryPolicy, StageContext, stage
from stages.endpoint.settings import LlmSettings
from stages.endpoint.tally import Tally
from stages.llm.choice import form_of
from stages.llm.extractive import extract
from stages.llm.extractive.filling import filled
from stages.llm.params import LlmParams
from stages.outputs import LlmOutput, NerOutput, OcrOutput

EXTRACTION_TIME = timedelta(minutes=5)
"""For the extractive engine; a thousand pages take it seconds."""


@stage(
    name="llm",
    version=2,
    timeout=timedelta(hours=1),
    # For a server's 500s and answers that can't be used; one that is away charges no attempt.
    retry=RetryPolicy(max_attempts=5, first=timedelta(seconds=10), factor=3),
    key="llm",
    cost=Cost("tokens", reserve=2000),
    engine=LlmSettings.engine,
    tariff=LlmSettings.tariff,
)
async def llm(entities: NerOutput, context: StageContext, params: LlmParams) -> LlmOutput:
    """Give a document's type, title, summary and key fields, each field with its evidence.

    With `MILLRACE_LLM_BASE_URL` set, an OpenAI-compatible endpoint answers; its quotes are checked
    against the text. Without, the extractive engine does, which is a stand-in and not an LLM. A
    document without text is never sent. Both fill the schema that the job asks for, the extractive
    engine as far as it knows what a property's name means.

    Raises:
        Unavailable: the endpoint is away, or asks for a pause: it is left alone, no attempt is charged.
        TemporaryError: the endpoint is failing, too slow, or does not answer as asked.
        PermanentError: a setting is wrong, or the endpoint refuses; the message says what to change.
        PartError: one of these as its cause, in one chunk of a long document.
    """
    text = await context.output(OcrOutput)
    settings = LlmSettings.read()
    form = form_of(params, settings, text.text)
    if settings.base_url is None or not text.text.strip():
        context.used("tokens", 0)
        found = await context.run_process(
            extract, context.document.name, text, entities, params, timeout=EXTRACTION_TIME
        )
        return found if form is None else filled(found, form)
    # Imported here: the child processes of the extractive engine need no client.
    from stages.endpoint.client import open_endpoint
    from stages.llm.reader import Reader

    settings = settings.of_model(params.model)
    tally = Tally(context)
    async with open_endpoint(settings, tally.heard, context) as endpoint:
        return await Reader(context, endpoint, settings, params, form, tally).read(text, entities)
