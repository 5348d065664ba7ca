"""What the README says, tried: its commands, its code, its table of settings."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic_settings import BaseSettings

from api.cli import app
from pipeline.settings import ApiSettings, StoreSettings, WorkerSettings
from stages.llm import LlmSettings
from stages.ner import NerSettings
from tests.acceptance.up import MILLRACE, ROOT, environment, free_port, running_up

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A newcomer's folder, with the README's stage in it."""
    (tmp_path / "shout.py").write_text(next(code for code in PYTHON if code.startswith("# shout.py")))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.timeout(400)
def test_make_demo_with_a_crash() -> None:
    done = subprocess.run(
        ["make", "demo", "ARGS=--crash"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("contract.pdf", "invoice.pdf", "letter.tiff", "minutes.docx", "receipt.jpg"):
        assert re.search(rf"╭─ {re.escape(name)}", done.stdout)
    assert re.search(r"events replayed\W+[1-9]", done.stdout)
    assert re.search(r"pages kept\W+[1-9]", done.stdout)
    assert re.search(r"finished pages redone\W+0\b", done.stdout)


@pytest.mark.timeout(200)
def test_the_stage_of_the_readme_runs(home: Path) -> None:
    (home / "a.txt").write_text("one\ntwo\n")
    with running_up(home / "data", "--pipeline", "shout:SHOUTING") as up:
        submitted = subprocess.run(
            [MILLRACE, "submit", "a.txt", "--pipeline", "shouting", "--watch", "--json", "--url", up.url],
            cwd=home, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        [job] = up.get("/v1/jobs")["jobs"]
        assert up.get(f"/v1/jobs/{job['id']}/outputs/shout") == {"lines": ["ONE", "TWO"]}
        assert job["stages"][0]["progress"] == {"done": 2, "total": 2, "unit": "line", "note": None}


@pytest.mark.timeout(200)
def test_workers_inside_an_application_and_a_job_by_insert(home: Path) -> None:
    """The README's FastAPI application, under uvicorn, and its insert through Motor."""
    application = next(code for code in PYTHON if "lifespan" in code) + "\napp = FastAPI(lifespan=lifespan)\n"
    (home / "application.py").write_text(application)
    insert = next(code for code in PYTHON if "motor_client" in code)
    (home / "insert.py").write_text(
        "import asyncio, os, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "from motor.motor_asyncio import AsyncIOMotorClient\n"
        "async def main():\n"
        "    motor_client = AsyncIOMotorClient(os.environ['MILLRACE_MONGODB_URI'])\n"
        + "".join(f"    {line}\n" for line in insert.splitlines())
        + "asyncio.run(main())\n"
    )
    with running_up(home / "data", workers=0) as up:
        uri = _uri(up.data)
        own = {**environment(), "MILLRACE_MONGODB_URI": uri, "PYTHONPATH": str(home)}
        command = [sys.executable, "-m", "uvicorn", "application:app", "--port", str(free_port())]
        with subprocess.Popen(command, cwd=home, env=own, stderr=subprocess.PIPE) as server:
            try:
                up.wait_for_workers(1)
                subprocess.run([sys.executable, "insert.py"], cwd=home, env=own, check=True)
                [job] = up.get("/v1/jobs")["jobs"]
                with httpx.stream("GET", f"{up.url}/v1/jobs/{job['id']}/events", timeout=60) as stream:
                    assert "event: end" in stream.read().decode()
                assert up.get(f"/v1/jobs/{job['id']}/outputs/shout") == {"lines": ["HELLO"]}
            finally:
                server.terminate()


def _uri(data: Path) -> str:
    port = json.loads((data / "mongod" / "mongod.json").read_text())["port"]
    return f"mongodb://127.0.0.1:{port}/?replicaSet=millrace"


@pytest.mark.parametrize("group", [StoreSettings, WorkerSettings, ApiSettings, LlmSettings, NerSettings])
def test_every_setting_is_in_the_table(group: type[BaseSettings]) -> None:
    prefix = group.model_config["env_prefix"]
    for field in group.model_fields:
        name = f"{prefix}{field}".upper()
        assert name in README or f"`_{field.upper()}`" in README, name


def test_every_variable_of_the_readme_exists() -> None:
    known = {
        f"{group.model_config['env_prefix']}{field}".upper()
        for group in (StoreSettings, WorkerSettings, ApiSettings, LlmSettings, NerSettings)
        for field in group.model_fields
    } | {"MILLRACE_LOG_LEVEL", "MILLRACE_URL"}
    assert set(re.findall(r"MILLRACE_[A-Z_]+[A-Z]", README)) <= known


def test_every_command_of_the_readme_exists() -> None:
    verbs = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    } | {group.name for group in app.registered_groups if group.name}
    used = set(re.findall(r"millrace ([a-z-]+)\b", README))
    assert used <= verbs
