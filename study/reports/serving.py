"""Studies' pages over HTTP, each as it stands when it is asked for; nothing else is served."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from trainables.refusal import Refusal

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-cache",  # a live page is another at the next look
    "Content-Security-Policy": "frame-ancestors 'none'",  # beside the page's own, which cannot say this
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Handler(BaseHTTPRequestHandler):
    """Answers `/STUDY` with the page in the study's folder."""

    server_version, sys_version = "lr-study", ""

    def __init__(self, folder_of: Callable[[str], Path], *connection: Any) -> None:
        self._folder_of = folder_of
        super().__init__(*connection)  # which answers

    def do_GET(self) -> None:
        name = unquote(urlsplit(self.path).path.removeprefix("/"))
        try:
            text = (self._folder_of(name) / "report.html").read_bytes()
        except (Refusal, OSError):
            self.send_error(404, "No page of such a study")
            return
        self.send_response(200)
        for header, value in (*HEADERS.items(), ("Content-Length", str(len(text)))):
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — its own name for it
        """Say nothing about who asks."""


@contextmanager
def serving(folder_of: Callable[[str], Path], port: int, host: str = LOOPBACK) -> Iterator[Callable[[str], str]]:
    """Serve the pages of studies until it is left.

    Args:
        folder_of: a study's name → the folder of its page; raises a Refusal where there is no such study.
        port: to listen on.
        host: the address to listen on; this machine's loopback, unless told otherwise.

    Yields:
        A study's name → the address of its page.

    Raises:
        Refusal: where the port cannot be listened on.
    """
    try:
        server = ThreadingHTTPServer((host, port), partial(_Handler, folder_of))
    except (OSError, OverflowError) as error:
        raise Refusal(f"pages cannot be served on {host}:{port} ({error}): give another --port or --host") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield lambda study: f"http://{host}:{server.server_port}/{quote(study, safe='')}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
