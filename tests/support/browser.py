"""A real browser for the stories: Debian's chromium, driven by Playwright, without a display."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"]


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Started chromium. Where there is none the story is skipped with its reason, or fails where BROWSER_REQUIRED=1 says so."""
    if CHROMIUM is None:
        reason = "no chromium here; install Debian's package chromium to see the stories in a browser"
        if os.environ.get("BROWSER_REQUIRED") == "1":
            pytest.fail(f"BROWSER_REQUIRED=1, but {reason}")
        pytest.skip(reason)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield started
        finally:
            await started.close()
