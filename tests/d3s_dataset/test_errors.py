"""No line of a command shows the token of the Hub, even if a server returns it."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from d3s_dataset.errors import HubError, one_line
from d3s_dataset.utils.cli import note, run_command, warn
from tests.conftest import one_line_error

TOKEN = "hf_" + "S3cret" * 5
OTHER = "a-token-of-a-mirror-without-the-prefix"


class Echo(BaseHTTPRequestHandler):
    """A Hub that refuses everything, and repeats in its reason what it was sent."""

    def refuse(self):
        self.send_response(400)
        self.send_header("X-Error-Message", f"bad header: {self.headers.get('Authorization')}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = refuse

    def log_message(self, format, *args):
        pass


@contextmanager
def echoing():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_a_hub_that_echoes_the_token_does_not_get_it_printed(command, tmp_path, token):
    with echoing() as endpoint:
        given = {"HF_ENDPOINT": endpoint, "HF_TOKEN": token, "HF_HOME": str(tmp_path)}
        result = command("d3s_dataset.check", "lab/d3s", **given)
    assert "<token>" in one_line_error(result)
    assert token not in result.stdout + result.stderr


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_the_token_is_not_in_one_line_even_where_the_line_is_cut(monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    assert one_line(OSError(f"sent Bearer {token}\nto you")) == "sent Bearer <token> to you"
    assert token[:4] not in one_line(OSError("x" * 295 + token))


def test_what_goes_to_stderr_has_no_token(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", OTHER)

    def main(argv):
        warn(f"w {OTHER}")
        note(f"n {TOKEN}")  # somebody else's
        raise HubError(f"e {OTHER}")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err.splitlines() == ["warning: w <token>", "n <token>", "error: e <token>"]


def test_words_are_no_tokens(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    assert one_line(OSError("hf_hub_download of hf_model")) == "hf_hub_download of hf_model"
