"""nginx as a proxy, with the settings that Debian ships; what it asks is the downstream of the room.

A dead upstream is not its disease: it waits with an event loop, gives up after its own time-out, and notices a
client that leaves. So most conditions that hurt others leave it healthy.
"""

import shutil

from tests.corpus import shapes

_SETTINGS = """
worker_processes auto;
error_log stderr;
pid {folder}/nginx.pid;
daemon off;
events { worker_connections 768; }
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    default_type application/octet-stream;
    gzip on;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {
        LISTEN
        location = /ok { return 200 "ok\\n"; }
        location / { proxy_pass http://127.0.0.1:7000; }
    }
}
"""
_PLAIN = "listen {port};"
_TLS = "listen {port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"


def _check() -> None:
    if shutil.which("nginx") is None:
        raise shapes.NotBuilt("nginx was not found: apt-get install nginx-light (make setup does it as root)")


NGINX = shapes.Server(
    name="nginx",
    command=("nginx", "-p", "{folder}", "-c", "{folder}/plain.conf"),
    process="nginx",
    address="0.0.0.0",
    backlog=511,
    handlers=frozenset({"ok", "work", "downstream", "longpoll", "download"}),
    stalls_as="healthy",
    workers=20,
    load=(8, 0.02, "work"),
    overload=0,
    burst=200,
    tls=("-c", "{folder}/tls.conf"),
    configuration={
        "plain.conf": _SETTINGS.replace("LISTEN", _PLAIN),
        "tls.conf": _SETTINGS.replace("LISTEN", _TLS),
    },
    behind="brief",
    build=_check,
)
