"""What the project uses of other libraries' private names is in one table, and is there."""

from tests.upstream import hooks, source


def test_every_private_name_in_the_source_is_in_the_table():
    tabled = {name for each in hooks.TABLE for name in each.spelled()}
    assert source.private_names() == tabled


def test_the_installed_versions_have_every_hook():
    assert hooks.missing() == []


def test_a_hook_that_is_not_there_is_named():
    class Parent:
        known = 1

    gone = hooks.Hooks("sums", "tensorflow.python.ops.gen_math_ops", ("add_n", "no_such"))
    moved = hooks.Hooks("graphs", "tensorflow.python.no_such_module", ("add_n",))
    inner = hooks.Hooks("objects", "a thing", ("known.real", "known.no_such"), lambda: Parent)
    assert gone.missing() == ["tensorflow.python.ops.gen_math_ops.no_such (sums)"]
    assert moved.missing()[0].startswith("tensorflow.python.no_such_module (graphs): Attr")
    assert inner.missing() == ["a thing.known.no_such (objects)"]
