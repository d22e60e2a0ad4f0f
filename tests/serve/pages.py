"""What tests of the page share: it in a real browser, and what it shows."""

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect


def names(page):
    return page.locator(".card .name").all_text_contents()


def shows(page, *wanted):
    expect(page.locator(".card .name")).to_have_text(list(wanted), timeout=30_000)
