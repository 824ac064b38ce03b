"""Every page in headless Chromium, on a desk and on a phone: quiet console, whole pictures, no sideways scroll."""

import json

import axe
import pytest
from book_fixture import book  # noqa: F401
from chromium import Chromium, find

pytestmark = pytest.mark.skipif(find() is None, reason="Chromium is not installed (Debian: apt-get install chromium).")

APPENDIX = ("internals",)  # for those who measure this code
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
    code_to_scroll: [...document.querySelectorAll("article pre")].filter(part =>
      part.clientWidth && part.scrollWidth > part.clientWidth + 1).map(part => part.textContent.slice(0, 40)),
    pictures: shown.length,
  };
})()"""


@pytest.fixture(scope="module")
def browser():
    with Chromium() as running:
        yield running


FROM_ROWS = (
    "index",
    "claims",
    "which",
    "status",
    "data",
    "search",
    "internals",
)  # and the results: other pages are the same in both books


@pytest.fixture
def pages(book, request):  # noqa: F811
    """Every page of the published book; of the one from made-up results those that are made from rows."""
    every = [
        path for path in sorted(book.rglob("*.html")) if "_static" not in path.parts and path != book / "index.html"
    ]
    if request.node.callspec.params["book"] == "published":
        return every
    return [
        path
        for path in every
        if path.parent.name == "results" or (path.parent.name == "book" and path.stem in FROM_ROWS)
    ]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_reads_well(browser, book, pages, width):  # noqa: F811
    problems, pictures = [], 0
    for path in pages:
        browser.open(path.as_uri(), width)
        found = browser.run(CHECK)
        pictures += found.pop("pictures")
        problems += [f"{path.relative_to(book)}: {error}" for error in browser.errors]
        problems += [f"{path.relative_to(book)}: {name} {value}" for name, value in found.items() if value]
    assert not problems, f"at {width} px:\n" + "\n".join(problems)
    assert len(pages) >= 18 and pictures >= 5


@pytest.mark.parametrize("width", [1280, 420])
def test_a_results_page_answers_within_four_screens(browser, book, width):  # noqa: F811
    """At most 4,000 px before anything is unfolded, half as much again on a phone, where panels and rows stand one below the other."""
    tall = {}
    for path in sorted((book / "book" / "results").glob("*.html")):
        browser.open(path.as_uri(), width)
        tall[path.stem] = browser.run("document.querySelector('article').scrollHeight")
    limit = 4000 if width > 600 else 6000
    assert not {name: height for name, height in tall.items() if height > limit and name not in APPENDIX}, tall


@pytest.mark.parametrize("width", [1280, 420])
def test_the_papers_own_contrast_is_in_sight(browser, book, width):  # noqa: F811
    browser.open((book / "book" / "results" / "classification.html").as_uri(), width)
    seen = browser.run("""(() => {
      const table = document.querySelector(".modts-table"), cells = [...table.querySelectorAll("td[data-label='As shipped']")];
      const box = table.getBoundingClientRect();
      return cells.length && cells.every(cell => cell.getBoundingClientRect().right <= box.right + 1 && cell.getBoundingClientRect().width > 30);
    })()""")
    assert seen


def test_the_quiz_marks_an_answer_and_counts(browser, book):  # noqa: F811
    browser.open((book / "book" / "learn" / "quiz.html").as_uri(), 1280)
    said = browser.run("""(() => {
      const sets = [...document.querySelectorAll(".modts-quiz fieldset")];
      const pick = (set, value) => set.querySelector(`input[value="${value}"]`).click();
      pick(sets[0], sets[0].dataset.right);
      pick(sets[1], (Number(sets[1].dataset.right) + 1) % 3);
      return [sets[0].querySelector(".said").textContent, sets[1].querySelector(".said").textContent,
              document.querySelector(".modts-quiz .total").textContent];
    })()""")
    assert said[0] == "Right." and said[1].startswith("Not quite") and said[2].startswith("1 right of 2 answered")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_at_level_aa(browser, book, pages, theme):  # noqa: F811
    if axe.source() is None:
        pytest.skip("axe-core is not kept here and npm cannot fetch it.")
    found = []
    for path in pages:
        browser.open(path.as_uri(), 1280)
        browser.run(
            "document.head.append(Object.assign(document.createElement('style'), {textContent: '* {transition: none !important}'}))"
        )
        browser.run(f"document.documentElement.dataset.theme = '{theme}'")
        browser.run("document.querySelectorAll('details').forEach(box => box.open = true)")
        only = axe.TAGS if theme == "light" else ["color-contrast"]  # all that a theme changes
        found += [f"{path.relative_to(book)}: {one}" for one in axe.violations(browser, only)]
    assert not found, "\n".join(found)


def test_a_printed_page_holds_the_article_alone(browser, book):  # noqa: F811
    browser.open((book / "book" / "results" / "classification.html").as_uri(), 1280)
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        shown = browser.run("""(() => {
          const aside = ".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-area";
          const seen = part => part && part.getBoundingClientRect().height > 0;
          return {
            aside: [...document.querySelectorAll(aside)].filter(seen).length,
            article: seen(document.querySelector("article")),
            wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
            ink: getComputedStyle(document.querySelector("article p")).color,
          };
        })()""")
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")
    assert shown == {"aside": 0, "article": True, "wide": 0, "ink": "rgb(0, 0, 0)"}


PLAY = """((kind, choices) => {
  const box = [...document.querySelectorAll(".modts-play")].find(one => one.dataset.kind === kind);
  for (let up = box; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  const read = () => ({said: box.querySelector(".said").textContent, drawn: box.querySelector(".stage").innerHTML,
                       rows: [...box.querySelectorAll("tbody tr")].map(row => row.textContent)});
  const before = read();
  for (const name in choices) {
    const field = box.querySelector(`select[name=${name}]`);
    field.focus();
    field.value = choices[name];
    field.dispatchEvent(new Event("change", {bubbles: true}));
  }
  const svg = box.querySelector("svg");
  return {before, after: read(), hidden: box.hidden, label: svg.getAttribute("aria-label"), width: svg.getBoundingClientRect().width,
          marks: svg.querySelectorAll("circle, polygon, path, rect").length, size: box.outerHTML.length,
          closed: [...box.querySelectorAll("select:disabled")].map(field => field.name),
          fields: [...box.querySelectorAll("select")].every(field => field.closest("label").textContent.trim())};
})"""


@pytest.mark.parametrize(
    "page, kind, choices",
    [
        ("results/classification", "dots", {"share": "0.1", "arm": "frozen|simple"}),
        ("learn/missing_values", "gaps", {"mechanism": "MNAR", "rate": "0.8"}),
        ("learn/missing_values", "gaps", {"mechanism": "informative"}),
        ("learn/holes", "window", {"stay": "1", "variable": "6", "imputer": "LOCF"}),
    ],
)
@pytest.mark.parametrize("width", [1280, 420])
def test_a_picture_answers_to_its_choices(browser, book, page, kind, choices, width):  # noqa: F811
    browser.open((book / "book" / f"{page}.html").as_uri(), width)
    found = browser.run(f"{PLAY}({kind!r}, {json.dumps(choices)})")
    before, after = found["before"], found["after"]
    assert not found["hidden"] and found["label"] and found["fields"] and found["marks"] >= 2 and found["width"] > 200
    assert before["drawn"] != after["drawn"] and before["rows"] != after["rows"] and after["rows"] and after["said"]
    assert not any("NaN" in text or "undefined" in text for text in [after["drawn"], after["said"], *after["rows"]])
    assert found["closed"] == (
        ["rate"] if choices.get("mechanism") == "informative" else []
    )  # as on a ward nobody chooses
    assert found["size"] < 300_000 and not browser.errors


def test_without_javascript_the_still_picture_stands_there(book):  # noqa: F811
    text = (book / "book" / "results" / "classification.html").read_text(encoding="utf-8")
    assert text.index("modts-still") < text.index('class="modts-play"') and "hidden>" in text


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
