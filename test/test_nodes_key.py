"""What a run signs cannot be changed, and a key is its user's alone."""

import os

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from replay_cases import VARIANTS, make_transition

from jsac_ros import parameters, run, run_key
from jsac_ros.config import ConfigError
from jsac_ros.messages import to_message
from jsac_ros.msg import TransitionAck
from jsac_ros.nodes.transitions import CLASSES
from jsac_ros.parameters import from_parameters
from jsac_ros.run_key import ForeignMessage, RunKey

KEY = RunKey(b"0123456789abcdef")


def signed():
    sent = make_transition(VARIANTS["two images of two stacks"], events=("success",))
    transition, ack = to_message(sent, CLASSES), TransitionAck(robot="arm", session=3, next_sequence=8, resend=True)
    for message in (transition, ack):
        KEY.sign(message)
        KEY.check(message)
    return transition, ack


def changed(value):
    """Another value of the same type."""
    if isinstance(value, (bool, int, float)):
        return type(value)(not value) if isinstance(value, bool) else value + 1
    if isinstance(value, str):
        return value + " "
    return value[:-1]


def test_a_change_of_any_field_is_noticed():
    for message in signed():
        for name in message.get_fields_and_field_types():
            value = getattr(message, name)
            for holder, field in [(value, "sec")] if hasattr(value, "sec") else [(message, name)]:
                if name == "header":
                    holder, field = message.header.stamp, "nanosec"
                if name == "mac":
                    holder, field = message.mac, 3
                    holder[field] ^= 1
                else:
                    before = getattr(holder, field)
                    setattr(holder, field, changed(before))
                with pytest.raises(ForeignMessage, match="run.key"):
                    KEY.check(message)
                if name == "mac":
                    holder[field] ^= 1
                else:
                    setattr(holder, field, before)
                KEY.check(message)


def test_a_change_inside_a_part_is_noticed():
    for change in (
        lambda m: m.frames[0].data.__setitem__(0, m.frames[0].data[0] ^ 1), lambda m: setattr(m.frames[1], "name", "hand"),
        lambda m: m.observation[0].values.__setitem__(0, 9.0), lambda m: setattr(m.sources[0].stamp, "sec", 7),
        lambda m: m.frames.reverse(), lambda m: m.events.__setitem__(0, "failure"),
    ):  # fmt: skip
        transition, _ = signed()
        change(transition)
        with pytest.raises(ForeignMessage):
            KEY.check(transition)


def test_another_key_and_another_kind_of_message_do_not_fit():
    transition, ack = signed()
    with pytest.raises(ForeignMessage):
        RunKey(b"0123456789abcdeF").check(transition)
    ack.mac = transition.mac
    with pytest.raises(ForeignMessage):
        KEY.check(ack)
    RunKey(None).check(ack)  # without a key nothing is looked at


def test_the_key_of_a_run_is_its_folders_or_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("JSAC_RUN_FOLDER", raising=False)
    config = from_parameters({}, ())
    assert RunKey.of(config).secret is None
    monkeypatch.setenv("JSAC_RUN_FOLDER", str(tmp_path))
    assert RunKey.of(config).secret is None
    run_key.make(tmp_path)
    assert os.stat(tmp_path / "key").st_mode & 0o777 == 0o600
    own, again = RunKey.of(config).secret, RunKey.of(config).secret
    (tmp_path / "shared").write_bytes(b"a secret of two computers")
    (tmp_path / "shared").chmod(0o600)
    named = RunKey.of(from_parameters({"run.key": str(tmp_path / "shared")}, ())).secret
    assert own == again and named not in (own, None)


@pytest.mark.parametrize(
    "content, mode, said",
    [(b"short", 0o600, "5 bytes; expected 16 to 4096"), (bytes(5000), 0o600, "bytes; expected"),
     (bytes(32), 0o640, "mode 640; expected your own"), (None, 0o600, "No such file")],
)  # fmt: skip
def test_a_key_that_cannot_be_used_is_one_line(tmp_path, content, mode, said):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
        (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match=said):
        RunKey.of(from_parameters({"run.key": str(tmp_path / "key")}, ()))
    with pytest.raises(ConfigError, match="Is a directory"):
        RunKey.of(from_parameters({"run.key": str(tmp_path)}, ()))


@pytest.mark.parametrize(
    "only, key, warns", [("actor", "", 1), ("safety", "", 0), ("replay,learner", "mine", 0), (None, "", 0)]
)
def test_a_part_of_a_system_without_a_key_says_that_codes_are_not_checked(tmp_path, monkeypatch, capsys, only, key, warns):
    monkeypatch.chdir(tmp_path)
    config = parameters.load("ur5_reacher_demo", {"run.key": key})
    folder = run.prepare(config, only=only)
    assert capsys.readouterr().err.count("warning: run.key is ''") == warns and (folder / "key").exists() == (only is None)
