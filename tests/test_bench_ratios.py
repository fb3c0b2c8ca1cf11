"""`make bench-check`: what a fallen, a steady and a missing ratio give, and a machine of another kind."""

from types import SimpleNamespace

import pytest

from tests.bench import conftest, ratios

KEPT = {"versions": ratios.versions(), "ratios": {"test_a: fast": 2.0, "test_a: faster": 3.0, "test_b: other": 1.0}}
SAME = {"test_a: fast": 2.0, "test_a: faster": 3.0}


@pytest.mark.parametrize(("value", "said"), [
    (1.6, ["test_a: fast: 1.60, 20 % below the recorded 2.00"]),
    (1.69, ["test_a: fast: 1.69, 16 % below the recorded 2.00"]),
    (1.8, []),
    (2.5, []),
    (None, ["test_a: fast: recorded as 2.00 and not measured"]),
])  # fmt: skip
def test_a_ratio_that_fell_or_is_missing_is_one_line(value, said):
    noted = {name: each for name, each in (SAME | {"test_a: fast": value}).items() if each is not None}
    assert ratios.problems(noted, KEPT, {"test_a"}) == said


def test_a_bench_that_did_not_run_is_not_missed():
    assert ratios.problems(SAME, KEPT, {"test_a"}) == []
    assert ratios.problems(SAME, KEPT, {"test_a", "test_b"}) == ["test_b: other: recorded as 1.00 and not measured"]


def test_other_versions_are_told_with_a_fall():
    old = KEPT | {"versions": KEPT["versions"] | {"numpy": "1.0"}}
    assert ratios.problems(SAME, old, {"test_a"}) == []
    assert ratios.problems(SAME | {"test_a: fast": 1.0}, old, {"test_a"})[1:] == ["recorded with numpy 1.0"]


def test_ratios_are_kept_beside_those_of_other_machines_and_benches(tmp_path, monkeypatch):
    path = tmp_path / "ratios.json"
    ratios.record({"test_a: fast": 2.00049}, path)
    ratios.record({"test_b: other": 1.0}, path)
    monkeypatch.setattr(ratios, "kind", lambda: "another CPU, 64 cores")
    ratios.record({"test_a: fast": 7.0}, path)
    found = ratios.load(path)
    assert found.pop("another CPU, 64 cores")["ratios"] == {"test_a: fast": 7.0}
    (own,) = found.values()
    assert own == {"versions": ratios.versions(), "ratios": {"test_a: fast": 2.0, "test_b: other": 1.0}}


def test_a_machine_of_another_kind_runs_and_records_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ratios, "load", lambda: {"another CPU, 64 cores": KEPT})
    monkeypatch.setattr(pytest, "main", lambda *_: pytest.fail("ran"))
    assert ratios.main("check") == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(("value", "status"), [(1.6, 1), (1.8, 0)])
def test_the_end_of_a_check_fails_where_a_ratio_fell(value, status, monkeypatch, capsys):
    monkeypatch.setattr(ratios, "NOTED", SAME | {"test_a: fast": value})
    monkeypatch.setattr(ratios, "load", lambda: {ratios.kind(): KEPT})
    config = SimpleNamespace(getoption=lambda name, default: "check")
    session = SimpleNamespace(config=config, items=[SimpleNamespace(path=conftest.ratios.FILE.with_name("test_a.py"))])
    session.exitstatus = pytest.ExitCode.OK
    conftest.pytest_sessionfinish(session)
    assert session.exitstatus == status
    assert ("test_a: fast" in capsys.readouterr().out) == bool(status)


def test_a_note_names_the_bench(monkeypatch):
    monkeypatch.setattr(ratios, "NOTED", {})
    ratios.note("twice as fast", 2.0)
    assert ratios.NOTED == {"test_bench_ratios: twice as fast": 2.0}
