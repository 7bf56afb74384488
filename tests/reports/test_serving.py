"""Pages over HTTP: as they are now, under headers that guard them, and nothing that is not a page; real requests."""

import socket
from contextlib import closing
from http.client import HTTPConnection

import pytest

from study.reports.kept import folder_of
from study.reports.serving import serving
from trainables.refusal import Refusal

ODD = "<b>odd/../\u00e9"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A storage folder with the pages of two studies, and what is nobody's business beside them."""
    place = tmp_path_factory.mktemp("storage")
    for study in ("mine", ODD):
        folder_of(place, study).mkdir(parents=True)
        (folder_of(place, study) / "report.html").write_text(f"page of {study}", encoding="utf-8")
        (folder_of(place, study) / "report.json").write_text("{}")
    (place / "report.html").write_text("secret")
    return place


@pytest.fixture(scope="module")
def ask(place):
    """A path, as it is sent → status, headers and text of the answer."""

    def find(study):
        if study not in ("mine", ODD, "unwritten"):
            raise Refusal("no such study")
        return folder_of(place, study)

    with serving(find, 0) as address_of:

        def ask(path, method="GET"):
            host = address_of("").split("/")[2]
            with closing(HTTPConnection(host, timeout=10)) as asking:
                asking.putrequest(method, path.removeprefix(f"http://{host}"), skip_host=False)
                asking.endheaders()
                answer = asking.getresponse()
                return answer.status, answer.headers, answer.read().decode()

        ask.address_of = address_of
        yield ask


@pytest.mark.parametrize("study", ["mine", ODD], ids=["plain", "odd"])
def test_a_page_is_served_at_its_studys_address_as_it_stands(ask, place, study):
    status, headers, text = ask(ask.address_of(study))
    assert (status, text) == (200, f"page of {study}")
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert "Python" not in headers["Server"]
    (folder_of(place, study) / "report.html").write_text("rewritten")
    assert ask(ask.address_of(study))[2] == "rewritten"


@pytest.mark.parametrize(
    "path",
    ["/", "/mine/", "/mine/report.html", "/mine/report.json", "/mine/../report.html", "/..", "/../report.html",
     "/%2e%2e", "/..%2freport.html", "/%2Fetc%2Fpasswd", "/mine%00", "/unwritten", "/other"],
)  # fmt: skip
def test_nothing_else_is_served(ask, path):
    status, _, text = ask(path)
    assert status == 404
    assert "secret" not in text


def test_nothing_can_be_sent(ask):
    assert {ask("/mine", method)[0] for method in ("POST", "PUT", "DELETE")} == {501}


def test_it_listens_on_the_loopback_alone_and_no_more_when_it_is_left(place):
    with serving(lambda study: folder_of(place, study), 0) as address_of:
        host, port = address_of("").split("/")[2].split(":")
        assert host == "127.0.0.1"
        assert listens("127.0.0.1", int(port))
        assert not listens("127.0.0.2", int(port))
        taken = pytest.raises(Refusal, match=rf"pages cannot be served on 127.0.0.1:{port} .*in use.*another --port")
        with taken, serving(lambda study: place, int(port)):
            pass
    assert not listens("127.0.0.1", int(port))


def listens(address, port):
    with closing(socket.socket()) as trying:
        trying.settimeout(2)
        return trying.connect_ex((address, port)) == 0
