"""Job documents, as any driver may insert them."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SubmissionError
from pipeline.model import is_job_id, job_of, stage_of, task_id, tenant_of
from pipeline.store.schema import INLINE_LIMIT
from pipeline.submission import MAX_NAME, clean_name, job_changes, job_document

SHA256 = hashlib.sha256(b"abc").hexdigest()


def test_a_small_document_travels_inside() -> None:
    job = job_document("documents", name="scan.pdf", content=b"abc")
    assert job["document"] == {
        "name": "scan.pdf",
        "type": "application/pdf",
        "size": 3,
        "sha256": SHA256,
        "inline": b"abc",
    }
    assert (job["state"], job["tenant"], job["priority"], job["run_at"]) == ("submitted", "default", 0, None)
    assert "idempotency_key" not in job


def test_a_large_document_is_referred_to() -> None:
    file_id = ObjectId()
    job = job_document("documents", name="x", file_id=file_id, size=3, sha256=SHA256, media_type="a/b")
    assert job["document"] == {
        "name": "x",
        "type": "a/b",
        "size": 3,
        "sha256": SHA256,
        "file_id": file_id,
    }


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({}, "content"),
        ({"content": b"", "file_id": ObjectId()}, "content"),
        ({"content": b"x" * (INLINE_LIMIT + 1)}, "too many to travel"),
        ({"file_id": ObjectId(), "size": 1}, "sha256"),
        ({"file_id": ObjectId(), "sha256": SHA256}, "size"),
        ({"content": b"", "run_at": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_what_cannot_be_accepted_is_refused(given_: dict[str, Any], reason: str) -> None:
    with pytest.raises(SubmissionError, match=reason):
        job_document("documents", name="a", **given_)


def test_as_much_as_is_allowed_travels_inside() -> None:
    job = job_document("documents", name="a", content=b"x" * INLINE_LIMIT)
    assert job["document"]["size"] == INLINE_LIMIT


def test_ids_are_unique_sort_by_age_and_tell_their_tenant() -> None:
    ids = [job_document("documents", name="a", content=b"", tenant="acme")["_id"] for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(is_job_id(each) and tenant_of(each) == "acme" for each in ids)
    assert [each[:17] for each in ids] == sorted(each[:17] for each in ids)
    task = task_id(ids[0], "ocr", 2)
    assert (job_of(task), stage_of(task), tenant_of(task)) == (ids[0], "ocr", "acme")


@pytest.mark.parametrize("text", ["", "default", "default.", "default.short", "Default.0123456789abcdef"])
def test_other_text_is_no_job_id(text: str) -> None:
    assert not is_job_id(text)
    assert not is_job_id("default.0123456789abcdef\n")


def _hash(**options: Any) -> str:
    job = job_document("documents", **{"name": "a", "content": b"abc", "idempotency_key": "k", **options})
    return str(job["idempotency_hash"])


def test_an_idempotency_key_stands_for_pipeline_content_and_params() -> None:
    params = {"ocr": {"dpi": 300, "pages": {"first": 1, "last": 2}}, "llm": {"model": "m"}}
    turned = {"llm": {"model": "m"}, "ocr": {"pages": {"last": 2, "first": 1}, "dpi": 300}}
    same = _hash(params=params)
    assert _hash(params=turned) == same
    assert _hash(params=params, name="b", priority=3, metadata={"a": 1}) == same
    assert _hash(params=params, content=b"abd") != same
    assert _hash(params={"ocr": {"dpi": 301}}) != same
    assert _hash() != same


def test_an_idempotency_key_may_stand_for_params_that_are_no_json() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert _hash(params={"a": {"since": at}}) == _hash(params={"a": {"since": at}})
    assert _hash(params={"a": {"since": at}}) != _hash(params={"a": {"since": at.replace(day=2)}})


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("scan.pdf", "scan.pdf"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\r\nb\0c\x7f.txt", "abc.txt"),
        ("evil\u202efdp.exe", "evilfdp.exe"),
        ("   ", "unnamed"),
        ("", "unnamed"),
        ("folder/", "unnamed"),
        ("Rechnung Müller №5.pdf", "Rechnung Müller №5.pdf"),
        ("n" * 300, "n" * MAX_NAME),
        ("bad\ud800.txt", "bad?.txt"),
    ],
)
def test_names_are_made_fit_to_show(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@given(st.text(st.characters() | st.characters(categories=["Cs", "Cc", "Zs"]), max_size=400))
def test_any_name_can_be_stored(name: str) -> None:
    cleaned = clean_name(name)
    assert 1 <= len(cleaned) <= MAX_NAME
    cleaned.encode()
    assert not set(cleaned) & {"/", "\\", "\0", "\n", "\u202e"}
    assert clean_name(cleaned) == cleaned


def test_watching_a_job_asks_for_it_and_its_tasks_alone() -> None:
    match = job_changes("default.0123456789abcdef")[0]["$match"]
    assert match["$or"][0] == {"documentKey._id": "default.0123456789abcdef"}
    assert "default.0123456789abcdef:" in str(match["$or"][1])
