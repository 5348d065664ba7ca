"""The page at `/` in a real browser, on a running Millrace with real workers."""

import re
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, FilePayload, Page, async_playwright, expect

EXAMPLES = Path(__file__).parents[2] / "examples"
INVOICE = EXAMPLES / "invoice.pdf"
SCAN = EXAMPLES / "letter.tiff"
"""Takes seconds to be recognised, long enough to be cancelled by hand."""
HOSTILE_NAME = "<img src=x onerror=document.title='taken'>.txt"
HOSTILE_TEXT = """Invoice

From: <img src=x onerror=document.title='taken'> Ltd
<script>document.title = 'taken'</script>

Contact: orders@harbour.example
Total: 1,234.50 EUR
"""
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FINISHED_MS = 90_000
"""The first page that is recognised in a worker's life loads the recogniser's models."""

# Runs before the page's own code: keeps what the browser blocked, and every state and text of a bar.
_OBSERVER = """
globalThis.blocked = [];
globalThis.shown = [];
globalThis.said = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  blocked.push(`${violatedDirective} ${blockedURI}`);
});
new MutationObserver((changes) => {
  for (const { type, target } of changes) {
    if (type === "childList" && target.className === "bar-text") said.push(target.textContent);
    if (type === "attributes" && target.dataset.stage) {
      shown.push(`${target.dataset.stage} ${target.dataset.state}`);
    }
  }
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });
"""


class Server(Protocol):
    """What the tests need of the `server` fixture."""

    url: str


