"""The REST API, called over HTTP as a stranger's client calls it."""

import hashlib
import json
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from openapi_spec_validator import validate

from pipeline.settings import ApiSettings
from pipeline.store import Store
from tests.integration.api_server import Api, api, serving
from tests.support import COUNTING, running, until

STAGE_FIELDS = {
    "name",
    "state",
    "attempt",
    "max_attempts",
    "progress",
    "started_at",
    "finished_at",
    "error",
    "reused_from",
}
BOUNDARY = "limit"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(*parts: tuple[str, str], end: bool = True) -> bytes:
    """A multipart body of (header parameters, content)."""
    body = "".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {header}\r\n\r\n{content}\r\n"
        for header, content in parts
    )
    return (body + (f"--{BOUNDARY}--\r\n" if end else "")).encode()


FILE = ('name="file"; filename="a.txt"', "one two three")
FOR_COUNTING = ('name="pipeline"', "counting")


def check_problem(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    for word in words:
        assert word in problem["detail"]


async def check_nothing_left(store: Store) -> None:
    for collection in ("jobs", "tasks", "uploads", "documents.files", "documents.chunks"):
        assert await store.db[collection].count_documents({}) == 0, collection


async def post_form(served: Api, body: bytes) -> httpx.Response:
    return await served.http.post("/v1/jobs", content=body, headers=FORM)


async def begin_upload(served: Api) -> SocketStream:
    """Send a part of a large document; returns the open connection."""
    stream = await anyio.connect_tcp("127.0.0.1", served.port)
    body = form(FOR_COUNTING, ('name="file"; filename="a.txt"', "x" * 3_000_000), end=False)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**7}\r\n"
    await stream.send(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + body)
    return stream


async def test_a_submission_is_durable_when_it_is_answered(store: Store) -> None:
    async with api(store) as served:
        answer = await served.post(name="scan.pdf", metadata='{"case": 7}', priority="3")
        assert answer.status_code == 202
        job = answer.json()
        assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
        assert await store.db["jobs"].count_documents({"_id": job["id"]}) == 1
        assert job["document"]["name"] == "scan.pdf"
        assert job["document"]["type"] == "application/pdf"
        assert job["document"]["size"] == 13
        assert (job["metadata"], job["priority"]) == ({"case": 7}, 3)
        assert [stage["name"] for stage in job["stages"]] == ["read", "count"]
        assert (await served.http.get(answer.headers["Location"])).status_code == 200


@pytest.mark.parametrize("order", [[FILE, FOR_COUNTING], [FOR_COUNTING, FILE]], ids=["after", "before"])
async def test_fields_may_come_before_and_after_the_file(store: Store, order: list[tuple[str, str]]) -> None:
    async with api(store) as served:
        answer = await post_form(served, form(*order))
        assert answer.status_code == 202, answer.text
        assert answer.json()["pipeline"] == "counting"


async def test_a_job_is_shown_with_state_and_progress_of_every_stage(store: Store) -> None:
    async with api(store) as served:
        job = await served.submit()
        await until(store, job["id"])
        shown = await served.get(f"/v1/jobs/{job['id']}")
        output = await served.get(f"/v1/jobs/{job['id']}/outputs/count")
        check_problem(await served.http.get(f"/v1/jobs/{job['id']}/outputs/nothing"), 404, "nothing")
    assert shown["state"] == "succeeded"
    assert output == {"words": 3}
    assert [set(stage) for stage in shown["stages"]] == [STAGE_FIELDS, STAGE_FIELDS]
    for stage in shown["stages"]:
        assert (stage["state"], stage["attempt"], stage["error"]) == ("succeeded", 1, None)
        assert stage["max_attempts"] >= 1
        assert stage["started_at"] <= stage["finished_at"]
    assert shown["pipeline_version"] == 1


