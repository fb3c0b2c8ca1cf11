"""Releases sent as differences from photos, and made whole again with the same photos."""

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files as describing
from d3s_dataset.check import check_release
from d3s_dataset.errors import PhotoError, ReleaseError
from d3s_dataset.hub.differences import Photos, restore
from d3s_dataset.load import check_split, load
from d3s_dataset.rebuild import rebuild
from generation.execution.options import How
from generation.planning.plan import Plan
from generation.publish.differences import as_differences
from generation.publish.staging import outgoing, photo_configs, stage
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.run import open_sources
from tests.conftest import ROOT, one_line_error
from tests.support.hub_server import TOKEN, hub
from tests.support.hub_store import folder_files
from tests.support.photos import draw_photos

REPO, ROLES = "lab/d3s", ("foregrounds", "backgrounds")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"), count=6)


def roots(photos):
    return {role: photos / role for role in ROLES}


@pytest.fixture(scope="module")
def images(photos, tmp_path_factory):
    """A release whose images are guides: 36 rows in 6 shards."""
    recipe = load_recipe("paper").changed(rows=36, model="none")
    changes = {"guide": recipe.guide.model_copy(update={"size": 64}),
               "controls": recipe.controls.model_copy(update={"configs": ()})}  # fmt: skip
    recipe = recipe.model_copy(update=changes)
    out = tmp_path_factory.mktemp("images") / "d3s"
    generate(Plan(recipe, *open_sources(recipe, *(str(photos / role) for role in ROLES))), out, How(7, workers=1))
    return out


@pytest.fixture(scope="module")
def redrawn(images, tmp_path_factory):
    """A release as if its images were redrawn: the same rows again as its config `guides`."""
    out = shutil.copytree(images, tmp_path_factory.mktemp("redrawn") / "d3s")
    shutil.copytree(out / "data", out / "guides")
    held = manifests.read(out)
    guides = [each.model_copy(update={"config": "guides", "path": each.path.replace("data/", "guides/")})
              for each in held.shards]  # fmt: skip
    changed = held.model_copy(update={"kind": "d3s", "shards": [*held.shards[:1], *guides, *held.shards[1:]]})
    manifests.write(out, changed)
    describing.write(out, changed)
    return out


def copied(release, photos, folder):
    """Write the copy of a release that --as-diffs sends to a folder; return it."""
    made = folder / "made"
    sent = as_differences(release, manifests.read(release), roots(photos), made)
    copy = folder / "copy"
    for file in stage(release, sent, False, made).files.values():
        (copy / file.path).parent.mkdir(parents=True, exist_ok=True)
        (copy / file.path).write_bytes(file.source if isinstance(file.source, bytes) else file.source.read_bytes())
    return copy


@pytest.mark.parametrize("kind", ["images", "redrawn"])
def test_a_copy_becomes_the_release_byte_for_byte(kind, request, photos, tmp_path):
    release = request.getfixturevalue(kind)
    before, copy = folder_files(release), copied(release, photos, tmp_path)
    sent = manifests.read(copy, unbuilt=True)
    assert sent.unbuilt() == (["default"] if kind == "images" else ["guides"])
    assert sent.digest == manifests.read(release).digest
    stored = b"".join(path.read_bytes() for path in copy.rglob("*") if path.is_file() and kind == "images")
    for path in release.rglob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            assert row["image"]["bytes"][100:160] not in stored
    rebuilt = rebuild(copy, roots(photos))
    assert rebuilt == manifests.read(release)
    assert folder_files(copy) == before == folder_files(release)
    assert check_release(copy) == check_release(release) == []


def test_a_difference_is_noise(images, photos, tmp_path):
    """Bytes of a difference are uniform, and unlike those of the difference of another content."""
    held = manifests.read(images)
    sent = as_differences(images, held, roots(photos), tmp_path)
    for each in sent.differences:
        content = (tmp_path / each.path).read_bytes().partition(b"\n")[2]
        assert len(content) == each.shard.bytes
        counts = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
        expected = len(content) / 256
        # Chi-squared with 255 degrees of freedom: mean 255, standard deviation 22.6.
        assert ((counts - expected) ** 2 / expected).sum() < 255 + 7 * 22.6
        assert max(np.bincount(np.frombuffer((images / each.shard.path).read_bytes(), np.uint8))) > 2 * expected
    again = as_differences(images, held, roots(photos), tmp_path / "again")
    assert again == sent, "a killed push would begin anew"


