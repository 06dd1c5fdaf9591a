"""Every server of the corpus. A folder each: its handlers, how it is built, and a shapes.Server for each setting."""

from tests.corpus import shapes
from tests.corpus.servers import express, golang, nginx, node, python, rust, tomcat

ALL: tuple[shapes.Server, ...] = (
    *python.SERVERS,
    *tomcat.SERVERS,
    *golang.SERVERS,
    *node.SERVERS,
    *express.SERVERS,
    *rust.SERVERS,
    nginx.NGINX,
)
"""In the order of the table."""
