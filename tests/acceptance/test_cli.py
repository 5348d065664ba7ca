"""The command line as a user types it: what it prints, and its exit codes."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from pipeline.embedded import find_mongod
from pipeline.submission import job_document
from pipeline.tether import tethered
from tests.acceptance.up import MILLRACE, ROOT, Up, environment, free_port, running_up

VERBS = [
    "up",
    "api",
    "worker",
    "install",
    "verify",
    "submit",
    "watch",
    "jobs",
    "show",
    "cancel",
    "retry",
    "pause",
    "resume",
    "pauses",
    "services",
    "drain",
    "limit",
    "unlimit",
    "limits",
    "why",
    "batch",
    "schedule",
    "discard",
    "failures",
    "versions",
    "attempts",
    "demo",
]


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MILLRACE, *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=environment(**variables),
    )


def check_refused(told: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """One line that says what to do, and the exit code."""
    assert told.returncode == code, told
    assert "Traceback" not in told.stderr
    assert told.stderr.startswith("millrace: ")
    assert told.stderr.count("\n") == 1, told.stderr
    for word in words:
        assert word in told.stderr


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("counting"), "--pipeline", "tests.support:COUNTING") as running:
        yield running


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("one two three four")
    return path


def uri_of(up: Up) -> str:
    known = json.loads((up.data / "mongod" / "mongod.json").read_text())
    return f"mongodb://127.0.0.1:{known['port']}/?replicaSet=millrace"


def submitted(up: Up, *words: str) -> Any:
    told = run("submit", *words, "--pipeline", "counting", "--url", up.url, "--json")
    return json.loads(told.stdout)[0]


def test_every_verb_says_what_it_does() -> None:
    told = run("--help")
    assert told.returncode == 0
    for verb in VERBS:
        assert verb in told.stdout
        of_verb = run(verb, "--help")
        assert of_verb.returncode == 0, of_verb.stderr
        assert "Usage" in of_verb.stdout


def test_a_document_is_submitted_watched_and_shown(up: Up, document: Path) -> None:
    told = run("submit", str(document), "--pipeline", "counting", "--watch", "--json", MILLRACE_URL=up.url)
    assert told.returncode == 0, told.stderr
    [job] = json.loads(told.stdout[told.stdout.index("[\n") :])
    assert (job["state"], job["document"]["name"]) == ("succeeded", "words.txt")
    assert [stage["state"] for stage in job["stages"]] == ["succeeded", "succeeded"]

    listed = run("jobs", "--url", up.url, "--json", "--state", "succeeded")
    assert job["id"] in {each["id"] for each in json.loads(listed.stdout)}
    assert job["id"] in run("jobs", "--url", up.url).stdout
    shown = json.loads(run("show", job["id"], "--url", up.url, "--json").stdout)
    assert (shown["id"], shown["state"]) == (job["id"], "succeeded")
    assert "words.txt: succeeded" in run("show", job["id"], "--url", up.url).stdout
    output = run("show", job["id"], "--output", "count", "--url", up.url)
    assert json.loads(output.stdout) == {"words": 4}
    assert run("watch", job["id"], "--url", up.url).returncode == 0

    again = run("retry", job["id"], "--from", "count", "--url", up.url)
    assert (again.returncode, again.stdout) == (0, "running\n")
    assert run("watch", job["id"], "--url", up.url).returncode == 0
    check_refused(run("retry", job["id"], "--from", "no", "--url", up.url), "409", "has no stage")


def test_a_job_that_fails_is_exit_code_1_and_can_be_tried_again(up: Up, tmp_path: Path) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"\xff\xfe")
    told = run("submit", str(broken), "--pipeline", "counting", "--watch", "--url", up.url)
    assert told.returncode == 1
    assert "broken.txt failed" in told.stdout
    [job, *_] = json.loads(run("jobs", "--url", up.url, "--json", "--state", "failed").stdout)
    again = run("retry", job["id"], "--url", up.url)
    assert (again.returncode, again.stdout) == (0, "running\n")
    assert run("watch", job["id"], "--url", up.url).returncode == 1


def test_documents_are_submitted_watched_and_cancelled_as_one(up: Up, document: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"\xff\xfe")
    both = run("submit", str(document), str(broken), "--pipeline", "counting", "--batch", "--watch", "--json",
               MILLRACE_URL=up.url)  # fmt: skip
    assert both.returncode == 1, both.stderr
    batch = json.loads(both.stdout)
    assert (batch["state"], batch["total"]) == ("failed", 2)
    assert (batch["jobs"]["succeeded"], batch["jobs"]["failed"]) == (1, 1)

    created = json.loads(run("batch", "create", "--name", "[march]", "--json", "--url", up.url).stdout)
    into = ("submit", str(document), "--pipeline", "counting", "--into", created["id"], "--watch")
    assert run(*into, "--url", up.url).returncode == 0
    listed = run("batch", "list", "--url", up.url).stdout
    assert all(word in listed for word in ("[march]", "1 succeeded", "failed"))
    assert (
        json.loads(run("batch", "close", created["id"], "--json", "--url", up.url).stdout)["state"]
        == "succeeded"
    )
    assert run("batch", "watch", created["id"], "--url", up.url).returncode == 0
    assert "succeeded  1 succeeded of 1" in run("batch", "show", created["id"], "--url", up.url).stdout
    check_refused(run("batch", "cancel", created["id"], "--url", up.url), "409", "is succeeded")
    check_refused(run(*into, "--url", up.url), "422", "takes no more jobs")
    assert run(*into, "--batch", "--url", up.url).returncode == 2

    refused = run("submit", str(document), "--pipeline", "no", "--batch", "--url", up.url)
    check_refused(refused, "422", "no worker knows")
    [newest, *_] = json.loads(run("batch", "list", "--json", "--url", up.url).stdout)
    assert (newest["state"], newest["total"]) == ("succeeded", 0)  # of what was taken: nothing


def test_a_submission_has_a_key_times_and_metadata(up: Up, document: Path) -> None:
    words = ("submit", str(document), "--pipeline", "counting", "--json", "--url", up.url)
    later = ("--run-at", "2099-01-01T00:00:00Z", "--deadline", "2099-01-02T00:00:00Z")
    own = (*later, "--metadata", '{"order": 7}', "--key", "order-7")
    [job] = json.loads(run(*words, *own).stdout)
    assert (job["run_at"], job["deadline"]) == ("2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z")
    assert job["metadata"] == {"order": 7}
    assert json.loads(run(*words, *own).stdout)[0]["id"] == job["id"]
    assert run("cancel", job["id"], "--url", up.url).returncode == 0
    assert run(*words, str(document), "--key", "two").returncode == 2
    check_refused(run(*words, "--run-at", "soon"), "422", "run_at")


def test_a_schedule_is_put_shown_paused_and_deleted(up: Up, document: Path) -> None:
    def schedule(*words: str) -> subprocess.CompletedProcess[str]:
        return run("schedule", *words, "--url", up.url)

    job = (
        "--cron",
        "30 3 1 1 *",
        "--zone",
        "Europe/Berlin",
        "--file",
        str(document),
        "--pipeline",
        "counting",
    )
    put = json.loads(schedule("put", "yearly", *job, "--missed", "all", "--json").stdout)
    assert (put["cron"], put["time_zone"], put["missed"]) == ("30 3 1 1 *", "Europe/Berlin", "all")
    assert (put["document"]["name"], put["next_at"][5:]) == ("words.txt", "01-01T02:30:00Z")
    assert schedule("put", "tidy", "--cron", "0 4 * * *", "--task", "cleanup").returncode == 0
    assert [each["name"] for each in json.loads(schedule("list", "--json").stdout)] == ["tidy", "yearly"]
    assert "yearly" in schedule("list").stdout
    assert json.loads(schedule("pause", "yearly", "--json").stdout)["paused"]
    assert "paused" in schedule("show", "yearly").stdout
    assert not json.loads(schedule("resume", "yearly", "--json").stdout)["paused"]
    for name in ("yearly", "tidy"):
        assert schedule("delete", name).returncode == 0
    check_refused(schedule("show", "yearly"), "404", "no schedule 'yearly'")
    check_refused(schedule("put", "a", *job[2:], "--cron", "soon"), "422", "cannot be understood")
    assert schedule("retention").stdout == "forever\n"
    assert schedule("retention", "--keep", "P30D").stdout == "P30D\n"
    assert json.loads(schedule("retention", "--keep", "forever", "--json").stdout) == {"keep": None}


def test_failures_are_counted_tried_again_and_discarded(up: Up, tmp_path: Path) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"\xff\xfe")
    assert run("submit", str(broken), "--pipeline", "counting", "--watch", "--url", up.url).returncode == 1
    [job, *_] = json.loads(run("jobs", "--url", up.url, "--json", "--state", "failed").stdout)
    which = ("--reason", "UnicodeDecodeError", "--url", up.url)
    page = json.loads(run("failures", *which, "--json").stdout)
    assert page["counts"][0]["stage"] == "read"
    assert job["id"] in {each["job"] for each in page["failures"]}
    assert "UnicodeDecodeError" in run("failures", *which).stdout
    assert "Traceback" in run("attempts", job["id"], "--url", up.url).stdout
    assert json.loads(run("attempts", job["id"], "--json", "--url", up.url).stdout)[0]["worker"]
    again = json.loads(run("retry", *which, "--json").stdout)
    assert (again["handled"] > 0, again["left"]) == (True, 0)
    assert run("watch", job["id"], "--url", up.url).returncode == 1
    assert run("discard", job["id"], "--url", up.url).stdout == "discarded\n"
    assert "0 left" in run("discard", "--all", "--url", up.url).stdout
    assert json.loads(run("failures", "--json", "--url", up.url).stdout)["counts"] == []
    check_refused(run("discard", "--url", up.url), "--reason")


def test_names_are_printed_as_they_are(up: Up, tmp_path: Path) -> None:
    hostile = tmp_path / "[bold]x[red] :smile:.txt"
    hostile.write_text("one")
    told = run("submit", str(hostile), "--pipeline", "counting", "--watch", "--url", up.url)
    assert told.returncode == 0, told.stderr
    for verb in ("jobs", "show"):
        [job] = json.loads(run("jobs", "--url", up.url, "--json", "--limit", "1").stdout)
        shown = run(verb, *([job["id"]] if verb == "show" else []), "--url", up.url)
        assert hostile.name[-20:] in shown.stdout


def test_a_job_is_cancelled_once(up: Up, document: Path) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = httpx.post(
        f"{up.url}/v1/jobs",
        files={"file": document.read_bytes()},
        data={"pipeline": "counting", "run_at": later},
        trust_env=False,
    )
    job = answer.json()["id"]
    told = run("cancel", job, "--url", up.url)
    assert (told.returncode, told.stdout) == (0, "cancelled\n")
    check_refused(run("cancel", job, "--url", up.url), "409", "cancelled")
    check_refused(run("retry", job, "--url", up.url), "409", "cancelled")
    assert run("watch", job, "--url", up.url).returncode == 1


def test_what_the_api_refuses_is_one_line(up: Up, document: Path) -> None:
    check_refused(run("show", "default.00000000000000000000", "--url", up.url), "404", "no job")
    check_refused(run("submit", str(document), "--url", up.url), "'documents'", "counting")
    words = ("submit", str(document), "--pipeline", "counting", "--params", '{"x": {}}', "--url", up.url)
    check_refused(run(*words), "no stage 'x'")
    check_refused(run("jobs", "--url", f"http://127.0.0.1:{free_port()}"), "millrace up", "--url")


def test_wrong_words_are_exit_code_2(tmp_path: Path) -> None:
    missing = run("submit", str(tmp_path / "missing.pdf"))
    assert missing.returncode == 2
    assert "missing.pdf" in missing.stderr
    assert run("submit", str(tmp_path)).returncode == 2
    assert run("polish").returncode == 2
    assert run("worker", "--slots", "0").returncode == 2


@pytest.mark.parametrize("verb", ["api", "worker", "install"])
def test_without_a_database_it_says_what_to_do(verb: str) -> None:
    pipeline = [] if verb == "install" else ["--pipeline", "tests.support:COUNTING"]
    check_refused(run(verb, *pipeline), "MILLRACE_MONGODB_URI", "millrace up")
    nobody = f"mongodb://127.0.0.1:{free_port()}/?directConnection=true"
    unreachable = run(verb, *pipeline, MILLRACE_MONGODB_URI=nobody, MILLRACE_TIMEOUT="1")
    check_refused(unreachable, "not available")
    check_refused(run(verb, *pipeline, MILLRACE_MONGODB_URI="mongodb://"), "MILLRACE_MONGODB_URI")


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("standalone"), free_port()
    command = [find_mongod(), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1"]
    with subprocess.Popen(tethered([*command, "--nounixsocket"]), stdout=subprocess.DEVNULL) as process:
        yield f"mongodb://127.0.0.1:{port}/"
        process.terminate()


@pytest.mark.parametrize("verb", ["api", "worker", "install"])
def test_a_standalone_mongod_is_refused_with_the_way_out(verb: str, standalone: str) -> None:
    pipeline = [] if verb == "install" else ["--pipeline", "tests.support:COUNTING"]
    check_refused(run(verb, *pipeline, MILLRACE_MONGODB_URI=standalone), "--replSet", "rs.initiate()")


def test_the_database_is_installed_once(up: Up) -> None:
    uri = uri_of(up)
    first = run("install", MILLRACE_MONGODB_URI=uri, MILLRACE_DATABASE="fresh")
    assert first.returncode == 0, first.stderr
    assert "created jobs" in first.stdout
    again = run("install", MILLRACE_MONGODB_URI=uri, MILLRACE_DATABASE="fresh")
    assert (again.returncode, again.stdout) == (0, "the database is ready\n")


def test_a_database_is_verified_and_repaired(up: Up) -> None:
    uri = uri_of(up)
    configured = {"MILLRACE_MONGODB_URI": uri, "MILLRACE_DATABASE": "broken"}
    run("install", **configured)
    job = job_document("counting", name="a.txt", content=b"one two")
    with MongoClient[dict[str, Any]](uri) as client:
        client["broken"]["jobs"].insert_one({**job, "state": "running"})
    broken = run("verify", **configured)
    assert broken.returncode == 1, broken.stderr
    assert "broken" in broken.stdout
    assert job["_id"][:12] in broken.stdout.replace("\n", "")
    told = json.loads(run("verify", "--json", **configured).stdout)
    assert {each["promise"]: each["violations"] for each in told["findings"] if each["violations"]} == {
        "I1": 1
    }
    assert told["repairs"] == []

    repaired = run("verify", "--repair", "--json", **configured)
    assert repaired.returncode == 0, repaired.stdout
    told = json.loads(repaired.stdout)
    assert [each["violations"] for each in told["findings"]] == [0] * 9
    [repair] = told["repairs"]
    assert (repair["promise"], repair["repaired"], repair["left"], repair["why"]) == ("I1", 1, 0, [])
    again = run("verify", "--repair", **configured)
    assert again.returncode == 0
    assert "repaired" not in again.stdout


def test_what_no_repair_can_mend_is_told_with_what_to_do(up: Up) -> None:
    uri = uri_of(up)
    configured = {"MILLRACE_MONGODB_URI": uri, "MILLRACE_DATABASE": "gap"}
    run("install", **configured)
    with MongoClient[dict[str, Any]](uri) as client:
        client["gap"]["listeners"].insert_one({"_id": "worker/x", "token": "82", "gap": {"to": "82"}})
    told = run("verify", "--repair", **configured)
    assert told.returncode == 1
    assert "start a worker" in " ".join(told.stdout.split())


def test_a_database_that_cannot_be_verified_is_exit_code_2(up: Up, tmp_path: Path, standalone: str) -> None:
    check_refused(run("verify", "--data", str(tmp_path)), "no embedded MongoDB", code=2)
    nobody = f"mongodb://127.0.0.1:{free_port()}/?directConnection=true"
    unreachable = run("verify", "--repair", MILLRACE_MONGODB_URI=nobody, MILLRACE_TIMEOUT="1")
    check_refused(unreachable, "not available", code=2)
    check_refused(run("verify", MILLRACE_MONGODB_URI=standalone), "--replSet", code=2)
    check_refused(run("verify", MILLRACE_TIMEOUT="never"), "timeout", code=2)
    elsewhere = {"MILLRACE_MONGODB_URI": uri_of(up), "MILLRACE_DATABASE": "elsewhere"}
    check_refused(run("verify", **elsewhere), "elsewhere", "MILLRACE_DATABASE", code=2)
    damaged = tmp_path / "mongod" / "data"
    damaged.mkdir(parents=True)
    for name in ("WiredTiger", "WiredTiger.wt", "storage.bson"):
        (damaged / name).write_text("no database")
    check_refused(run("verify", "--data", str(tmp_path)), "mongod ended with code", "mongod.log", code=2)


def test_no_other_machine_is_let_in_by_accident() -> None:
    words = ("api", "--host", "0.0.0.0", "--pipeline", "tests.support:COUNTING")
    check_refused(run(*words, MILLRACE_MONGODB_URI="mongodb://127.0.0.1/"), "0.0.0.0", "--unprotected")


@pytest.mark.parametrize(
    "name", ["absent:X", "tests.support:ABSENT", "tests.support:FINAL", "x", ":", "a:b:c"]
)
def test_a_pipeline_that_is_none_is_named(name: str) -> None:
    check_refused(run("worker", "--pipeline", name, MILLRACE_MONGODB_URI="mongodb://127.0.0.1/"), name)


def test_a_stage_is_paused_a_job_says_so_and_goes_on_when_it_is_resumed(up: Up, document: Path) -> None:
    told = run("pause", "stage", "counting/count", "--reason", "broken", "--json", "--url", up.url)
    assert json.loads(told.stdout)["subject"] == "stage:counting/count"
    assert "counting/count" in run("pauses", "--url", up.url).stdout
    job = submitted(up, str(document))
    reasons = json.loads(run("why", job["id"], "--json", "--url", up.url).stdout)["reasons"]
    assert {each["kind"] for each in reasons} <= {"paused", "next", "running"}
    told = run("resume", "stage", "counting/count", "--url", up.url)
    assert told.stdout == "stage counting/count is resumed\n"
    assert run("watch", job["id"], "--url", up.url).returncode == 0
    assert "it has succeeded" in run("why", job["id"], "--url", up.url).stdout
    check_refused(run("pause", "stage", "counting/cuont", "--url", up.url), "counting/count, counting/read")
    [worker] = up.get("/v1/workers")
    told = run("drain", worker["name"], "--wait", "--url", up.url)
    assert told.stdout == f"{worker['name']} is drained, and runs 0\n"
    assert run("resume", "worker", worker["name"], "--url", up.url).returncode == 0


def test_a_service_is_held_listed_and_let_go(up: Up) -> None:
    assert run("pause", "service", "openai", "--reason", "unpaid", "--url", up.url).returncode == 0
    [service] = json.loads(run("services", "--json", "--url", up.url).stdout)
    assert (service["subject"], service["state"], service["reason"]) == ("service:openai", "held", "unpaid")
    shown = run("services", "--url", up.url).stdout
    assert "openai" in shown
    assert "held" in shown
    told = run("resume", "service", "openai", "--url", up.url)
    assert told.stdout == "service openai is resumed\n"
    assert json.loads(run("services", "--json", "--url", up.url).stdout) == []
    check_refused(run("resume", "service", "openai", "--url", up.url), "not paused")


def test_a_tenant_is_limited(up: Up) -> None:
    told = run("limit", "tenant", "*", "--concurrency", "8", "--json", "--url", up.url)
    wanted = {"subject": "tenant:*", "concurrency": 8, "running": None, "rates": []}
    assert json.loads(told.stdout) == wanted
    told = run("limit", "tenant", "*", "--rate", "100", "--per", "30", "--url", up.url)
    assert told.stdout == "tenant * is limited to 8 at once, 100 tasks in 30 s\n"
    check_refused(
        run("limit", "tenant", "*", "--rate", "9", "--unit", "yards", "--url", up.url), "units: tasks"
    )
    check_refused(run("limit", "tenant", "*", "--url", up.url), "a rate, or both")
    listed = run("limits", "--url", up.url).stdout
    assert "tenant:*" in listed
    assert "100 tasks in 30 s" in listed
    told = run("unlimit", "tenant", "*", "--concurrency", "--url", up.url)
    assert told.stdout == "tenant * is limited to 100 tasks in 30 s\n"
    check_refused(run("unlimit", "tenant", "*", "--concurrency", "--url", up.url), "a rate of tasks")
    assert run("unlimit", "tenant", "*", "--url", up.url).stdout == "tenant * is not limited any more\n"
    check_refused(run("unlimit", "tenant", "*", "--url", up.url), "not limited")
