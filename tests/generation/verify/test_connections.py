"""Sockets that say nothing, or half of something: they starve nobody, and the server ends when it is asked to."""

import json
import resource
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.generation.verify.conftest import start


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))


def opened(stack, page, text=b""):
    found = stack.enter_context(socket.create_connection(("127.0.0.1", urlsplit(page.base).port), timeout=20))
    found.sendall(text.replace(b"HOST", urlsplit(page.base).netloc.encode()))
    return found


HALF = b"POST /t/x/votes HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"


def test_idle_sockets_starve_no_honest_vote(tasks_folder):
    page = start(tasks_folder, preexec_fn=few_descriptors)
    with ExitStack() as stack:
        for number in range(300):
            opened(stack, page, b"GET / HTTP/1.1\r\n" if number % 2 else b"")
        began = time.monotonic()
        task = page.enter("anna")
        item = json.loads(page.ask(task)[1].split('id="data">')[1].split("</script>")[0])["items"][0]["id"]
        body = {"item": item, "question": "unsafe", "answer": "no", "revision": 1, "seconds": 2}
        assert page.ask(f"{task}/votes", body)[0] == 200
        assert time.monotonic() - began < 5
    page.kill()


def test_half_a_body_does_not_keep_the_server_and_all_votes_are_in_the_file(tasks_folder, tmp_path):
    page = start(tasks_folder)
    task = page.enter("anna")
    item = json.loads(page.ask(task)[1].split('id="data">')[1].split("</script>")[0])["items"][0]["id"]
    body = {"item": item, "question": "unsafe", "answer": "no", "revision": 1, "seconds": 2}
    assert page.ask(f"{task}/votes", body)[0] == 200
    with ExitStack() as stack:
        for _ in range(5):
            opened(stack, page, HALF)
        time.sleep(0.3)
        page.process.send_signal(signal.SIGTERM)
        assert page.process.wait(timeout=15) == 143
    assert page.process.stdout.read() == ""
    page.process.stdout.close()
    shutil.copy(tasks_folder / "votes.sqlite", tmp_path / "copy.sqlite")  # without the write-ahead log
    base = sqlite3.connect(tmp_path / "copy.sqlite")
    assert base.execute("SELECT answer FROM votes").fetchall() == [("no",)]
    base.close()


SLOW = """
import sys, runpy, generation.verify.server.connections as c, generation.verify.server.security as g
c.protocol.__defaults__, g.BODY_SECONDS = (1.0,), 1.0
sys.argv = ["verify", *sys.argv[1:]]
runpy.run_module("generation.verify", run_name="__main__", alter_sys=False)
"""


@pytest.mark.parametrize(
    ("text", "reply"),
    [(b"", b""), (b"GET / HTTP/1.1\r\nHost: HOST\r\nX", b""), (HALF, b"HTTP/1.1 408")],
    ids=["nothing", "half a head", "half a body"],
)
def test_what_does_not_come_is_not_waited_for(tasks_folder, text, reply):
    page = start(tasks_folder, program=["-c", SLOW])
    with ExitStack() as stack:
        late = opened(stack, page, text)
        assert late.recv(100).startswith(reply) if reply else closed(late)
    page.kill()


def closed(late):
    try:
        return late.recv(100) == b""
    except ConnectionResetError:
        return True


def test_what_is_no_http_gets_the_security_headers(served):
    with ExitStack() as stack:
        odd = opened(stack, served, b"nonsense\r\n\r\n")
        said = odd.recv(4096).decode()
    assert said.startswith("HTTP/1.1 400")
    assert "content-security-policy: default-src 'none'" in said
