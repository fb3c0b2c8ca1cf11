from itertools import combinations

from timm.data import ImageNetInfo

from d3s_dataset.taxonomy import BACKGROUNDS, SUPERCLASSES, classes, superclass_of


def test_backgrounds_stand_in_the_papers_order():
    names = ["grass", "road", "forest", "water", "sand", "indoors", "snow", "rain", "night", "cave"]
    assert [each.name for each in BACKGROUNDS] == names


def test_classes_are_timms():
    info = ImageNetInfo()
    assert [each.index for each in classes()] == list(range(1000))
    for each in classes():
        assert each.wnid == info.index_to_label_name(each.index)
        name = "crane" if each.index == 517 else each.name
        assert info.index_to_description(each.index, detailed=True) == f"{name}: {each.gloss}"


def test_names_are_unique_but_first_synonyms_are_not():
    assert len({each.name for each in classes()}) == 1000
    assert classes()[517].name == "crane (machine)"
    twins = [(a.index, b.index) for a, b in combinations(classes(), 2) if a.synonym == b.synonym]
    assert twins == [(134, 517), (638, 639)]


def test_superclasses_are_imagenet_9():
    members = [label for labels in SUPERCLASSES.values() for label in labels]
    assert len(SUPERCLASSES) == 9
    assert len(members) == len(set(members)) == 370
    assert superclass_of(0) == "fish"
    assert superclass_of(389) == "fish"
    assert superclass_of(151) == superclass_of(268) == "dog"
    assert superclass_of(999) is None