async def test_a_failed_stage_says_what_went_wrong(store: Store) -> None:
    async with api(store) as served:
        job = await served.submit(b"\xff\xfe no text")
        events = await served.ended(job["id"])
        shown = await served.get(f"/v1/jobs/{job['id']}")
    assert (shown["state"], shown["error"]["stage"]) == ("failed", "read")
    error = shown["stages"][0]["error"]
    assert (error["type"], error["attempt"]) == ("UnicodeDecodeError", shown["stages"][0]["attempt"])
    assert error["at"] is not None
    assert shown["stages"][1]["state"] == "waiting"
    assert "Traceback" not in json.dumps([shown, [event.data for event in events]])


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (form(FOR_COUNTING), 400, "there is no document"),
        (form(FOR_COUNTING, FILE, FILE), 400, "one document"),
        (form(FOR_COUNTING, ('name="scan"; filename="a.txt"', "one")), 400, "`file`"),
        (form(FOR_COUNTING, ('name="file"', "one")), 400, "there is no document"),
        (form(FOR_COUNTING, ('name="file"; filename="a.txt"', "")), 422, "empty"),
        (form(FOR_COUNTING, FILE, end=False), 400, "too early"),
        (form(FOR_COUNTING, FILE)[:-20], 400, "too early"),
        (form(FOR_COUNTING, FILE)[:-40], 400, "too early"),
        (b"no form at all", 400, "broken"),
        (b"", 400, "too early"),
        (form(FOR_COUNTING, FILE, ('name="owner"', "me")), 422, "owner"),
        (form(FOR_COUNTING, FILE, ('name="priority"', "eleven")), 422, "priority"),
        (form(FOR_COUNTING, FILE, ('name="priority"', "11")), 422, "priority"),
        (form(FOR_COUNTING, FILE, ('name="run_at"', "tomorrow")), 422, "run_at"),
        (form(FOR_COUNTING, FILE, ('name="run_at"', "2030-01-31T08:00:00")), 422, "time zone"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', "{")), 422, "metadata"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', "[1]")), 422, "metadata"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', '{"deep": ' + "[" * 60_000)), 422, "metadata"),
        (
            form(FOR_COUNTING, FILE, ('name="metadata"', '{"deep": ' + "[" * 300 + "]" * 300 + "}")),
            422,
            "nested",
        ),
        (form(FOR_COUNTING, FILE, ('name="metadata"', '{"a": NaN}')), 422, "NaN"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', '{"a": 9223372036854775808}')), 422, "store"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', '{"a\\u0000": 1}')), 422, "store"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', '{"a": "\\ud800"}')), 422, "store"),
        (form(FOR_COUNTING, FILE, ('name="metadata"', '"' + "x" * 70_000 + '"')), 413, "metadata"),
        (form(FOR_COUNTING, FILE, *((f'name="f{n}"', "x") for n in range(100))), 400, "fields"),
        (form(FOR_COUNTING, FILE, ('name="params"', '{"read": 1}')), 422, "params"),
        (form(FOR_COUNTING, FILE, ('name="params"', '{"absent": {}}')), 422, "absent"),
        (form(FOR_COUNTING, FILE, ('name="params"', '{"read": {"dpi": 3}}')), 422, "dpi"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
async def test_a_form_that_is_not_valid_leaves_nothing(
    store: Store, body: bytes, status: int, words: str
) -> None:
    async with api(store) as served:
        check_problem(await post_form(served, body), status, words)
        await check_nothing_left(store)


async def test_bytes_that_are_not_a_form_are_refused(store: Store) -> None:
    async with api(store) as served:
        check_problem(await served.http.post("/v1/jobs", json={"file": "a"}), 400, "multipart/form-data")
        check_problem(await served.http.post("/v1/jobs", content=b"x"), 400, "multipart/form-data")
        latin = form(FOR_COUNTING, FILE) + b""
        check_problem(await post_form(served, latin.replace(b"counting", b"\xff")), 400, "UTF-8")
        await check_nothing_left(store)


async def test_a_document_that_is_too_large_leaves_nothing(store: Store) -> None:
    async with serving(store.settings, settings=ApiSettings(max_upload=100_000)) as served:
        assert (await served.post(b"x" * 100_000)).status_code == 202
        await store.db["jobs"].delete_many({})
        for collection in ("documents.files", "documents.chunks"):
            await store.db[collection].delete_many({})
        check_problem(await served.post(b"x" * 100_001), 413, "100000")
        await check_nothing_left(store)


async def test_an_upload_that_takes_too_long_is_ended(store: Store) -> None:
    settings = ApiSettings(upload_timeout=timedelta(milliseconds=300))
    async with serving(store.settings, settings=settings) as served:
        with anyio.fail_after(30):
            async with await begin_upload(served) as stream:
                answer = await stream.receive()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        await check_nothing_left(store)


async def test_an_interrupted_upload_leaves_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async with api(store) as served:
        async with await store.db["uploads"].watch() as uploads:
            async with await begin_upload(served):
                assert (await uploads.next())["operationType"] == "insert"
            assert (await uploads.next())["operationType"] == "delete"
        await check_nothing_left(store)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_an_unknown_pipeline_is_refused_with_the_known_ones(store: Store) -> None:
    async with api(store) as served:
        check_problem(await served.post(pipeline="documents"), 422, "'documents'", "counting")
        check_problem(await served.post(pipeline='{"$ne": 1}'), 422, "counting")
        await check_nothing_left(store)


async def test_a_pipeline_is_known_as_soon_as_a_worker_hosts_it(store: Store) -> None:
    async with serving(store.settings, pipelines=()) as served:
        check_problem(await served.post(), 422, "'counting'")
        await store.pipelines.register([COUNTING])
        job = await served.submit()
    assert [stage["name"] for stage in job["stages"]] == ["read", "count"]


@pytest.mark.parametrize(("content", "files"), [(b"one two three", 0), (b"one two three" * 10_000, 1)])
async def test_one_idempotency_key_is_one_job_however_many_ask(
    store: Store, content: bytes, files: int
) -> None:
    answers: list[httpx.Response] = []

    async with api(store) as served:

        async def post() -> None:
            answers.append(await served.post(content, key="order-7"))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(post)
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len({answer.headers["Location"] for answer in answers}) == 1
        check_problem(await served.post(b"other", key="order-7"), 422, "idempotency key")
        changed = await served.post(content, key="order-7", params='{"read": {}}')
        check_problem(changed, 422, "idempotency key")
        check_problem(await served.post(key="x" * 256), 422, "idempotency-key")
        await until(store, answers[0].json()["id"])
    left = {"jobs": 1, "documents.files": files, "documents.chunks": files, "uploads": 0}
    for collection, kept in left.items():
        assert await store.db[collection].count_documents({}) == kept, collection


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\scan.pdf", "scan.pdf"),
        ("a\x07b\x1b[31m.txt", "ab[31m.txt"),
        ("in\u202efdp.exe", "infdp.exe"),
        ("\u2066a\u2069.txt", "a.txt"),
        ("/", "unnamed"),
        ("名前.pdf", "名前.pdf"),
        ("x" * 300 + ".pdf", "x" * 255),
    ],
)
async def test_names_are_cleaned(store: Store, given: str, shown: str) -> None:
    raw = form(FOR_COUNTING, (f'name="file"; filename="{given}"', "x"))
    async with serving(store.settings) as served:
        answer = await post_form(served, raw)
        assert answer.status_code == 202, answer.text
        assert answer.json()["document"]["name"] == shown
        assert (await served.get("/v1/jobs"))["jobs"][0]["document"]["name"] == shown


