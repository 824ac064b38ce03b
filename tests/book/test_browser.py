"""Every page in headless Chromium, on a desk and on a phone: quiet console, whole pictures, no sideways scroll."""

import pytest
from book_fixture import book  # noqa: F401
from chromium import Chromium, find

pytestmark = pytest.mark.skipif(find() is None, reason="Chromium is not installed (Debian: apt-get install chromium).")

CHECK = """(() => {
  const page = document.documentElement, width = page.clientWidth;
  const shown = [...document.images].filter(image => getComputedStyle(image).display !== "none");
  const boxes = ".modts-table, .pst-scrollable-table-container, pre, .output, dialog, svg, nav";
  const out = [...document.querySelectorAll("article *")].filter(part => !part.closest(boxes)
    && part.getBoundingClientRect().right > width + 1 && part.getBoundingClientRect().width > 0);
  return {
    sideways: Math.max(page.scrollWidth, document.body.scrollWidth) - width,
    sticking_out: out.slice(0, 5).map(part => part.tagName + "." + part.className),
    broken: shown.filter(image => !image.complete || !image.naturalWidth).map(image => image.src),
    unreadable: [...document.querySelectorAll("article p, article td")].filter(part =>
      part.textContent.trim() && parseFloat(getComputedStyle(part).fontSize) < 11).length,
    pictures: shown.length,
  };
})()"""


@pytest.fixture(scope="module")
def browser():
    with Chromium() as running:
        yield running


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_reads_well(browser, book, width):  # noqa: F811
    problems, pictures = [], 0
    paths = [
        path for path in sorted(book.rglob("*.html")) if "_static" not in path.parts and path != book / "index.html"
    ]
    for path in paths:
        browser.open(path.as_uri(), width)
        found = browser.run(CHECK)
        pictures += found.pop("pictures")
        problems += [f"{path.relative_to(book)}: {error}" for error in browser.errors]
        problems += [f"{path.relative_to(book)}: {name} {value}" for name, value in found.items() if value]
    assert not problems, f"at {width} px:\n" + "\n".join(problems)
    assert len(paths) >= 18 and pictures >= 5


def test_the_folder_opens_on_the_front_page(browser, book):  # noqa: F811
    assert "url=book/index.html" in (book / "index.html").read_text(encoding="utf-8")
    browser.open((book / "book" / "index.html").as_uri(), 1280)
    assert browser.run("document.querySelector('h1').textContent").startswith("Impute first")


def test_dark_mode_keeps_its_contrast(browser, book):  # noqa: F811
    browser.open((book / "book" / "results" / "classification.html").as_uri(), 1280)
    browser.run("document.documentElement.dataset.theme = 'dark'")
    text, ground = browser.run("""(() => {
      const light = colour => {
        const [r, g, b] = colour.match(/[0-9.]+/g).map(Number);
        return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
      };
      const cell = document.querySelector(".modts-table tbody th");
      return [light(getComputedStyle(cell).color), light(getComputedStyle(cell).backgroundColor)];
    })()""")
    assert text > 0.6
    assert ground < 0.3
