"""The map of the dictionary's page in a real browser: legend, mouse, keys, zoom, colors."""

import io

import numpy as np
import pytest
from PIL import Image

from tests import chromium
from tests.dictionary_samples import drawn

pytestmark = pytest.mark.skipif(
    chromium.find() is None, reason="needs a browser: apt-get install chromium"
)
CENTER = "(box => [box.x + box.width / 2, box.y + box.height / 2])(canvas.getBoundingClientRect())"


@pytest.fixture
def look(browser, addresses):
    """Open a page by name, on a screen of a width; afterwards it must not have complained."""
    yield lambda name="small", **screen: browser.look(addresses[name], **screen)
    assert browser.complaints == []


def drawn_pixels(page, color):
    """Pixels of the map that are nearly of a color of the style sheet."""
    page.settle()
    box = page.run("(b => [b.x, b.y, b.right, b.bottom])(canvas.getBoundingClientRect())")
    picture = Image.open(io.BytesIO(page.picture())).convert("RGB").crop([round(n) for n in box])
    wanted = page.run(f"chart.colors.{color}").lstrip("#")
    target = np.array([int(wanted[at : at + 2], 16) for at in (0, 2, 4)])
    return int((np.abs(np.asarray(picture, dtype=int) - target).max(axis=-1) < 30).sum())


def mouse(page, kind, x, y, **more):
    page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
    page.settle()


def on_screen(page, row):
    return page.run(f"(b => [b.x + screenX[{row}], b.y + screenY[{row}]])"
                    "(canvas.getBoundingClientRect())")  # fmt: skip


def test_the_legend_takes_an_attribute_off_the_map_and_puts_it_back(look):
    page = look("drawn")
    names = [each.split("\n")[0] for each in page.texts("#legend .entry bdi")]
    assert names == [*(a.name for a in drawn(600).attributes), "left out"]
    blue, rust = drawn_pixels(page, "tints[0]"), drawn_pixels(page, "tints[1]")
    assert min(blue, rust) > 300
    page.click("#legend .entry")
    assert drawn_pixels(page, "tints[0]") == 0
    assert drawn_pixels(page, "tints[1]") >= 0.9 * rust
    assert page.run("document.querySelector('#legend .entry').ariaPressed") == "false"
    page.click("#legend .entry")
    assert drawn_pixels(page, "tints[0]") == blue
    page.run("document.querySelectorAll('#legend .both button')[1].click()")
    assert drawn_pixels(page, "tints[1]") == 0


def test_a_search_leaves_only_its_words_in_full_color(look):
    page = look("drawn")
    before = drawn_pixels(page, "tints[1]")
    page.run("queryBox.value = 'color'; searchTyped()")
    assert drawn_pixels(page, "tints[1]") < 0.02 * before
    assert drawn_pixels(page, "tints[0]") > 300


def test_area_grows_with_the_logarithm_of_the_count(look):
    page = look("small")
    radius = page.run("[...Array(numWords).keys()].map(row => radius[row])")
    counts = [90, 30, 60, 12, 3]
    ratio = (np.array(radius[:5]) / radius[0]) ** 2
    np.testing.assert_allclose(ratio, np.log1p(counts) / np.log1p(90), rtol=1e-5)


def test_mouse_over_a_mark_tells_the_word_and_a_click_shows_it(look):
    page = look("small")
    x, y = on_screen(page, 0)
    mouse(page, "mouseMoved", x, y)
    assert page.texts("#tip") == ["blue\ncolor \u00b7 blue \u00b7 90 mentions \u00b7 score 0.91 "
                                  "\u00b7 margin 0.52"]  # fmt: skip
    for kind in ("mousePressed", "mouseReleased"):
        mouse(page, kind, x, y, button="left", clickCount=1)
    assert page.texts("#word h2") == ["blue"]