async def test_a_job_of_later_waits(store: Store) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds")
    async with api(store) as served:
        job = await served.submit(run_at=later)
        shown = await until(store, job["id"], ("running",))
    assert shown.stages[0].state == "ready"
    assert job["run_at"] is not None
    assert datetime.fromisoformat(job["run_at"]) == datetime.fromisoformat(later)


async def test_jobs_are_listed_in_pages(store: Store) -> None:
    async with api(store) as served:
        made = [(await served.submit())["id"] for _ in range(5)]
        for job in made:
            await until(store, job)
        listed: list[str] = []
        path: str | None = "/v1/jobs?limit=2"
        while path:
            page = await served.get(path)
            assert len(page["jobs"]) <= 2
            listed += [job["id"] for job in page["jobs"]]
            path = f"/v1/jobs?limit=2&before={page['next']}" if page["next"] else None
        assert listed == sorted(made, reverse=True)
        assert page["jobs"][0] == await served.get(f"/v1/jobs/{listed[-1]}")
        assert len((await served.get("/v1/jobs?state=succeeded"))["jobs"]) == 5
        assert (await served.get("/v1/jobs?state=failed")) == {"jobs": [], "next": None}
        for wrong in ("limit=0", "limit=201", "limit=x", "state=done", "before=" + "x" * 200):
            check_problem(await served.http.get(f"/v1/jobs?{wrong}"), 422, wrong.partition("=")[0])


