"""Selection of uploaded and withheld files in a push, without a server."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import ReleaseError
from d3s_dataset.hub.repo import File, Listed, Remote
from d3s_dataset.identity import file_digest
from generation.publish.staging import METADATA, Staged, outgoing, stage, withheld
from generation.publish.upload import commits_needed, compare, next_commit


@pytest.fixture(scope="module")
def manifest(sample_release):
    return manifests.read(sample_release)


def with_configs(manifest, *names, redistribution=False, kind="d3s"):
    shard = manifest.shards[0]
    extra = [shard.model_copy(update={"config": name, "path": f"{name}/x"}) for name in names]
    sources = [each.model_copy(update={"redistribution": redistribution}) for each in manifest.sources]
    return manifest.model_copy(update={"shards": [*manifest.shards, *extra], "sources": sources, "kind": kind})


def test_only_what_is_redrawn_leaves_where_a_source_says_no(manifest):
    release = with_configs(manifest, "guides", "control_scale", "votes")
    assert withheld(release, False) == ["control_scale", "guides"]
    assert withheld(release, True) == []
    assert withheld(with_configs(manifest, "guides", redistribution=True), False) == []
    sent = outgoing(release, False)
    assert sent.configs() == ["default", "votes"]
    assert sent.withheld == ["control_scale", "guides"]
    assert sent.digest == release.digest  # the images are the same


def test_a_release_of_nothing_but_photos_is_refused(manifest):
    with pytest.raises(ReleaseError, match="--with-guides if you may"):
        withheld(with_configs(manifest, kind="guides"), False)
    assert withheld(with_configs(manifest, kind="guides"), True) == []
    assert withheld(with_configs(manifest, kind="guides", redistribution=True), False) == []


def test_what_is_staged_is_the_release(sample_release, manifest):
    staged = stage(sample_release, outgoing(manifest, False), gated=False)
    assert set(staged.files) == {shard.path for shard in manifest.shards} | set(METADATA)
    for path, file in staged.files.items():
        assert (file.size, file.sha256) == ((sample_release / path).stat().st_size, file_digest(sample_release / path))


def made(path, content):
    return File(path, content, len(content), hashlib.sha256(content).hexdigest())


def listed(file, lfs):
    return Listed(file.size, file.git_oid, file.sha256 if lfs else None)


names = st.sampled_from([*METADATA, *(f"data/train-{i:05d}-of-00006.parquet" for i in range(6)), "notes.txt"])
trees = st.dictionaries(names, st.binary(max_size=3))


@given(ours=trees, there=trees, most=st.integers(1, 4), lfs=st.booleans())
def test_commits_lead_to_the_release_with_the_metadata_last(manifest, ours, there, most, lfs):
    staged = Staged(manifest, {path: made(path, content) for path, content in ours.items() if path != "notes.txt"})
    files = {path: listed(made(path, content), lfs) for path, content in there.items()}
    needed, commits = commits_needed(compare(staged, Remote(files=files)), most), 0
    while diff := compare(staged, Remote(files=files)):
        adds, removes = next_commit(diff, most)
        touched = {file.path for file in adds} & set(METADATA) or removes or any(file.path in files for file in adds)
        files |= {file.path: listed(file, lfs) for file in adds}
        files = {path: each for path, each in files.items() if path not in removes}
        commits += 1
        if touched:
            assert not compare(staged, Remote(files=files)), "the manifest, or what it names, came before the rest"
    assert commits == needed
    assert {path for path in files if path != "notes.txt" and path not in staged.files} <= set(METADATA)
    assert ("notes.txt" in files) == ("notes.txt" in there)


def test_gits_name_of_a_content():
    assert made("a", b"hello\n").git_oid == "ce013625030ba8dba906f756967f9e9ca394464a"
