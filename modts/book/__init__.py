"""The book: from result files to the pieces of its pages, one module for each page, named like the page.

In: the tables of results/ and the quick profile's own. Out: Markdown, pictures and downloads in book/_generated. Nothing here trains.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(__name__, {})
