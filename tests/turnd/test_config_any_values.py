"""Whatever stands in a file, the answer is a configuration or a ConfigError, nothing else."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnd.config import Config, ConfigError, Draft, all_keys, finish, load_config, print_config
from turnd.config.environment import variable_names

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"

scalars = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["::", "1-2", "1.2.3.4", "[::]:1", "1.2.3.4/8", "1.2.3.4-::", "AAAA", "long-term"]
    ),
    st.integers(),
    st.floats(),
    st.booleans(),
)
tables = st.dictionaries(
    st.sampled_from(["name", "kid", "key", "password", "realm", "secrets", "lifetime", "x"]),
    scalars,
    max_size=4,
)
values = st.one_of(scalars, tables, st.lists(st.one_of(scalars, tables), max_size=3))
trees = st.dictionaries(st.sampled_from(sorted(all_keys())), values, max_size=3)


@given(trees)
def test_values_of_any_type_are_taken_or_refused(tree: dict[tuple[str, ...], Any]) -> None:
    draft = Draft("turnd.toml")
    for path, value in tree.items():
        draft.tree.setdefault(path[0], {})
        if len(path) == 2:
            draft.tree[path[0]][path[1]] = value
        else:
            draft.tree[path[0]] = value
    with contextlib.suppress(ConfigError):
        config = finish(draft, check_files=False)
        assert isinstance(config, Config)
        print_config(config)


@given(st.sampled_from(sorted(variable_names())), st.text(max_size=12))
def test_variables_of_any_text_are_taken_or_refused(name: str, text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load_config(None, {name: text}, check_files=False), Config)


@pytest.mark.parametrize(
    "example", re.findall(r"```toml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
)
def test_the_examples_of_the_documentation_load(tmp_path: Path, example: str) -> None:
    path = tmp_path / "turnd.toml"
    path.write_text(example)
    assert load_config(path, check_files=False) != Config()
