"""Every option of coturn has an answer: its own example file and its own help are the list."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from turnd.config import Config, all_keys, dotted
from turnd.coturn_conf import (
    OPTIONS,
    CoturnConfError,
    Option,
    Severity,
    Takes,
    Treatment,
    load_any,
    load_coturn,
    translate,
)

EXAMPLE = Path("/usr/share/doc/coturn/examples/etc/turnserver.conf")
# A commented option is `#name` or `#name=value`, or `# name=value` in three places of the
# file. Prose after "# " has a space before any "=", or none at all.
COMMENTED = re.compile(r"^#(?:([A-Za-z][\w-]*)(?:[= ].*)?| ([a-z][a-z-]+=\S.*))$")
PROSE = {"Local", "OR"}

EXAMPLE_VALUES = {
    "listening-ip": "192.0.2.1",
    "relay-ip": "192.0.2.1",
    "external-ip": "203.0.113.1",
    "aux-server": "192.0.2.1:33478",
    "tcp-proxy-port": "5555",
    "alternate-server": "192.0.2.9:3478",
    "tls-alternate-server": "192.0.2.9",
    "allowed-peer-ip": "192.0.2.9",
    "denied-peer-ip": "192.0.2.1-192.0.2.9",
    "user": "alice:secret",
    "log-min-level": "warning",
    "prometheus-address": "127.0.0.1",
    "proc-user": "root",
    "proc-group": "root",
    "min-port": "50000",
    "max-port": "60000",
}


def example_options() -> list[str]:
    """Return the option lines of the example file, commented or not, as bare statements."""
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        if not line.startswith("#"):
            if line.strip():
                lines.append(line)
            continue
        found = COMMENTED.match(line)
        if found and (found[1] or found[2]).split("=")[0] not in PROSE:
            lines.append(found[2] or line[1:])
    return lines


def name_of(line: str) -> str:
    return re.split(r"[ =\t]", line, maxsplit=1)[0]


def test_the_example_file_has_the_options_that_reading_it_by_eye_finds() -> None:
    names = {name_of(line) for line in example_options()}
    assert len(names) == 102
    assert {"listening-device", "rest-api-separator", "denied-peer-ip", "syslog"} <= names
    assert {"bps-capacity", "allowed-peer-ip", "CA-file", "Verbose", "new-log-timestamp"} <= names


def test_every_option_of_the_example_file_is_known() -> None:
    assert not [line for line in example_options() if name_of(line) not in OPTIONS]


def test_every_long_option_of_turnserver_help_is_known() -> None:
    help_text = subprocess.run(
        ["turnserver", "-h"], capture_output=True, text=True, check=False, timeout=20
    ).stdout
    names = set(re.findall(r"^ *(?:-\w,? )?[ ,]*--([A-Za-z][\w-]+)", help_text, re.MULTILINE))
    names |= set(re.findall(r", --([A-Za-z][\w-]+)", help_text))
    # "--alt-listening-port<port>" is how the help writes that one.
    assert len(names) > 100
    assert not names - OPTIONS.keys()


@pytest.mark.parametrize("line", example_options())
def test_uncommenting_an_option_of_the_example_does_something_or_says_something(line: Any) -> None:
    speaks_of(line)


def sample(option: Option) -> str:
    if option.takes is Takes.FLAG:
        return option.name
    value = EXAMPLE_VALUES.get(option.name, "7" if option.takes is Takes.NUMBER else "x")
    return f"{option.name}={value}"


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_every_option_does_something_or_says_something(option: Option) -> None:
    speaks_of(sample(option))


def speaks_of(line: str) -> None:
    """Assert that a line alone sets a key from its line, or is remarked on."""
    # Some options count only beside others; these come after it, on other lines.
    name = name_of(line)
    for beside in ("", "prometheus", "cert=c.pem\npkey=k.pem", "unauthorized-ratelimit"):
        result = translate("turnserver.conf", f"{line}\n{beside}".encode())
        remarks = [d for d in result.diagnostics if (d.option, d.line) == (name, 1)]
        places = [
            result.draft.place((*path, *index)).line
            for path in all_keys()
            for index in ((), (0,), (1,), (2,), (3,))
        ]
        if remarks or 1 in places:
            return
    raise AssertionError(f"{line} sets nothing and nothing is said about it")


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_every_option_is_treated_as_the_table_says(option: Option) -> None:
    result = translate("turnserver.conf", sample(option).encode())
    severities = {d.severity for d in result.diagnostics if d.option == option.name}
    expected = {
        Treatment.NEEDLESS: {Severity.INFO},
        Treatment.IGNORED: {Severity.WARNING},
        Treatment.REFUSED: {Severity.ERROR},
    }
    if option.treatment in expected:
        assert severities == expected[option.treatment]


def test_taken_options_name_keys_that_exist() -> None:
    known = {dotted(path) for path in all_keys()} | {path[0] for path in all_keys()}
    for option in OPTIONS.values():
        if option.treatment is Treatment.TAKEN:
            assert set(option.says.split(", ")) <= known, option.name


@pytest.mark.parametrize(
    "option",
    [o for o in OPTIONS.values() if o.takes is Takes.FLAG and o.treatment is not Treatment.TAKEN],
    ids=lambda option: option.name,
)
def test_what_is_switched_off_is_not_spoken_of(option: Option) -> None:
    result = translate("turnserver.conf", f"{option.name}=off".encode())
    assert not [d for d in result.diagnostics if d.option == option.name]


def test_debians_file_works_as_it_is() -> None:
    config, diagnostics = load_any(EXAMPLE, strict=True)
    assert config.listen.udp == Config().listen.udp
    assert config.listen.tls == ()
    assert config.auth.mechanism == "long-term"
    assert not config.listen.classic_stun
    said = "\n".join(str(d) for d in diagnostics)
    assert "turnd refuses every Allocate" in said
    assert "peers.allow" in said


def test_unknown_lines_warn_and_are_errors_when_strict(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("realm=x\nlistening-prot=1\n--realm=x\nxyzzy\nstatic-auth-secret=s\n")
    _, diagnostics = load_coturn(path)
    said = [str(d) for d in diagnostics if d.line in {2, 3, 4}]
    assert said == [
        f"{path}:2: warning: listening-prot: coturn has no such option; "
        'did you mean "listening-port"?; ignored',
        f'{path}:3: warning: --realm: coturn has no such option; did you mean "realm"?; ignored',
        f"{path}:4: warning: xyzzy: coturn has no such option; ignored",
    ]
    with pytest.raises(CoturnConfError) as caught:
        load_coturn(path, strict=True)
    assert (caught.value.file, caught.value.line) == (str(path), 2)
    assert caught.value.key == "listening-prot"
    assert len(caught.value.diagnostics) == len(diagnostics)