def test_a_photo_that_is_missing_or_another_is_named_and_the_rest_is_made(images, photos, tmp_path):
    copy, own = copied(images, photos, tmp_path), shutil.copytree(photos, tmp_path / "photos")
    held = manifests.read(copy, unbuilt=True)
    used = {each.shard.path: {row["foreground_source"] for row in pq.read_table(images / each.shard.path).to_pylist()}
            for each in held.differences}  # fmt: skip
    victim = min(used[held.differences[0].shard.path])
    lacking = {path for path, names in used.items() if victim in names}
    assert 0 < len(lacking) < len(used)
    path = own / "foregrounds" / victim
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    with pytest.raises(PhotoError, match=f"photo {victim} below .* is not the one that the release was made from"):
        rebuild(copy, roots(own))
    path.unlink()
    with pytest.raises(PhotoError, match=f"photo {victim} cannot be read") as caught:
        rebuild(copy, roots(own))
    assert "\n" not in str(caught.value)
    made = {each.relative_to(copy).as_posix(): each.stat().st_mtime_ns for each in copy.rglob("*.parquet")}
    assert made.keys() == used.keys() - lacking
    assert not [each for each in copy.rglob(".*") if each.is_file()], "something half-written"
    path.write_bytes(content)
    rebuild(copy, roots(own))
    assert folder_files(copy) == folder_files(images)
    assert all((copy / name).stat().st_mtime_ns == when for name, when in made.items()), "made anew"


def test_killed_at_any_moment_it_is_continued(redrawn, photos, tmp_path, monkeypatch):
    copy = copied(redrawn, photos, tmp_path)

    def end(*_):
        raise KeyboardInterrupt

    for place in ("files.write", "manifests.write", "shutil.rmtree"):
        with monkeypatch.context() as patched:
            patched.setattr(f"d3s_dataset.rebuild.{place}", end)
            with pytest.raises(KeyboardInterrupt):
                rebuild(copy, roots(photos))
    assert manifests.read(copy) == manifests.read(redrawn)
    rebuild(copy, {})
    assert folder_files(copy) == folder_files(redrawn)
    assert rebuild(copy, {}) == manifests.read(redrawn)


def test_an_unbuilt_copy_is_one_line_that_says_what_to_type(images, redrawn, photos, tmp_path, command):
    typed = "python -m d3s_dataset.rebuild FOLDER --foregrounds DIR --backgrounds DIR"
    hidden, guides = copied(images, photos, tmp_path / "one"), copied(redrawn, photos, tmp_path / "two")
    for call in (manifests.read, check_release, load, lambda copy: check_split(copy, "default", "train")):
        with pytest.raises(ReleaseError, match=typed):
            call(hidden)
    assert len(load(guides, "train")) == manifests.read(redrawn).rows("default", "train")
    with pytest.raises(ReleaseError, match=typed):
        load(guides, "train", "guides")
    assert check_release(guides) == []
    (guides / manifests.read(guides).differences[0].path).write_bytes(b"cut")
    assert any("cut short" in problem for problem in check_release(guides))
    assert "become" in (hidden / "README.md").read_text()
    assert not (hidden / "contact_sheet.jpg").exists(), "it shows the photos"
    assert typed in one_line_error(command("d3s_dataset.check", hidden))
    lacking = command("d3s_dataset.rebuild", hidden, "--foregrounds", photos / "foregrounds")
    assert "made from backgrounds as well: type --backgrounds DIR" in one_line_error(lacking)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no header", "cannot be read as a difference"),
        (b'{"format": "d3s-difference-1", "photos": [["foregrounds", "../up.jpg", "0"]]}\n', "expected a path below"),
        (b'{"format": "d3s-difference-1", "photos": [["foregrounds", "/etc/passwd", "0"]]}\n', "expected a path below"),
        (b'{"format": "d3s-difference-2", "photos": []}\n', "cannot be read as a difference"),
    ],
)
def test_a_hostile_difference_is_one_line(content, says, images, photos, tmp_path):
    import hashlib

    shard = manifests.read(images).shards[0]
    found = manifests.Difference(shard=shard, place=0, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (tmp_path / found.path).parent.mkdir(parents=True)
    (tmp_path / found.path).write_bytes(content)
    with pytest.raises((ReleaseError, PhotoError), match=says) as caught:
        restore(tmp_path, found, Photos(roots(photos)))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / shard.path).exists()


