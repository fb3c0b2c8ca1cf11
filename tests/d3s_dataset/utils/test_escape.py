"""Text of strangers in Markdown, CSV and on a terminal."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.reports.text import grid
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.cli import run_command, say
from d3s_dataset.utils.escape import csv_cell, csv_text, markdown, terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](https://evil.example/x.png)", r"\!\[x\](https&#58;//evil.example/x.png)"),
        ("[a](javascript:alert)", r"\[a\](javascript:alert)"),
        ("a|b `c` <b>&", r"a\|b \`c\` &lt;b&gt;&amp;"),
        ("www.evil.example or me@evil.example", "www&#46;evil.example or me&#64;evil.example"),
        ("a\n\n# b", r"a \# b"),
        ("mobilenetv2_100.ra_in1k", "mobilenetv2_100.ra_in1k"),
        ("_a_ *b* ~~c~~", r"\_a\_ \*b\* \~\~c\~\~"),
        ("-3.2 to 4.1", "-3.2 to 4.1"),
    ],
)
def test_markdown(text, shown):
    assert markdown(text) == shown


@pytest.mark.parametrize("text", ['=HYPERLINK("https://evil.example")', "+1+1", "-1+1", "@SUM(1)", "\t=1", " =1"])
def test_no_cell_of_a_csv_is_a_formula(text):
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize("value", [-0.25, 7, None, "-", "-3.2", "-3.2 to 4.1*", "+0.4", "resnet50", "95 % interval"])
def test_figures_and_names_stay_in_a_csv(value):
    assert csv_cell(value) == value


def test_a_terminal_gets_no_control_characters(capsys):
    assert terminal("a\x1b[31m\n\u202eb\udcff\xa0é") == r"a\x1b[31m\n\u202eb\udcff\xa0é"
    say("one\ntwo\x1b[2J")
    assert capsys.readouterr().out == "one\ntwo\\x1b[2J\n"

    def fail(_):
        raise ResultError("no file \x1b]0;title\x07\nerror: forged")

    with pytest.raises(SystemExit):
        run_command(fail)
    assert capsys.readouterr().err == "error: no file \\x1b]0;title\\x07\\nerror: forged\n"


def test_a_table_shows_brackets_and_no_control_characters():
    shown = grid(("model", "top-1"), [("[bold]a[/bold]\x1b[2J", "1.0")])
    assert r"[bold]a[/bold]\x1b[2J" in shown
    assert "\x1b" not in shown


@given(st.text())
def test_any_text_stays_on_one_line(text):
    assert terminal(text).isprintable()
    assert markdown(text).isprintable()
    assert str(csv_cell(text)).isprintable()


@example("'=")
@example("''-5")
@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=20))
def test_a_protected_cell_is_read_back(text):
    assert csv_text(csv_cell(text)) == text


@pytest.mark.parametrize("cell", ["'quoted'", "''", "'", "don't", "a=b", "7"])
def test_an_apostrophe_that_protects_nothing_stays(cell):
    assert csv_text(cell) == cell
