"""What a terminal shows while a model is run: what is loading, then a bar that moves with each batch."""

import os
import pty
import re
import subprocess
import sys
import termios

from tests.conftest import ROOT


def test_a_terminal_shows_what_is_loading_and_each_batch(toy, small, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    line = [sys.executable, "-m", "benchmark.run", "--model", f"local-dir:{small}", "--dataset", str(toy)]
    started = subprocess.Popen(
        [*line, "--precision", "fp32", "--out", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs,
        # A cache of its own: where another test of this process has run the model, nothing is loaded or computed.
        env=os.environ | {"TQDM_MININTERVAL": "0", "D3S_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert started.wait(60) == 0
    text = shown.decode()
    assert text.index("loading torch ...") < text.index(f"loading local-dir:{small} ...")
    # 90 images in batches of 32.
    assert re.findall(r" (\d+)/90 ", text[text.index("0/90") :])[-4:] == ["0", "32", "64", "90"]
