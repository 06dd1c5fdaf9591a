"""RESTEasy on an embedded Tomcat 9, of Debian's jars, with the JDK of Debian."""

import pathlib

from tests.corpus import shapes
from tests.corpus.servers import compiling

_HERE = pathlib.Path(__file__).parent
_BUILT = compiling.folder_of("tomcat", _HERE / "Serve.java")
_JARS = ":".join(
    f"/usr/share/java/{name}.jar"
    for name in (
        *("resteasy-jaxrs", "jaxrs-api", "jboss-logging", "geronimo-annotation-1.3-spec", "commons-io"),
        *("tomcat9-catalina", "tomcat9-coyote", "tomcat9-util", "tomcat9-util-scan", "tomcat9-juli"),
        *("tomcat9-api", "tomcat9-jaspic-api", "tomcat9-annotations-api", "tomcat9-jni", "servlet-api"),
    )
)


def _build() -> None:
    compiling.compile_into(
        _BUILT,
        ["javac", "-cp", _JARS, "-d", "{out}", "Serve.java"],
        _HERE,
        install="apt-get install openjdk-17-jdk-headless libtomcat9-java libresteasy3.0-java",
    )


TOMCAT = shapes.Server(
    name="tomcat",
    command=(
        *("java", "-Djava.io.tmpdir={folder}", "-cp", f"{_BUILT}:{_JARS}"),
        *("Serve", "{port}", str(shapes.DOWNSTREAM_PORT)),
    ),
    process="java",
    address="*",
    backlog=100,
    # Not "slow": it accepts 8192 connections whatever its 200 threads do, and what waits inside of it the kernel
    # does not see.
    handlers=frozenset(
        {
            *("ok", "work", "lock", "downstream", "sleep", "cpu"),
            *("leak", "hoard", "fetch", "longpoll", "download", "stream"),
        }
    ),
    stalls_as="handler-stall",
    workers=200,
    load=(180, 0.1, "slow"),
    overload=0,
    files=128,
    tls=("{certificate}", "{key}"),
    build=_build,
)

SERVERS = (TOMCAT,)