def test_which_configs_are_differences(images, redrawn, photos, tmp_path):
    held = manifests.read(redrawn)
    kept = held.model_copy(update={"recipe": held.recipe | {"generator": {"model": "a/b", "mode": "inpaint"}}})
    open_photos = [each.model_copy(update={"redistribution": True}) for each in held.sources]
    assert photo_configs(held) == ["guides"]
    assert photo_configs(kept) == ["default", "guides"]
    assert photo_configs(held.model_copy(update={"sources": open_photos})) == []
    with pytest.raises(ReleaseError, match="photos of objects show in the images of this release"):
        outgoing(kept, False)
    with pytest.raises(ReleaseError, match="every photo of this release may be passed on"):
        as_differences(redrawn, held.model_copy(update={"sources": open_photos}), roots(photos), tmp_path)
    with pytest.raises(ReleaseError, match="expected --foregrounds DIR with them, got none"):
        as_differences(redrawn, held, {}, tmp_path)


@pytest.mark.long
def test_pushed_to_a_hub_and_made_whole_from_its_snapshot(images, redrawn, photos, tmp_path):
    """Over HTTP, with the real client: push, push again, snapshot, rebuild, push of the whole, and back."""
    with hub() as server:
        settings = os.environ | {"HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
        settings |= {"HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
        folders = [f"--{role}={photos / role}" for role in ROLES]

        def run(*line):
            call = [sys.executable, *map(str, line)]
            return subprocess.run(call, env=settings, cwd=tmp_path, capture_output=True, text=True, timeout=300)

        def push(release, *flags):
            result = run("-m", "generation.push", release, "--repo-id", REPO, *flags)
            assert result.returncode == 0, result.stderr
            return result

        assert "as differences from the photos of" in push(images, "--as-diffs", *folders).stderr
        assert "nothing to send" in push(images, "--as-diffs", *folders).stdout
        tree = server.store.repos[REPO].tree
        assert not [path for path in tree if path.startswith("data/") or path == "contact_sheet.jpg"]
        code = f"from d3s_dataset import load; load({REPO!r})"
        assert "d3s_dataset.errors.ReleaseError: lab/d3s holds default as diff" in run("-c", code).stderr
        code = (
            "from huggingface_hub import snapshot_download as get; get('lab/d3s', repo_type='dataset', local_dir='d')"
        )
        assert run("-c", code).returncode == 0
        result = run("-m", "d3s_dataset.rebuild", "d", *folders)
        assert result.returncode == 0, result.stderr
        assert "is whole: 6 shards" in result.stdout
        rebuilt = {path: text for path, text in folder_files(tmp_path / "d").items() if path[0] != "."}
        assert rebuilt == folder_files(images)
        push(images, "--with-guides")
        assert not [path for path in server.store.repos[REPO].tree if path.startswith("differences/")]
        push(images, "--as-diffs", *folders)
        assert "contact_sheet.jpg" not in server.store.repos[REPO].tree


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_kept_objects_go_as_differences(tiny_model, photos, tmp_path):
    """Cut-outs, inpainted with a small random Stable Diffusion: images, guides and masks come back as they were."""
    rng = np.random.default_rng(0)
    for path in sorted((photos / "foregrounds").rglob("*.jpg")):
        cut = Image.open(path).convert("RGBA")
        alpha = np.zeros((300, 300), np.uint8)
        alpha[60 : 240 - rng.integers(0, 40), 60:240] = 255
        cut.putalpha(Image.fromarray(alpha))
        target = tmp_path / "photos" / path.relative_to(photos).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        cut.save(target)
    shutil.copytree(photos / "backgrounds", tmp_path / "photos" / "backgrounds")
    recipe = load_recipe("keep-object").changed(rows=12, clip="none")
    fields = {"model": str(tiny_model), "steps": 2, "dtype": "fp32"}
    parts = {"guide": {"size": 64}, "generator": fields, "controls": {"configs": ("guides",)}}
    recipe = recipe.model_copy(update={name: getattr(recipe, name).model_copy(update=each)
                                       for name, each in parts.items()})  # fmt: skip
    sources = open_sources(recipe, *(str(tmp_path / "photos" / role) for role in ROLES))
    release = tmp_path / "d3s"
    generate(Plan(recipe, *sources), release, How(6, 6, 1, ("cpu",)))
    copy = copied(release, tmp_path / "photos", tmp_path)
    assert manifests.read(copy, unbuilt=True).unbuilt() == ["default", "guides"]
    rebuild(copy, roots(tmp_path / "photos"))
    assert folder_files(copy) == folder_files(release)
    assert check_release(copy) == []
    row = next(iter(pq.read_table(next(copy.glob("guides/*.parquet"))).to_pylist()))
    assert Image.open(io.BytesIO(row["mask"]["bytes"])).getbbox()
