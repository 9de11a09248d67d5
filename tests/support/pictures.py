"""Pictures of pages for whoever wants to look, where the variable PICTURES names a folder; nothing otherwise."""

import os
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Page

WIDTHS: Final = (1440, 390)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


async def pictured(page: Page, name: str) -> None:
    """The page as it is, wide and narrow, light and dark."""
    folder = os.environ.get("PICTURES")
    if not folder:
        return
    for scheme in SCHEMES:
        for width in WIDTHS:
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size({"width": width, "height": 900})
            await page.screenshot(path=Path(folder) / f"{name}-{scheme}-{width}.png", full_page=True)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": WIDTHS[0], "height": 900})
