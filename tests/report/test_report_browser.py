"""The report in a real browser, from disk: map, failures, hostile texts, phone, dark."""

import dataclasses
import re

import numpy as np
import pytest
from toys import HOSTILE, NAME

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow
expect = playwright.expect
PIXELS = "document.getElementById('map-canvas').toDataURL()"
# A point of the map where it lies in the window: [photo's number, x, y].
POINT = """(at) => {
    const box = canvas.getBoundingClientRect();
    return [box.x + canvas.clientLeft + toX(photos.x[at]),
            box.y + canvas.clientTop + toY(photos.y[at])];
}"""


@pytest.fixture
def visit(browser, report_of, sample_report):
    """Return a function that opens a report; whatever the browser complains of fails the test."""
    complaints, opened = [], []

    def run(embeddings=None, **settings):
        path = report_of(embeddings) if embeddings else sample_report
        context = browser.new_context(**settings)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: line.type in ("error", "warning")
                and complaints.append(f"{line.type}: {line.text}"))  # fmt: skip
        page.on("request", lambda request: request.url.startswith((f"file://{path}", "data:image/"))
                or complaints.append(f"outside: {request.url}"))  # fmt: skip
        page.goto(f"file://{path}")
        opened.append(context)
        return page

    yield run
    for context in opened:
        context.close()
    assert complaints == []


def settle(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def over(page, photo):
    """Return the window's place of a photo's point, after bringing the map into view."""
    page.locator("#map-canvas").scroll_into_view_if_needed()
    settle(page)
    return page.evaluate(POINT, photo)


def test_hovering_and_a_click_show_a_photo_with_its_captions(visit, sample_embeddings):
    page = visit()
    expect(page.locator("#map-card")).to_contain_text("Hover over a point")
    page.uncheck("#map-captions")  # so that no caption lies nearer
    page.mouse.move(*over(page, 3))
    expect(page.locator("#map-card bdi").first).to_have_text(sample_embeddings.image_ids[3])
    expect(page.locator("#map-card li")).to_have_count(5)
    expect(page.locator("#map-card img")).to_have_js_property("complete", True)
    assert page.evaluate("document.querySelector('#map-card img').naturalWidth") > 50
    box = page.locator("#map-canvas").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    expect(page.locator("#map-card")).to_contain_text("Hover over a point")
    page.mouse.click(*over(page, 3))
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    expect(page.locator("#map-card")).to_contain_text("kept; Esc lets go")
    page.locator("#map-canvas").press("Escape")
    expect(page.locator("#map-card")).to_contain_text("Hover over a point")


def test_drag_wheel_and_buttons_move_the_map(visit):
    page = visit()
    x, y = over(page, 5)
    scale = page.evaluate("view.scale")
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_function("(before) => view.scale > before * 1.5", arg=scale)
    assert page.evaluate(POINT, 5) == pytest.approx([x, y], abs=1)  # it stays below the pointer
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=4)
    page.mouse.up()
    assert page.evaluate(POINT, 5) == pytest.approx([x + 60, y + 40], abs=1)
    expect(page.locator("#map-card")).not_to_contain_text("kept")  # a drag is no click
    page.click("#map-all")
    assert page.evaluate("view.scale / view.fit") == 1
    page.click("#map-in")
    assert page.evaluate("view.scale / view.fit") == pytest.approx(1.6)
    page.click("#map-out")
    page.click("#map-out")
    assert page.evaluate("view.scale / view.fit") == 1  # never smaller than all


