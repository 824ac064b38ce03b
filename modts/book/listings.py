"""Code on the pages: a line that is too long for its column goes on below, indented, so that nobody scrolls sideways to read a comment.

A Sphinx extension. Every line of a listing becomes an element of its own that knows how far it is indented; the style sheet does the rest. The
text stays what it was, so what is copied runs.
"""

from __future__ import annotations

import re

HANG, DEEPEST = 4, 16  # characters: a line goes on so far inside its own indentation, and never further in than that
_LISTING = re.compile(r'(<div class="highlight"><pre>(?:<span></span>)?)(.*?)(</pre>)', re.DOTALL)


def line(code: str) -> str:
    """One line of highlighted code in an element of its own; an empty one stays as it is."""
    words = re.sub("<[^>]*>", "", code)
    if not words.strip():
        return code
    hang = min(len(words) - len(words.lstrip(" ")) + HANG, DEEPEST)
    return f'<span class="modts-line" style="--hang:{hang}ch">{code}</span>'


def wrapped(body: str) -> str:
    """A page's HTML with the lines of its listings wrapped; the highlighter closes its elements at the end of each line."""
    return _LISTING.sub(lambda found: found[1] + "\n".join(map(line, found[2].split("\n"))) + found[3], body)


def _context(app, page, template, context, doctree):
    if "body" in context:
        context["body"] = wrapped(context["body"])


def setup(app):
    """Sphinx's entry."""
    app.connect("html-page-context", _context)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
