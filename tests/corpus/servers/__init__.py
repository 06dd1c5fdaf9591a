"""Every server of the corpus. A folder each: its handlers, how it is built, and a shapes.Server for each setting."""

from tests.corpus import shapes
from tests.corpus.servers import python

ALL: tuple[shapes.Server, ...] = (*python.SERVERS,)
"""In the order of the table."""
