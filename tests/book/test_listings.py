"""Code on the pages: wrapped by lines, and still the same text."""

import html
import re

from modts.book import listings

CODE = '''seeds = [0, 1]  # each makes a split, "in quotes", <and> a training order that goes on past the column's end

class Mine:
    """Two lines
    of words."""

                        deep = 1
'''


def page(code):
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return f"<p>before</p>{highlight(code, PythonLexer(), HtmlFormatter())}<pre>after\nthat</pre>"


def words(text):
    return html.unescape(re.sub("<[^>]*>", "", text))


def test_a_listing_keeps_its_text_and_each_line_knows_how_far_it_is_indented():
    before = page(CODE)
    after = listings.wrapped(before)
    assert words(after) == words(before)  # what is copied is the code
    assert re.findall(r"--hang:(\d+)ch", after) == ["4", "4", "8", "8", "16"]  # none for an empty line
    assert after.endswith("<pre>after\nthat</pre>")


def test_every_line_closes_what_it_opens():
    lines = re.findall(r'<span class="modts-line".*', listings.wrapped(page(CODE)))
    assert len(lines) == sum(map(bool, CODE.splitlines()))
    for line in lines:
        line = line.split("</pre>")[0]
        assert line.count("<span") == line.count("</span>")
