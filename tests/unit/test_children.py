"""A process id belongs to one child, until that is collected."""

from socketd.children import Child, Children


def test_each_child_is_found_with_its_family() -> None:
    """Two services have a worker and a template each; a slot alone says nothing."""
    children = Children()
    one, other = children.found_family(), children.found_family()

    one.note_template(10)
    other.note_template(20)
    assert one.note_worker(11, 3)
    assert other.note_worker(21, 3)

    assert children.find(10) == Child(one, None)
    assert children.find(21) == Child(other, 3)
    assert children.find(12) is None
    assert (one.slot_of(11), one.slot_of(21), one.slot_of(10), one.slot_of(12)) == (
        3, None, None, None,
    )  # fmt: skip
    assert (one.workers, other.workers) == ({11: 3}, {21: 3})


def test_process_id_of_somebody_else_is_not_believed() -> None:
    """Neither that of a template, nor of another service, nor of another slot."""
    children = Children()
    one, other = children.found_family(), children.found_family()
    other.note_template(20)
    other.note_worker(21, 0)
    one.note_worker(11, 0)

    assert not one.note_worker(20, 0)
    assert not one.note_worker(21, 0)
    assert not one.note_worker(11, 1)
    assert one.note_worker(11, 0)

    assert children.find(20) == Child(other, None)
    assert children.find(21) == Child(other, 0)
    assert children.find(11) == Child(one, 0)


def test_forgotten_process_id_is_free_for_the_next() -> None:
    """The kernel gives the number of a collected child to whoever comes."""
    children = Children()
    one, other = children.found_family(), children.found_family()
    one.note_worker(11, 0)

    assert children.forget(11) == Child(one, 0)
    assert children.forget(11) is None
    assert one.workers == {}
    assert other.note_worker(11, 5)
    assert len(children) == 1


def test_families_that_lack_a_child_are_few() -> None:
    """Those alone are asked when room is made, and stay until they have been."""
    children = Children()
    one, _ = children.found_family(), children.found_family()
    one.lack()
    one.lack()

    assert children.lacking == {one}
    one.lack_no_more()
    one.lack_no_more()
    assert children.lacking == set()


def test_family_is_restored_as_it_was() -> None:
    """What a re-exec passes on."""
    children = Children()
    family = children.found_family()

    family.restore({11: 0, 12: 1}, (10,))

    assert family.workers == {11: 0, 12: 1}
    assert children.find(10) == Child(family, None)