def test_keys_go_from_word_to_word_show_one_and_come_back(look):
    page = look("drawn")
    page.run("canvas.focus()")
    page.press("ArrowRight")
    first = page.run("chart.spot")
    assert first == page.run("placed[0]")
    page.press("ArrowRight")
    second = page.run("chart.spot")
    assert page.run(f"screenX[{second}] > screenX[{first}]")
    words = page.run("data.words.text")
    assert page.run("document.getElementById('said').textContent").startswith(words[second])
    page.press("Enter")
    assert page.texts("#word h2") == [words[second]]
    page.press("Escape")
    assert page.run("document.activeElement.id") == "canvas"


def test_zoom_keeps_what_is_under_the_mouse_and_0_shows_the_whole_map(look):
    page = look("drawn")
    x, y = on_screen(page, 5)
    wheel = {"deltaX": 0, "deltaY": -250}
    mouse(page, "mouseWheel", x, y, **wheel)
    assert page.run("plane.zoom") == 1  # the page scrolls
    page.run("scrollTo(0, 0)")
    x, y = on_screen(page, 5)
    mouse(page, "mouseWheel", x, y, modifiers=2, **wheel)
    assert page.run("plane.zoom") == pytest.approx(np.exp(1))
    assert on_screen(page, 5) == pytest.approx([x, y], abs=0.1)
    before = page.run("screenX[5]")
    cx, cy = page.run(CENTER)
    mouse(page, "mousePressed", cx, cy, button="left", clickCount=1)
    mouse(page, "mouseMoved", cx + 60, cy, button="left", buttons=1)
    mouse(page, "mouseReleased", cx + 60, cy, button="left", clickCount=1)
    assert page.run("screenX[5]") == pytest.approx(before + 60, abs=0.1)
    assert page.texts("#word") == []  # a drag is no click
    page.run("canvas.focus()")
    page.press("0")
    assert page.run("[plane.zoom, plane.dx, plane.dy]") == [1, 0, 0]


def test_words_at_one_place_stand_beside_each_other(look):
    page = look("drawn")
    page.run("data.words.x.fill(1), data.words.y.fill(2), spread(), project()")
    x, y = page.run("[[...screenX.slice(0, 9)], [...screenY.slice(0, 9)]]")
    points = np.stack([x, y], axis=1)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(9, 1)]
    assert gaps.min() > 5


def test_hdbscan_alone_colors_the_map_by_its_clusters(look):
    page = look("drawn")
    page.run("document.querySelectorAll('#tint button')[1].click()")
    page.settle()
    clusters = [n for n in drawn(600).labels_.values() if n >= 0]
    sizes = sorted((clusters.count(n) for n in set(clusters)), reverse=True)
    shown = [int(text) for text in page.texts("#legend small")]
    assert shown == [*sizes, 600 - len(clusters)]
    assert page.texts("#legend bdi")[-1] == "noise"


def test_dark_and_light_have_their_own_paper_and_marks(look):
    papers = []
    for dark in (False, True):
        page = look("drawn", dark=dark)
        assert drawn_pixels(page, "tints[2]") > 100
        papers.append(page.run("getComputedStyle(document.body).backgroundColor"))
    light, shade = ([int(n) for n in each[4:-1].split(",")] for each in papers)
    assert min(light) > 240
    assert max(shade) < 40


def test_a_phone_shows_everything_without_scrolling_sideways(look):
    page = look("drawn", width=400)
    assert page.run("document.documentElement.scrollWidth") == 400
    page.click("#values .word")
    assert page.run("panel.getBoundingClientRect().width") == 400
    assert page.run("document.documentElement.scrollWidth") == 400


def test_paper_gets_light_colors_and_no_controls(look):
    page = look("drawn", dark=True)
    page.send("Emulation.setEmulatedMedia", media="print",
              features=[{"name": "prefers-color-scheme", "value": "dark"}])  # fmt: skip
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.texts(".bar") == page.texts(".zoom") == []
    assert page.run("chart.colors.raised") == "#ffffff"
    page.run("dispatchEvent(new Event('afterprint'))")
