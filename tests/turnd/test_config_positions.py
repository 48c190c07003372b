"""Lines of keys in TOML text, judged by what tomllib finds and by eye."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnd.config.positions import key_lines
from turnd.config.render import toml_value

TRICKY = '''# a comment with [brackets] and "quotes
top = 1
"quoted.key" = 'a # b' # x
[server] # hi
realm = """a
b\\"""" # three
x.y = 1
 'z' = 1979-05-27 07:32:00
when = 1979-05-27T07:32:00-08:00 # later
[listen]
udp = [
  "a", # one
  "b]",

  ["c", { q = 1, r.s = "}" }] ]
[[auth.users]]
name = "x"
[[auth.users]]
name = "y"
e = ""
l = \'\'\'x
y\'\'\'\'
[auth.users.sub]
k = true
[[realms]]
  name = "q"
  none = []
  nothing = {}
'''


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if prefix:
        yield prefix
    if isinstance(value, dict):
        for name, item in value.items():
            yield from paths(item, (*prefix, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*prefix, index))


def test_every_key_and_element_has_a_line() -> None:
    found = set(key_lines(TRICKY))
    # A table that is only a prefix of a header ([auth] of [[auth.users]]) stands nowhere.
    assert found == set(paths(tomllib.loads(TRICKY))) - {("auth",)}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("quoted.key",), 3),
        (("server",), 4),
        (("server", "realm"), 5),
        (("server", "x", "y"), 7),
        (("server", "z"), 8),
        (("server", "when"), 9),
        (("listen", "udp"), 11),
        (("listen", "udp", 0), 12),
        (("listen", "udp", 1), 13),
        (("listen", "udp", 2, 1, "r", "s"), 15),
        (("auth", "users", 0, "name"), 17),
        (("auth", "users", 1, "name"), 19),
        (("auth", "users", 1, "l"), 21),
        (("auth", "users", 1, "sub", "k"), 24),
        (("realms", 0), 25),
        (("realms", 0, "name"), 26),
    ],
)
def test_a_key_is_on_the_line_it_is_written_on(path: Any, line: int) -> None:
    assert key_lines(TRICKY)[path] == line


def test_windows_line_ends_count_as_lines() -> None:
    assert key_lines("[a]\r\n\r\nb = 1\r\n") == {("a",): 1, ("a", "b"): 3}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(texts, st.integers(-9, 9), st.booleans(), st.floats(-1e3, 1e3))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.from_regex(r"[a-z_-]{1,6}", fullmatch=True), inner, max_size=3),
    ),
    max_leaves=8,
)
documents = st.dictionaries(st.from_regex(r"[a-z0-9_-]{1,6}", fullmatch=True), values, max_size=4)


@given(documents)
def test_scanner_and_parser_agree_on_any_document(document: dict[str, Any]) -> None:
    text = "".join(f"{name} = {toml_value(value)}\n" for name, value in document.items())
    assert tomllib.loads(text) == document
    assert set(key_lines(text)) == set(paths(document))
