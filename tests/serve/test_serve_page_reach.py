"""The page for everyone: languages, phone, dark, names for readers, tokens, hostile names."""

import os
import sys

import pytest
from colours import paint
from pages import expect, shows
from serving import TOKEN

pytestmark = pytest.mark.slow


def test_in_chinese_and_back(visit):
    page = visit(locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("#start h1")).to_have_text("搜索你的照片")
    page.fill("#text", "red")
    expect(page.locator("#status")).to_have_text("“red”：2 张照片")
    expect(page.locator(".fit").first).to_contain_text("几乎肯定")
    page.select_option("#language", "en")
    expect(page.locator("#status")).to_have_text("2 photos for “red”")
    page.reload()
    expect(page.locator("#status")).to_have_text("2 photos for “red”")
    # Every text there is has its twin.
    missing = "() => Object.keys(WORDS.en).filter((key) => !(key in WORDS.zh))"
    assert page.evaluate(missing) == []
    assert page.evaluate("() => Object.keys(WORDS.zh).length") == page.evaluate(
        "() => Object.keys(WORDS.en).length"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_in_the_dark(visit, scheme):
    page = visit(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    page.fill("#text", "red")
    shows(page, "red.png", "flag.png")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".card .open").first.tap()
    expect(page.locator("#viewer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground[4:-1].split(",")) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    contrast = """() => {
    const texts = document.querySelectorAll('.name, .fit, .like, #status');
    return [...texts].map((each) => {
        const light = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                const value = part / 255;
                return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const card = each.closest('.card') || document.body;
        const pair = [getComputedStyle(each).color, getComputedStyle(card).backgroundColor];
        const [low, high] = pair.map(light).sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    });
    }"""
    assert min(page.evaluate(contrast)) >= 4.5  # WCAG 2.2, 1.4.3


def test_everything_that_can_be_used_has_a_name(visit):
    page = visit()
    page.fill("#text", "red")
    shows(page, "red.png", "flag.png")
    nameless = """() => [...document.querySelectorAll('button, input, select, a, img')].filter(
        (each) => each.checkVisibility() && !(each.getAttribute('aria-label')
            || each.textContent.trim() || each.labels?.length || each.hasAttribute('alt'))
    ).map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []
    expect(page.get_by_role("searchbox", name="Search your photos")).to_be_visible()
    expect(page.get_by_role("button", name="More like this: red.png")).to_be_visible()
    expect(page.get_by_role("status")).to_have_attribute("aria-live", "polite")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_hostile_names_stay_text(visit, index, photos, tmp_path):
    name = "<img src=x onerror=\"document.title='owned'\">&amp;'\".png"
    os.rename(paint(tmp_path / "one.png", "yellow"), photos / "sea" / name)
    index()
    page = visit()
    page.fill("#text", "yellow <img src=x onerror=alert(1)>")
    shows(page, name)
    page.locator(".card .open").click()
    expect(page.locator("#viewer-name")).to_have_text(name)
    page.keyboard.press("Escape")
    page.locator(".card .like").click()
    expect(page.locator("#example-name")).to_have_text(name)
    assert page.title() == "pairlight" and page.locator("img[src='x']").count() == 0


def test_a_photo_that_is_gone_is_told(visit, photos):
    os.remove(photos / "red.png")
    page = visit()
    page.fill("#text", "red")
    expect(page.locator(".card .broken")).to_have_text("cannot be shown now")
    page.locator(".card .open").first.click()
    expect(page.locator("#viewer-broken")).to_be_visible()
    assert all("410" in each for each in visit.complaints)
    visit.complaints.clear()


def test_an_empty_store_says_what_to_do(visit, library, monkeypatch):
    monkeypatch.setattr(library.store, "count", lambda: 0)
    page = visit()
    expect(page.locator("[data-say=start_photo]")).to_contain_text("pairlight index")
    expect(page.locator("#tries")).to_be_hidden()


def test_with_a_token(visit, live):
    address = live(token=TOKEN)
    page = visit(address)
    expect(page.locator("#status")).to_have_text("4 photos to search")
    assert TOKEN not in page.url
    page.reload()
    expect(page.locator("#status")).to_have_text("4 photos to search")
    stranger = visit(address.split("?")[0])
    stranger.fill("#token", TOKEN)
    stranger.get_by_role("button").click()
    expect(stranger.locator("#status")).to_have_text("4 photos to search")
    assert TOKEN not in stranger.url
    assert all("401" in each for each in visit.complaints)
    visit.complaints.clear()


def test_the_description_of_the_api(visit, live):
    page = visit(live() + "docs")
    expect(page.locator("#operations h2").first).to_have_text("GET /api/v1/search")
    expect(page.locator("#operations pre").first).to_contain_text("curl -G")
    expect(page.locator("#operations")).to_contain_text("What they should not show.")
    page = visit(live(token=TOKEN).replace("?", "docs?"))
    expect(page.locator("#operations h2").first).to_have_text("The token")
    expect(page.locator("#operations pre").first).to_contain_text("Authorization: Bearer $TOKEN")
