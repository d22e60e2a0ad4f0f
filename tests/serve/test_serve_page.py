"""The page in a real browser: search, example, keys, languages, phone, dark; no outside request."""

import base64
import os
import sys

import pytest
from colours import paint
from serving import TOKEN

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow
expect = playwright.expect


@pytest.fixture
def visit(browser, live):
    """Return a function that opens the page; whatever the browser complains of fails the test."""
    complaints, opened = [], []

    def run(address=None, **settings):
        address = address or live()
        context = browser.new_context(**{"locale": "en-US", **settings})
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: line.type in ("error", "warning")
                and complaints.append(f"{line.type}: {line.text}"))  # fmt: skip
        home = "/".join(address.split("/")[:3]) + "/"
        page.on("request", lambda request: request.url.startswith((home, "blob:" + home))
                or complaints.append(f"outside: {request.url}"))  # fmt: skip
        page.goto(address)
        opened.append(context)
        return page

    run.complaints = complaints
    yield run
    for context in opened:
        context.close()
    assert complaints == []


def names(page):
    return page.locator(".card .name").all_text_contents()


def shows(page, *wanted):
    expect(page.locator(".card .name")).to_have_text(list(wanted), timeout=30_000)


def test_words_are_searched_while_they_are_typed(visit):
    page = visit()
    expect(page.locator("#status")).to_have_text("4 photos to search")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.type("red")
    shows(page, "red.png", "flag.png")
    expect(page.locator("#status")).to_have_text("2 photos for “red”")
    expect(page.locator(".fit").first).to_have_text("almost surely · 100%")
    assert page.evaluate("document.querySelector('.card img').complete") is not None
    expect(page.locator(".card img").first).to_have_js_property("naturalWidth", 48)
    page.locator("#rest").click()
    expect(page.locator(".card")).to_have_count(4)
    expect(page.locator(".fit").last).to_contain_text("hardly")
    page.fill("#text", "")
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)


def test_only_the_newest_answer_counts(visit):
    page = visit()
    held = []
    page.route("**/api/v1/search?*text=red*", lambda route: held.append(route))
    with page.expect_request("**/api/v1/search?*text=red*"):
        page.fill("#text", "red")
    page.fill("#text", "green")
    shows(page, "green.png")
    for route in held:
        try:
            route.continue_()
        except playwright.Error:
            pass  # The page has given this one up.
    page.wait_for_timeout(500)
    assert len(held) == 1 and names(page) == ["green.png"]


def test_nothing_matches(visit):
    page = visit()
    page.fill("#text", "a unicorn")
    expect(page.locator("#nothing-title")).to_have_text("Nothing matches well")
    expect(page.locator("#nothing-text")).to_contain_text("probability of 0%")
    expect(page.locator("#nothing-text")).to_contain_text("Below are the nearest")
    expect(page.locator("#unknown")).to_contain_text("hardly met in training: unicorn")
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("button", name="Show more that hardly fit").click()
    expect(page.locator(".card")).to_have_count(4)
    expect(page.locator("#note")).to_contain_text("Everything is shown")


def test_errors_are_shown_and_tried_again(visit, library, monkeypatch):
    page = visit()
    page.route("**/api/v1/search?*", lambda route: route.abort())
    page.fill("#text", "red")
    expect(page.locator("#failed-text")).to_contain_text("does not answer")
    page.unroute("**/api/v1/search?*")
    page.locator("#again").click()
    shows(page, "red.png", "flag.png")
    expect(page.locator("#failed")).to_be_hidden()
    # The browser tells of the request that we broke off.
    assert all("ERR_FAILED" in each for each in visit.complaints)
    visit.complaints.clear()