def test_a_pinch_zooms(visit):
    page = visit(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    over(page, 0)
    box = page.locator("#map-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y}, {"x": x + apart, "y": y}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("view.scale / view.fit > 1.7 && view.scale / view.fit < 2.3")
    page.touchscreen.tap(*over(page, 2))
    expect(page.locator("#map-card")).to_contain_text("kept")


def test_by_keyboard_alone(visit):
    page = visit()
    page.locator("#map-canvas").focus()
    middle = page.evaluate("[view.x, view.y]")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    now = page.evaluate("[view.x, view.y]")
    assert now[0] > middle[0] and now[1] > middle[1]
    assert page.evaluate("view.scale / view.fit") == pytest.approx(1.4)
    page.keyboard.press("n")
    first = page.locator("#map-card bdi").first.text_content()
    page.keyboard.press("n")
    assert page.locator("#map-card bdi").first.text_content() != first
    page.keyboard.press("0")
    assert page.evaluate("view.scale / view.fit") == 1
    page.keyboard.press("Tab")  # and the map lets go of the focus
    assert page.evaluate("document.activeElement.id") != "map-canvas"


def test_toggles_and_groups_change_what_is_drawn(visit):
    page = visit()
    over(page, 0)
    seen = [page.evaluate(PIXELS)]
    for name in ("#map-images", "#map-captions", "#map-clusters"):
        page.uncheck(name)
        settle(page)
        seen.append(page.evaluate(PIXELS))
        page.check(name)
    button = page.locator("#map-legend button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    settle(page)
    seen.append(page.evaluate(PIXELS))
    assert len(set(seen)) == 5


def test_search_finds_captions_and_leads_to_them(visit, sample_embeddings):
    page = visit()
    word = "man"
    # From the beginning of a word: "man" is not in "woman".
    wanted = [t for t in sample_embeddings.captions if re.search(rf"\b{word}", t.lower())]
    assert len(wanted) < sum(word in t.lower() for t in sample_embeddings.captions)
    page.fill("#map-text", word.upper())
    expect(page.locator("#map-status")).to_contain_text(f"{len(wanted)} of 175 captions")
    expect(page.locator("#map-hits button").first).to_have_text(wanted[0])
    page.locator("#map-hits button").first.click()
    expect(page.locator("#map-card li.own")).to_have_text(wanted[0])
    assert page.evaluate("view.scale / view.fit") == pytest.approx(5)
    page.fill("#map-text", "狗在海")
    expect(page.locator("#map-hits button")).to_have_text([HOSTILE[3]])
    page.fill("#map-text", "no caption says this")
    expect(page.locator("#map-status")).to_contain_text("0 of 175 captions")
    expect(page.locator("#map-hits button")).to_have_count(0)
    page.fill("#map-text", "")
    expect(page.locator("#map-status")).to_have_text("")


def test_failures_are_browsed(visit, sample_embeddings):
    page = visit()
    total = page.evaluate("data.totals.i2t[0]")
    expect(page.locator("#fail-status")).to_contain_text(f"{total} of 35 photos")
    ranks = page.evaluate("data.failures.i2t.map((each) => each[1])")
    expect(page.locator(".failure")).to_have_count(min(10, total))
    expect(page.locator(".failure .rank").nth(1)).to_contain_text(f"rank {ranks[0]}")
    page.select_option("#fail-order", "near")
    expect(page.locator(".failure").first).to_contain_text(f"rank {ranks[-1]}")
    page.select_option("#fail-order", "worst")
    page.check("[name=way][value=t2i]")
    count = page.evaluate("data.failures.t2i.length")
    assert count > 10
    expect(page.locator("#fail-page")).to_have_text(f"1–10 of {count}")
    first = page.locator(".failure .words").first.text_content()
    page.click("#fail-next")
    expect(page.locator("#fail-page")).to_have_text(f"11–{min(20, count)} of {count}")
    assert page.locator(".failure .words").first.text_content() != first
    page.click("#fail-back")
    expect(page.locator(".failure .words").first).to_have_text(first)
    expect(page.locator("#fail-back")).to_be_disabled()
    page.fill("#fail-text", first.upper())
    expect(page.locator("#fail-status")).to_contain_text("1 hold these words")
    expect(page.locator(".failure")).to_have_count(1)
    page.locator(".failure .plain").first.click()
    expect(page.locator("#map-card")).to_contain_text("kept")
    expect(page.locator("#map-card li.own")).to_have_text(first)


def test_hostile_texts_stay_text(visit, sample_embeddings):
    page = visit()
    assert page.title().startswith("pairlight: best <&> model.pth on val")
    page.fill("#map-text", "owned")
    expect(page.locator("#map-hits button")).to_have_text(list(HOSTILE[:2]))
    page.locator("#map-hits button").first.click()
    expect(page.locator("#map-card li")).to_have_text(list(HOSTILE))
    expect(page.locator("#map-card bdi").first).to_have_text(NAME)
    page.check("[name=way][value=t2i]")
    for each in HOSTILE:
        page.fill("#fail-text", each)
        for words in page.locator(".failure .words").all_text_contents():
            assert words == each
    expect(page.locator("#galleries h3")).to_have_text("“a dog <b>”")
    assert page.locator("img[src='x'], main i, main script, h3 b").count() == 0
    assert "owned" not in page.title()


def test_what_slips_in_does_not_run(browser, sample_report, tmp_path):
    """The page's own policy stops a script, a style and a picture from elsewhere."""
    path, text = tmp_path / "report.html", sample_report.read_text(encoding="utf-8")
    harm = (
        "<script>document.title='owned'</script><img src='https://example.org/x.png'>"
        "<img src='data:,' onerror=\"document.title='owned'\">"
        "<style>main{display:none}</style>"
    )
    path.write_text(text.replace("</main>", harm + "</main>"), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    blocked = []
    page.on("console", lambda line: blocked.append(line.text))
    page.goto(f"file://{path}")
    page.wait_for_function("document.readyState === 'complete'")
    assert "owned" not in page.title()
    assert page.locator("main").is_visible()
    kinds = ("inline script", "img-src", "inline style", "inline event handler")
    assert all(any(kind in line for line in blocked) for kind in kinds), blocked
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_on_a_phone_and_in_the_dark(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 780}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground[4:-1].split(",")) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    contrast = """() => [
        ...document.querySelectorAll('p, th, td, .name, .under, svg text, li')
    ].map((each) => {
        const light = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                const value = part / 255;
                return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const home = each.closest('.card, .chart, .failure') || document.body;
        const look = getComputedStyle(each);
        const ink = each.closest('svg') ? look.fill : look.color;
        const pair = [ink, getComputedStyle(home).backgroundColor];
        const [low, high] = pair.map(light).sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    })"""
    assert min(page.evaluate(contrast)) >= 4.5  # WCAG 2.2, 1.4.3


def test_everything_that_can_be_used_has_a_name(visit):
    page = visit()
    nameless = """() => [
        ...document.querySelectorAll('button, input, select, a, img, canvas, [role]')
    ].filter((each) => each.checkVisibility() && !(each.getAttribute('aria-label')
            || each.textContent.trim() || each.labels?.length || each.hasAttribute('alt')
            || each.getAttribute('role') === 'status')).map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []


def test_one_photo_and_no_failures(visit, sample_embeddings):
    one = dataclasses.replace(
        sample_embeddings,
        images=sample_embeddings.images[:1],
        texts=sample_embeddings.texts[:1],
        owner=np.zeros(1, np.int64),
        image_ids=sample_embeddings.image_ids[:1],
        captions=sample_embeddings.captions[:1],
        paths=sample_embeddings.paths[:1],
    )
    page = visit(one)
    expect(page.locator("#map")).to_contain_text("Too few points for a map")
    expect(page.locator("#map-stage")).to_be_hidden()
    expect(page.locator("#fail-status")).to_contain_text("No failures: 0 of 1 photos")
    expect(page.locator("#fail-list li")).to_have_count(0)