class Visit:
    """A page that somebody has open, and what went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.loads = 0
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._count(request.is_navigation_request()))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _count(self, navigation: bool) -> None:
        self.loads += navigation

    async def open(self, server: Server) -> None:
        await self.page.goto(f"{server.url}/")
        await expect(self.page.locator("#connection")).to_have_text("Live")

    async def submit(self, kind: str, content: bytes, media_type: str = "application/pdf") -> str:
        """Choose a file; return its name, which no other job on the list has."""
        name = f"{token_hex(4)} {kind}"
        file: FilePayload = {"name": name, "mimeType": media_type, "buffer": content}
        await self.page.get_by_label("Choose files").set_input_files(file)
        return name

    async def check_clean(self) -> None:
        """Fail when the page was loaded again, or the browser had anything to complain about."""
        assert await self.page.evaluate("blocked") == []
        said = await self.page.evaluate("said")
        assert [text for text in said if "NaN" in text or "undefined" in text] == []
        assert self.complaints == []
        assert self.loads == 1


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    page = await browser.new_page()
    await page.add_init_script(_OBSERVER)
    yield Visit(page)
    await page.close()


async def test_a_document_is_submitted_and_followed_to_its_end(server: Server, visit: Visit) -> None:
    page = visit.page
    await visit.open(server)
    name = await visit.submit("followed.pdf", INVOICE.read_bytes())
    row = page.locator("#jobs tr").filter(has_text=name)
    await expect(row).to_have_attribute("data-state", "succeeded", timeout=FINISHED_MS)

    bars = row.locator(".bar")
    stages = await bars.evaluate_all("bars => bars.map(bar => bar.dataset.stage)")
    assert stages == ["ocr", "ner", "llm"]
    for bar in await bars.all():
        await expect(bar).to_have_attribute("data-state", "succeeded")
        await expect(bar.get_by_role("progressbar")).to_have_js_property("value", 1)
    shown = await page.evaluate("shown")
    for earlier, later in pairwise(stages):
        assert shown.index(f"{earlier} succeeded") < shown.index(f"{later} succeeded"), "not live"
    await visit.check_clean()


async def test_the_detail_shows_summary_entities_and_text(server: Server, visit: Visit) -> None:
    page = visit.page
    await visit.open(server)
    name = await visit.submit("shown.pdf", INVOICE.read_bytes())
    await page.get_by_role("link", name=name).press("Enter")
    detail = page.get_by_role("region", name="Chosen job")
    await expect(detail.get_by_role("heading", name=name)).to_be_focused()

    await expect(detail.locator("[data-output=llm] .summary p")).not_to_be_empty(timeout=FINISHED_MS)
    await expect(detail.locator("[data-output=ner] .label").first).to_be_visible()
    await expect(detail.locator("[data-output=ocr] pre").first).to_contain_text(re.compile("invoice", re.I))
    await expect(detail.get_by_role("button", name="Cancel")).to_be_hidden()
    await expect(detail.get_by_role("button", name="Retry")).to_be_hidden()
    await expect(page.get_by_role("log")).to_contain_text(f"{name}: succeeded")

    await detail.get_by_role("link", name="Close").press("Enter")
    await expect(detail).to_be_hidden()
    await expect(page.get_by_role("link", name=name)).to_be_focused()
    await visit.check_clean()


async def test_names_and_text_that_hold_markup_stay_text(server: Server, visit: Visit) -> None:
    page = visit.page
    await visit.open(server)
    name = await visit.submit(HOSTILE_NAME, HOSTILE_TEXT.encode(), "text/plain")
    row = page.locator("#jobs tr").filter(has_text=name)
    await row.get_by_role("link").click()
    detail = page.get_by_role("region", name="Chosen job")
    await expect(detail.get_by_role("heading", name=name)).to_be_visible()
    await expect(detail.locator("[data-output=ocr] pre")).to_contain_text("<script>", timeout=FINISHED_MS)
    await expect(row).to_have_attribute("data-state", "succeeded", timeout=FINISHED_MS)

    await expect(page.locator("main img, main script")).to_have_count(0)
    await expect(page).to_have_title("Millrace")
    await visit.check_clean()


async def test_a_job_is_cancelled(server: Server, visit: Visit) -> None:
    page = visit.page
    await visit.open(server)
    name = await visit.submit("stopped.tiff", SCAN.read_bytes(), "image/tiff")
    await page.get_by_role("link", name=name).click()
    detail = page.get_by_role("region", name="Chosen job")
    await detail.get_by_role("button", name="Cancel").click()
    await expect(detail.locator(".badge")).to_have_text("cancelled", timeout=FINISHED_MS)
    await expect(detail.locator("[data-stage=llm]")).to_contain_text("not reached")
    await expect(detail.get_by_role("button", name="Cancel")).to_be_hidden()
    await expect(detail.get_by_role("button", name="Retry")).to_be_hidden()
    await visit.check_clean()


async def test_a_failed_stage_says_why_and_is_retried(server: Server, visit: Visit) -> None:
    page = visit.page
    await visit.open(server)
    name = await visit.submit("truncated.pdf", INVOICE.read_bytes()[:200])
    await page.get_by_role("link", name=name).click()
    detail = page.get_by_role("region", name="Chosen job")
    stage = detail.get_by_role("listitem").filter(has=page.locator("[data-stage=ocr]"))
    await expect(stage.locator(".error")).to_contain_text("PermanentError", timeout=FINISHED_MS)
    await expect(detail.locator(".badge")).to_have_text("failed")
    await expect(stage).to_contain_text("attempt 1 of")

    failed_at = await stage.locator(".error time").get_attribute("datetime")
    assert failed_at is not None
    await detail.get_by_role("button", name="Retry").click()
    again = stage.locator(".error time")
    await expect(again).not_to_have_attribute("datetime", failed_at, timeout=FINISHED_MS)
    await expect(detail.locator(".badge")).to_have_text("failed", timeout=FINISHED_MS)
    await visit.check_clean()


async def test_a_refused_file_says_why_and_can_be_dismissed(server: Server, visit: Visit) -> None:
    page = visit.page
    await visit.open(server)
    name = await visit.submit("empty.pdf", b"")
    upload = page.get_by_role("list", name="Uploads").get_by_role("listitem").filter(has_text=name)
    await expect(upload.get_by_role("alert")).not_to_be_empty()
    await upload.get_by_role("button", name="Dismiss").click()
    await expect(upload).to_have_count(0)


async def test_injected_code_does_not_run(server: Server, visit: Visit) -> None:
    await visit.open(server)
    refused = await visit.page.evaluate(
        """() => {
          const script = document.createElement("script");
          try { script.text = "document.title = 'taken'"; } catch (error) { return error.name; }
          document.body.append(script);
          return "appended";
        }"""
    )
    assert refused == "TypeError", "trusted types are not required"
    await expect(visit.page).to_have_title("Millrace")


async def test_it_fits_a_phone(server: Server, visit: Visit) -> None:
    page = visit.page
    await page.set_viewport_size({"width": 360, "height": 740})
    await visit.open(server)
    name = await visit.submit("small.pdf", INVOICE.read_bytes())
    link = page.get_by_role("link", name=name)
    await expect(link).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await link.click()
    await expect(page.get_by_role("region", name="Chosen job")).to_be_visible()
    await expect(page.locator("#list")).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def test_every_file_comes_with_its_type_and_its_headers(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        index = await client.get("/")
        addresses = ["/", *(f"/{found}" for found in re.findall(r'(?:href|src)="(page/[^"]+)"', index.text))]
        for address in addresses:
            answer = await client.get(address)
            assert answer.status_code == 200, address
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-cache"
            again = await client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
            assert again.status_code == 304, address
            assert again.headers["Content-Security-Policy"] == policy
        assert urlsplit(str(index.url)).path == "/"
        assert (await client.get("/page/../__init__.py")).status_code == 404
        assert (await client.get("/page/%2e%2e/__init__.py")).status_code == 404