def test_a_busy_server_is_asked_again(visit):
    page, answers = visit(), []

    def busy_once(route):
        answers.append(route)
        if len(answers) == 1:
            busy = '{"error": "too many requests at once; try again"}'
            route.fulfill(status=503, body=busy, headers={"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/api/v1/search?*", busy_once)
    page.fill("#text", "red")
    shows(page, "red.png", "flag.png")
    assert len(answers) == 2
    assert all("503" in each for each in visit.complaints)
    visit.complaints.clear()


def test_what_waiting_does_not_mend_is_told_at_once(visit):
    page = visit()
    body = '{"error": "start the server again"}'
    headers = {"Retry-After": "60"}
    page.route(
        "**/api/v1/search?*", lambda each: each.fulfill(status=503, headers=headers, body=body)
    )
    page.fill("#text", "red")
    expect(page.locator("#failed")).to_contain_text("start the server again", timeout=20_000)
    assert all("503" in each for each in visit.complaints)
    visit.complaints.clear()


def test_a_photo_is_dropped_and_words_are_added(visit, photos):
    page = visit()
    content = base64.b64encode((photos / "sea" / "blue.png").read_bytes()).decode()
    drag = """([content, kinds]) => {
        const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "<b>mine</b>.png", { type: "image/png" }));
        for (const kind of kinds) {
            const options = { dataTransfer, bubbles: true, cancelable: true };
            document.querySelector("main").dispatchEvent(new DragEvent(kind, options));
        }
    }"""
    page.evaluate(drag, [content, ["dragenter", "dragover"]])
    expect(page.locator("#drop")).to_be_visible()
    page.evaluate(drag, [content, ["drop"]])
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.locator(".card .name").first).to_have_text("blue.png")
    expect(page.locator("#example-name")).to_have_text("<b>mine</b>.png")
    expect(page.locator("#example-image")).to_have_js_property("naturalWidth", 48)
    expect(page.locator("#status")).to_have_text("4 photos like your photo, the most alike first")
    expect(page.locator(".fit").first).to_have_text("similarity 1.00")
    page.fill("#text", "red white")
    expect(page.locator(".card .name").first).to_have_text("flag.png")
    page.locator("#example-drop").click()
    expect(page.locator("#example")).to_be_hidden()
    expect(page.locator("#status")).to_contain_text("for “red white”")


def test_a_photo_is_picked_or_pasted(visit, photos):
    page = visit()
    page.set_input_files("#file", str(photos / "green.png"))
    expect(page.locator(".card .name").first).to_have_text("green.png")
    content = base64.b64encode((photos / "red.png").read_bytes()).decode()
    page.evaluate(
        """(content) => {
        const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([bytes], "a.png", { type: "image/png" }));
        const options = { clipboardData, bubbles: true, cancelable: true };
        document.dispatchEvent(new ClipboardEvent("paste", options));
    }""",
        content,
    )
    expect(page.locator(".card .name").first).to_have_text("red.png")
    page.set_input_files(
        "#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no image"}
    )
    expect(page.locator("#failed-text")).to_have_text("This is not an image file.")


def test_more_like_this_and_back(visit):
    page = visit()
    page.fill("#text", "green")
    page.keyboard.press("Enter")
    shows(page, "green.png")
    page.locator(".card .like").click()
    expect(page.locator("#status")).to_contain_text("like green.png")
    expect(page.locator(".card")).to_have_count(3)
    assert "green.png" not in names(page)
    page.go_back()
    shows(page, "green.png")
    expect(page.locator("#text")).to_have_value("green")
    page.reload()
    shows(page, "green.png")


def test_by_keyboard_alone(visit):
    page = visit()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.type("red")
    shows(page, "red.png", "flag.png")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".card .open").nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".card .open").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer-name")).to_have_text("flag.png")
    expect(page.locator("#viewer-facts")).to_contain_text("photos/sea · 48 × 32 pixels")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer-name")).to_have_text("red.png")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator(".card .open").nth(0)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("m")
    expect(page.locator("#status")).to_contain_text("like red.png")
    # One card is a stop of the Tab key, however many there are.
    expect(page.locator(".card .open[tabindex='0']")).to_have_count(1)


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
