"""The command line: help with examples for every verb, names that are almost right, completion, the version."""

import argparse
import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import argcomplete
import pytest

from jsac_ros import completion, documents, parameters, shipped
from jsac_ros.__main__ import VERBS, _module, main, parser_of, updates_here
from jsac_ros.config import ConfigError

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "words",
    [[verb] for verb in VERBS] + [["train", "cartpole"], ["evaluate", "RUN"]],
    ids=" ".join,
)
def test_every_verb_has_examples(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and f"\n  jsac-ros {words[0]}" in text


def arguments_of(parser):
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from arguments_of(inner)


def test_every_argument_is_explained():
    for words in (*([verb] for verb in VERBS), ["train", "cartpole"], ["evaluate", "RUN"]):
        missing = [action for action in arguments_of(parser_of(words[0], words[1:])) if not (action.help or action.choices)]
        assert missing == [], words


def test_help_and_version(capsys):
    assert main(["help"]) == main(["--help"]) == 0
    assert capsys.readouterr().out.count("usage: jsac-ros VERB") == 2
    with pytest.raises(SystemExit):
        main(["help", "baseline"])
    assert "usage: jsac-ros baseline" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(
        f"jsac_ros {tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']},"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rum"], "verb 'rum' is unknown (did you mean 'run'?)"),
        (["help", "reprot"], "verb 'reprot' is unknown (did you mean 'report'?)"),
        (["run", "ur5_reachr"], "config ur5_reachr: no such file (did you mean 'ur5_reacher'?)"),
        (["run", "ur5_reacher_demo", "safty.rate_hz=100"], "safty: unknown key; did you mean safety?"),
        (["run", "ur5_reacher_demo", "safety.rate=100"], "safety.rate: unknown key; did you mean rate_hz?"),
        (["run", "ur5_reacher_demo", "task.type=ur5_reach"], "'ur5_reach': unknown (did you mean 'ur5_reacher'?)"),
        (["run", "ur5_reacher_demo", "--only", "actors"], "--only actors (did you mean 'actor'?): this system has"),
    ],
)  # fmt: skip
def test_what_is_almost_right_is_named(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "Pendulum-v1", "--stesp", "3"], "unrecognized arguments: --stesp 3 (did you mean '--steps'?)"),
        (["replay", "merge", "a", "b", "--capcity=3"], "unrecognized arguments: --capcity=3 (did you mean '--capacity'?)"),
        (["run"], "the following arguments are required: config\n"),
    ],
)  # fmt: skip
def test_arguments_that_are_almost_right_are_named(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_shipped_configurations_have_bare_names(tmp_path, monkeypatch):
    assert shipped.names() == sorted(file.stem for file in (ROOT / "config").glob("*.yaml"))
    assert parameters.load("ur5_reacher_demo") == parameters.load(ROOT / "config" / "ur5_reacher_demo.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("/**:\n  ros__parameters:\n    run: {name: mine}\n")
    (tmp_path / "lift").mkdir()  # a folder is no configuration
    assert parameters.load("mine.yaml").run.name == "mine" and parameters.load("lift").run.name == "lift"
    with pytest.raises(ConfigError, match=r"config there/lift: No such file"):
        parameters.load("there/lift")


def test_a_training_takes_a_bare_name_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = parser_of("train", ["lift"]).parse_args(["lift"])
    assert arguments.environment == str(ROOT / "config" / "lift.yaml")
    assert parser_of("train", ["Pendulum-v1"]).parse_args(["Pendulum-v1"]).environment == "Pendulum-v1"
    assert updates_here("train", ["lift"]) and not updates_here("train", ["cartpole"])


def test_only_a_close_name_is_suggested():
    assert documents.did_you_mean("rum", ["run", "play"]) == " (did you mean 'run'?)"
    assert documents.did_you_mean("xyz", ["run", "play"]) == ""


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("jsac-ros re", {"replay", "report", "record", "release", "resume", "reset"}),
        ("jsac-ros run ur5_", {"ur5_reacher", "ur5_reacher_demo"}),
        ("jsac-ros run ur5_reacher --du", {"--duration"}),
        ("jsac-ros run ur5_reacher safety.max_base_sp", {"safety.max_base_speed_m_s="}),
        ("jsac-ros run ur5_reacher cam", {"cameras."}),
        ("jsac-ros new ", {"task"}),
    ],
)  # fmt: skip
def test_a_shell_completes(line, some, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": " "}.items():
        monkeypatch.setenv(name, value)
    # It takes descriptor 9 of a shell's child for its own, which here is pytest's.
    monkeypatch.setattr(argcomplete.CompletionFinder, "_init_debug_stream", lambda self: None)
    assert completion.is_asked()
    written = io.StringIO()
    written.close = lambda: None

    def ended(status):
        raise SystemExit(status)

    with pytest.raises(SystemExit):
        completion.complete(VERBS, _module, output_stream=written, exit_method=ended)
    words = {word.strip() for word in written.getvalue().split()}
    assert some <= words and not (words - some if line.endswith("ur5_") else set())


@pytest.mark.parametrize("words", [["help"], ["--version"], ["nothing"]])
def test_a_reader_that_has_gone_costs_no_traceback(words):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as lost:
        done = subprocess.run([sys.executable, "-m", "jsac_ros", *words], stdout=lost, stderr=subprocess.PIPE, text=True)
    assert done.returncode == (2 if words == ["nothing"] else 0) and "Traceback" not in done.stderr
