"""Submissions that a board refuses: each with its reason, and none ends the fold."""

import io
import json
import os
import pickle
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.board import rules as truth
from benchmark.board import site, validation
from benchmark.board.fold import fold
from benchmark.board.intake import measure
from benchmark.board.safe_read import bounded_memory
from benchmark.board.submission import DESCRIPTION, FILES, FOLDER, PREDICTIONS, RESULT
from benchmark.schemas import predictions
from benchmark.schemas.predictions import SCHEMA
from d3s_dataset.errors import ReleaseError
from tests.benchmark.board.conftest import IMAGES


@pytest.fixture(scope="module")
def judge(empty_board, release):
    rules = truth.read_rules(empty_board)
    labels = truth.truth_of(release, rules)
    return lambda folder: measure(folder, "content", rules, labels)


@pytest.fixture(scope="module")
def good(empty_board, measured, send, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("good")
    board = shutil.copytree(empty_board, scratch / "board")
    send(measured(scratch / "results"), board)
    return next((board / FOLDER).iterdir())


@pytest.fixture
def bad(good, tmp_path):
    return shutil.copytree(good, tmp_path / good.name)


def table_of(folder):
    return pq.read_table(folder / PREDICTIONS)


def put(folder, table, **options):
    pq.write_table(table, folder / PREDICTIONS, **options)


def with_column(table, name, values):
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def column(table, name):
    return table[name].to_pylist()


def edit(folder, name, change):
    content = json.loads((folder / name).read_bytes())
    change(content)
    (folder / name).write_text(json.dumps(content))


def a_number_edited(folder):
    edit(folder, RESULT, lambda said: said["metrics"].update(top1=0.9))


def a_background_edited(folder):
    edit(folder, RESULT, lambda said: said["metrics"]["by_background"]["rain"].update(top1=0.1))


def a_struct_for_the_key(folder):
    table = table_of(folder)
    keys = pa.array([{"key": each} for each in column(table, "key")])
    put(folder, table.set_column(0, pa.field("key", keys.type), keys))


def five_certainties(folder):
    put(folder, with_column(table_of(folder), "probability", [[1.0] * 5] * IMAGES))


def no_loss(folder):
    put(folder, with_column(table_of(folder), "loss", [0.0] * IMAGES))


def the_label_as_fifth(folder):
    table = table_of(folder)
    pairs = zip(column(table, "prediction"), column(table, "foreground"), strict=True)
    put(
        folder,
        with_column(table, "prediction", [each if label in each else [*each[:4], label] for each, label in pairs]),
    )


def a_blank_tag(folder):
    edit(folder, RESULT, lambda said: said["model"].update(tag=" "))


def a_cyrillic_letter(folder):
    edit(folder, RESULT, lambda said: said["model"].update(tag="t\u043ey"))


def text_that_runs_backwards(folder):
    edit(folder, RESULT, lambda said: said["model"].update(checkpoint="\u202egpj.exe"))


def an_argument_without_bound(folder):
    edit(folder, RESULT, lambda said: said["model"].update(kwargs={"depth": 100_000}))


def a_thousand_arguments(folder):
    edit(folder, RESULT, lambda said: said["model"].update(kwargs={f"a{i}": 1 for i in range(1000)}))


def a_prediction_missing(folder):
    put(folder, table_of(folder).slice(1))


def a_prediction_doubled(folder):
    table = table_of(folder)
    put(folder, pa.concat_tables([table.slice(1), table.slice(5, 1)]))


def another_key(folder):
    table = table_of(folder)
    put(folder, with_column(table, "key", ["../../etc/passwd", *column(table, "key")[1:]]))


def another_label(folder):
    table = table_of(folder)
    put(folder, with_column(table, "foreground", [999, *column(table, "foreground")[1:]]))


def another_release(folder):
    edit(folder, RESULT, lambda said: said["dataset"].update(digest="0" * 64))


def another_release_s_digest(folder):
    edit(folder, RESULT, lambda said: said["dataset"].update(release="0" * 64))


def backgrounds_renamed(folder):
    edit(folder, RESULT, lambda said: said["dataset"]["backgrounds"].reverse())


def the_drawn_sample(folder):
    edit(folder, RESULT, lambda said: said["dataset"].update(kind="sample"))


def not_fp32(folder):
    edit(folder, RESULT, lambda said: said["model"].update(precision="bf16"))


def not_a_number(folder):
    table = table_of(folder)
    put(folder, with_column(table, "loss", [float("nan"), *column(table, "loss")[1:]]))


def a_class_that_is_none(folder):
    table = table_of(folder)
    put(folder, with_column(table, "prediction", [[1000, 1, 2, 3, 4], *column(table, "prediction")[1:]]))


def a_script_in_the_name(folder):
    edit(folder, RESULT, lambda said: said["model"].update(name="<script>alert(1)</script>"))


def a_script_in_the_notes(folder):
    edit(folder, DESCRIPTION, lambda said: said.update(notes="<img src=x onerror=alert(1)>"))


def an_archive(folder):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("../../../evil.txt", "x")
    (folder / "more.zip").write_bytes(sink.getvalue())


def a_link(folder):
    (folder / RESULT).unlink()
    (folder / RESULT).symlink_to("/etc/passwd")


def ten_gigabytes(folder):
    os.truncate(folder / PREDICTIONS, 10 << 30)


def ten_gigabytes_of_json(folder):
    os.truncate(folder / RESULT, 10 << 30)


def a_parquet_bomb(folder):
    table = table_of(folder)
    put(folder, with_column(table, "foreground_source", ["a" * (1 << 22)] * IMAGES), compression="zstd")


def a_bomb_within_the_footer(folder):
    # One long string in a dictionary, named by every row: small in the file and in the footer, large when read.
    table = table_of(folder)
    put(folder, with_column(table, "background_source", ["a" * (1 << 18)] * IMAGES), compression="zstd")


def rows_without_end(folder):
    table = pa.table({each.name: pa.nulls(1 << 20, each.type) for each in SCHEMA})
    put(folder, table, compression="zstd")


def a_pickle(folder):
    (folder / PREDICTIONS).write_bytes(pickle.dumps({"key": np.arange(3)}))


def another_version(folder):
    edit(folder, RESULT, lambda said: said.update(schema_version=5))


def another_version_of_the_description(folder):
    edit(folder, DESCRIPTION, lambda said: said.update(schema_version=4))


def a_folder_without_predictions(folder):
    (folder / PREDICTIONS).unlink()


def endless_brackets(folder):
    (folder / DESCRIPTION).write_text("[" * 100_000)


def provenance_that_is_no_json(folder):
    put(folder, table_of(folder).replace_schema_metadata({b"d3s": b"{" * 5000}))


def a_column_twice(folder):
    table = table_of(folder)
    put(folder, table.append_column("key", table["key"]))


REASONS = {
    a_number_edited: "metrics.top1 is 0.9, recomputed 0.6",
    a_background_edited: "metrics.by_background.rain.top1 is 0.1, recomputed",
    a_struct_for_the_key: "predictions.parquet cannot be read as a Parquet file: b'key'",
    five_certainties: "its five probabilities sum to more than 1",
    no_loss: "its loss is ",
    the_label_as_fifth: "its loss is not minus the logarithm of the label's probability",
    a_blank_tag: "tag ' ': expected 1 to 256 printable ASCII",
    a_cyrillic_letter: "expected 1 to 256 printable ASCII",
    text_that_runs_backwards: "checkpoint '\\u202egpj.exe': expected 1 to 256 printable ASCII",
    an_argument_without_bound: "the model's argument depth: expected a number of at most 4096",
    a_thousand_arguments: "at most 8 arguments of the model, got 1000",
    a_prediction_missing: "has 119 predictions, the images are 120",
    a_prediction_doubled: "the same key stands in two rows",
    another_key: "got another key or none: '../../etc/passwd'",
    another_label: "foreground of image",
    another_release: "expected a result on digest",
    another_release_s_digest: "result.json says otherwise than the release: dataset.release is 0000",
    backgrounds_renamed: "result.json says otherwise than the release: dataset.backgrounds[0] is cave",
    the_drawn_sample: "expected a result on D3S, got one on drawn sample, not D3S: only a rehearsal board takes it",
    not_fp32: "expected a result in fp32, got bf16",
    not_a_number: "expected finite losses of 0 or more",
    a_class_that_is_none: "expected predicted classes in 0..999",
    a_script_in_the_name: "a name of the model: name '<script>alert(1)</script>': expected 1 to 256 printable",
    a_script_in_the_notes: "model.json: notes: Value error, expected at most 256 printable characters without <",
    an_archive: "'more.zip' is too many",
    a_link: "result.json is a link or no file",
    ten_gigabytes: "predictions.parquet has 10,737,418,240 bytes, expected at most",
    ten_gigabytes_of_json: "result.json has 10,737,418,240 bytes, expected at most",
    a_parquet_bomb: "bytes, expected at most",
    a_bomb_within_the_footer: "holds a string of 262,144 characters",
    rows_without_end: "has 1,048,576 predictions, the images are 120",
    a_pickle: "cannot be read as a Parquet file",
    another_version: "schema_version 5 is newer than 4, the newest that is read: update d3s",
    another_version_of_the_description: "schema_version 4 is newer than 3, the newest that is read",
    a_folder_without_predictions: "'predictions.parquet' is missing",
    endless_brackets: "model.json: the whole file: Invalid JSON",
    provenance_that_is_no_json: "is no JSON",
    a_column_twice: "expected the columns of benchmark.run's",
}


@pytest.mark.parametrize("spoil", REASONS, ids=lambda each: each.__name__)
def test_refused_with_its_reason(judge, bad, spoil):
    spoil(bad)
    entry = judge(bad)
    assert entry.state == "refused"
    assert REASONS[spoil] in entry.reason
    assert entry.numbers is None


def test_memory_is_bounded():
    with pytest.raises(MemoryError), bounded_memory():
        bytearray(4 << 30)
    assert len(bytearray(1 << 20)) == 1 << 20


def test_the_good_one_is_not_refused(judge, good):
    entry = judge(good)
    assert (entry.state, entry.reason) == ("recomputed", "")
    assert entry.numbers.all.right == round(0.6 * IMAGES)


def another_method(said):
    said["interval"].update(method="reworded")


def a_metric_more(said):
    said["new_metric"] = 0.5
    said["by_background"]["rain"]["new_metric"] = [1, 2]


def a_metric_less(said):
    del said["ece"], said["worst_group"], said["by_background"]["rain"]["brier"]


def an_interval_of_another_method(said):
    said["by_background"]["rain"].update(ci95=[0.1, 0.2])


@pytest.mark.parametrize("version", [another_method, a_metric_more, a_metric_less, an_interval_of_another_method])
def test_results_of_other_versions_are_recomputed_and_not_refused(judge, good, bad, version):
    edit(bad, RESULT, lambda said: version(said["metrics"]))
    entry = judge(bad)
    assert (entry.state, entry.reason) == ("recomputed", "")
    assert entry.numbers == judge(good).numbers  # what is shown does not come from the file


def test_an_older_result_without_the_digest_of_its_release_is_taken(judge, bad):
    made = predictions.read(bad / PREDICTIONS)
    del made.provenance["dataset"]["release"]
    predictions.write(bad / PREDICTIONS, made)
    edit(bad, RESULT, lambda said: said["dataset"].pop("release"))
    assert judge(bad).state == "recomputed"


def test_a_folder_under_another_name(judge, bad):
    assert "expected its folder to be named toy--" in judge(bad.rename(bad.with_name("..evil"))).reason


def test_all_bad_ones_in_one_fold(good, empty_board, release, tmp_path):
    root = shutil.copytree(empty_board, tmp_path / "board")
    for index, spoil in enumerate(REASONS):
        folder = shutil.copytree(good, root / FOLDER / f"{index}")
        spoil(folder)
    (root / FOLDER / "file").write_text("no folder")
    shutil.copytree(good, root / FOLDER / os.fsdecode(b"\xff\x1b[2J\nx"))  # not UTF-8, and more
    shutil.copytree(good, root / FOLDER / good.name)
    rules = truth.read_rules(root)
    board = fold(root, rules, truth.truth_of(release, rules))
    assert [each.id for each in board.entries if each.state != "refused"] == [good.name]
    assert len(board.entries) == len(REASONS) + 3
    assert r"\udcff\x1b[2J\nx" in {each.id for each in board.entries}
    assert all(content.decode().count("\x1b") == 0 for content in site.files(board).values())


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_changed_anywhere_never_crash(judge, good, tmp_path, monkeypatch, name, data):
    # What is recomputed is known by the tests above: here it would only cost time.
    monkeypatch.setattr(validation, "result_of", lambda *_, **__: judge_error())
    content = bytearray((good / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    bad = tmp_path / good.name
    shutil.copytree(good, bad, dirs_exist_ok=True)
    end = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else len(content)
    (bad / name).write_bytes(bytes(content[:end]))
    assert judge(bad).state == "refused"


def judge_error():
    raise validation.ResultError("not recomputed here")


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = LEAF | st.lists(LEAF, max_size=3) | st.dictionaries(st.text(max_size=8), LEAF, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from([DESCRIPTION, RESULT]))
def test_any_value_in_any_field_never_crashes(judge, good, tmp_path, monkeypatch, data, name):
    monkeypatch.setattr(validation, "result_of", lambda *_, **__: judge_error())
    said = json.loads((good / name).read_bytes())
    place = said
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    bad = tmp_path / good.name
    shutil.copytree(good, bad, dirs_exist_ok=True)
    (bad / name).write_text(json.dumps(said))
    assert judge(bad).state == "refused"


def test_a_release_that_is_not_d3s_gets_no_board(toy):
    with pytest.raises(ReleaseError, match="expected a release of D3S, or --rehearsal"):
        truth.rules_of(toy)
