"""The page in a real browser: search, example, keys, errors; no outside request."""

import base64

import pytest
from pages import expect, names, playwright, shows

pytestmark = pytest.mark.slow


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