async def test_a_job_is_cancelled_once(store: Store) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with api(store) as served:
        path = f"/v1/jobs/{(await served.submit(run_at=later))['id']}"
        answer = await served.http.post(f"{path}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        check_problem(await served.http.post(f"{path}/cancel"), 409, "cancelled")
        check_problem(await served.http.post(f"{path}/retry"), 409, "cancelled")


async def test_a_failed_job_is_tried_again(store: Store) -> None:
    async with api(store) as served:
        job = await served.submit(b"\xff")
        path = f"/v1/jobs/{job['id']}"
        assert (await until(store, job["id"])).state == "failed"
        answer = await served.http.post(f"{path}/retry")
        assert (answer.status_code, answer.json()["state"]) == (200, "running")
        assert (await until(store, job["id"])).state == "failed"
        check_problem(await served.http.post(f"{path}/cancel"), 409, "failed")


async def test_an_ended_job_is_run_again_from_a_stage(store: Store) -> None:
    async with api(store) as served:
        job = await served.submit()
        path = f"/v1/jobs/{job['id']}"
        await until(store, job["id"])
        with anyio.fail_after(60):
            async with served.watch("/v1/events") as events:
                await anext(events)
                answer = await served.http.post(f"{path}/retry", params={"stage": "read"})
                assert (answer.status_code, answer.json()["state"]) == (200, "running")
                told = [(await anext(events)) for _ in range(3)]
        assert [(each.event, each.data.get("name"), each.data["state"]) for each in told] == [
            ("state", None, "running"),
            ("stage", "read", "ready"),
            ("stage", "count", "waiting"),
        ]
        assert told[1].data["finished_at"] is None  # what the page knew of the earlier trip is over
        assert (await until(store, job["id"])).state == "succeeded"
        check_problem(await served.http.post(f"{path}/retry", params={"stage": "no"}), 409, "has no stage")


@pytest.mark.parametrize(
    "unknown",
    [
        "default.00000000000000000000",
        "other.0123456789abcdef0123",
        "x",
        "%7B%22$ne%22:1%7D",
        "a%00b",
        "é" * 99,
    ],
)
async def test_what_is_not_there_is_a_404_problem(store: Store, unknown: str) -> None:
    async with serving(store.settings) as served:
        for method, path in [
            ("GET", ""),
            ("POST", "/cancel"),
            ("POST", "/retry"),
            ("GET", "/outputs/read"),
            ("GET", "/events"),
        ]:
            check_problem(await served.http.request(method, f"/v1/jobs/{unknown}{path}"), 404, "no job")
        check_problem(await served.http.get("/v1/nothing"), 404)
        check_problem(await served.http.delete("/v1/jobs"), 405)


OPERATORS = ['{"$ne": null}', '{"$where": "sleep(1000)"}', "$state", "$$ROOT", '{"$gt": ""}']


@pytest.mark.parametrize("operator", OPERATORS)
async def test_operators_are_data(store: Store, operator: str) -> None:
    metadata = {"query": operator, "$set": {"state": "succeeded"}, "a.b": {"$literal": operator}}
    async with api(store) as served:
        job = await served.submit(name=f"{operator}.txt", metadata=json.dumps(metadata), key=operator)
        await until(store, job["id"])
        shown = await served.get(f"/v1/jobs/{job['id']}")
        assert shown["metadata"] == metadata
        assert shown["document"]["name"] == f"{operator}.txt".replace('"', "%22")  # as browsers write it
        assert shown["state"] == "succeeded"
        other = await served.submit(key=operator + "x")
        assert other["id"] != job["id"]
        assert (await served.http.get("/v1/jobs", params={"state": operator})).status_code == 422
        found = await served.http.get("/v1/jobs", params={"before": operator})
        assert found.status_code == 200
        assert {each["id"] for each in found.json()["jobs"]} <= {job["id"], other["id"]}
        for field in ("pipeline", "priority", "run_at", "params"):
            check_problem(await served.post(**{field: operator}), 422)
        check_problem(await served.http.get(f"/v1/jobs/{job['id']}/outputs/{operator}"), 404)


async def test_a_name_that_is_not_this_server_s_is_refused(store: Store) -> None:
    async with serving(store.settings) as served:
        for path in ("/", "/v1/jobs", "/health/live"):
            refused = await served.http.get(path, headers={"Host": "rebound.example"})
            assert refused.status_code == 400
            assert (await served.http.get(path, headers={"Host": "localhost"})).status_code == 200


async def test_no_other_origin_is_let_in(store: Store) -> None:
    async with serving(store.settings) as served:
        answer = await served.http.get("/v1/jobs", headers={"Origin": "http://rebound.example"})
        assert "access-control-allow-origin" not in answer.headers


async def test_a_document_is_submitted_before_any_worker_lives(store: Store) -> None:
    async with serving(store.settings) as served:
        job = await served.submit()
        assert [stage["name"] for stage in job["stages"]] == []
        async with running(store, COUNTING):
            assert (await until(store, job["id"])).state == "succeeded"


async def test_a_large_upload_streams_in_bounded_memory_past_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")  # a spooled upload would want a file there
    size = 192 * 1024 * 1024
    head, tail = form(FOR_COUNTING, ('name="file"; filename="a.bin"', "\0")).split(b"\0")

    async def body() -> AsyncIterator[bytes]:
        yield head
        for _ in range(size // 65536):
            yield b"\r\n--limi" * 8192
        yield tail

    async with serving(store.settings) as served:
        tracemalloc.start()
        try:
            answer = await served.http.post("/v1/jobs", content=body(), headers=FORM)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.status_code == 202, answer.text
    document = answer.json()["document"]
    assert document["size"] == size
    assert document["sha256"] == hashlib.sha256(b"\r\n--limi" * (size // 8)).hexdigest()
    assert peak < size  # the driver's GridFS stream alone gathers 48 MB at a time, and copies them


async def test_the_openapi_document_is_valid_and_names_what_the_routes_answer(store: Store) -> None:
    async with serving(store.settings) as served:
        document = await served.get("/openapi.json")
    validate(document)
    told = {
        f"{method} {path}": {int(status) for status in operation["responses"]}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert told["post /v1/jobs"] == {202, 400, 408, 413, 422, 503}
    assert told["get /v1/jobs"] == {200, 422, 503}
    assert told["get /v1/jobs/{id}"] == {200, 404, 422, 503}
    assert told["post /v1/jobs/{id}/cancel"] == told["post /v1/jobs/{id}/retry"] == {200, 404, 409, 422, 503}
    assert told["get /v1/jobs/{id}/events"] == {200, 400, 404, 422, 503}
    assert told["get /health/ready"] == {200, 503}
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]


async def test_pause_why_resume_and_drain(store: Store) -> None:
    async with running(store, COUNTING) as worker, serving(store.settings) as served:
        paused = await served.http.post("/v1/pause", params={"subject": "tenant:default", "reason": "unpaid"})
        assert (paused.status_code, paused.json()["subject"]) == (200, "tenant:default")
        assert await served.get("/v1/pauses") == [paused.json()]
        with anyio.fail_after(30):
            await worker.gates.known("tenant:default", closed=True)
        job = await served.submit()
        [reason, *_] = (await served.get(f"/v1/jobs/{job['id']}/why"))["reasons"]
        assert (reason["kind"], reason["subject"]) == ("paused", "tenant:default")
        assert "unpaid" in reason["message"]
        resumed = await served.http.post("/v1/resume", params={"subject": "tenant:default"})
        assert resumed.json() == paused.json()
        assert (await until(store, job["id"])).state == "succeeded"
        drained = await served.http.post(f"/v1/workers/{worker.name}/drain")
        assert drained.json() == {"worker": worker.name, "running": 0}
        check_problem(await served.http.post("/v1/workers/nobody/drain"), 404, worker.name)
        check_problem(
            await served.http.post("/v1/resume", params={"subject": "tenant:acme"}), 404, "not paused"
        )
        check_problem(await served.http.get(f"/v1/jobs/{job['id'][:-1]}x/why"), 404)


async def test_limit_limits_and_unlimit(store: Store) -> None:
    async with serving(store.settings) as served:
        limited = await served.http.post("/v1/limit", params={"subject": "key:openai", "concurrency": 3})
        assert limited.json() == {"subject": "key:openai", "concurrency": 3, "running": 0, "rates": []}
        assert await served.get("/v1/limits") == [limited.json()]
        zero = {"subject": "key:openai", "concurrency": 0}
        check_problem(await served.http.post("/v1/limit", params=zero), 422, "concurrency")
        rate = {"subject": "key:openai", "rate": 5, "per": 2.5}
        rated = (await served.http.post("/v1/limit", params=rate)).json()
        assert rated["rates"] == [{"unit": "tasks", "amount": 5, "per": 2.5, "left": 5}]
        assert rated["concurrency"] == 3
        for name, wrong, status in (
            ("rate", 0, 422),
            ("per", 0, 422),
            ("unit", "a.b", 422),
            ("unit", "x", 404),
        ):
            refused = await served.http.post("/v1/limit", params={**rate, name: wrong})
            check_problem(refused, status, name if status == 422 else "units: tasks")
        check_problem(await served.http.post("/v1/limit", params={"subject": "key:a"}), 400, "both")
        wrong = {"subject": "key:openai", "unit": "pages"}
        check_problem(
            await served.http.post("/v1/unlimit", params=wrong), 404, "a concurrency, a rate of tasks"
        )
        part = {"subject": "key:openai", "rate": True}
        unrated = (await served.http.post("/v1/unlimit", params=part)).json()
        assert (unrated["concurrency"], unrated["rates"]) == (3, [])
        assert (await served.http.post("/v1/unlimit", params={"subject": "key:openai"})).status_code == 200
        check_problem(await served.http.post("/v1/unlimit", params={"subject": "key:openai"}), 404, "nothing")
