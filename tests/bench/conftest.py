"""What benches share: the recorder of ratios, and what becomes of them at the end (`ratios`)."""

import pytest

from tests.bench import ratios


def pytest_addoption(parser):
    parser.addoption(
        "--ratios", choices=("record", "check"), help="keep the benches' ratios, or compare with kept ones"
    )


@pytest.fixture
def ratio():
    """Record a ratio, higher is better: `ratio(what, value)`."""
    return ratios.note


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    what = session.config.getoption("--ratios", default=None)
    if what == "record" and ratios.NOTED:
        print(f"\n{ratios.record(ratios.NOTED)}")
    if what == "check":
        files = {item.path.stem for item in session.items}
        found = ratios.problems(ratios.NOTED, ratios.load()[ratios.kind()], files)
        print("\n" + "\n".join(found or [f"{len(ratios.NOTED)} ratios: none fell by more than {ratios.MOST:.0%}"]))
        if found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
