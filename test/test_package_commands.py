"""Commands of the pages do what the pages say: those that need neither robot nor minutes run here, the others are checked."""

import inspect
import json
import os
import re
import shlex
import shutil
from functools import cache
from pathlib import Path

import pytest
from replay_cases import SPACES, make_episode
from report_cases import undrawn, write_run  # noqa: F401  a fixture
from test_package_docs import PAGES

from jsac_ros import api, demo, parameters, shipped
from jsac_ros.__main__ import _parse, main, parser_of
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import SPACES as SPACES_FILE
from jsac_ros.run import ALIASES

OF_VERBS = ("bag", "bench", "classifier", "encoder", "new", "replay")  # verbs that begin with another one
TAKE_MINUTES = {("bench", name) for name in ("act", "prefetch", "replay", "update")}  # no test runs them
RUN_HERE = {
    "help", "runs", "report", "why", "new task", "replay info", "replay verify", "replay snapshot", "replay merge", "export",
    "demo list", "demo page", "demo drop", "demo merge",
}  # fmt: skip
ELSEWHERE = {"--film", "--picture", "onnx", "lerobot"}  # take seconds or need a package; run by tests of their own
YOURS = {
    "my_robot.yaml": "lift",
    "my_ur5.yaml": "ur5_reacher",
    "my_shadow.yaml": "g1_shadow",
}  # files of the reader's: like shipped ones


def commands_of(text: str) -> list[list[str]]:
    """Words behind `jsac-ros` of every command that stands in a block of code; `...` stands for words of the reader's."""
    lines = re.findall(r"^ {4,}(.*)$", re.sub(r"\\\n *", "", text), re.MULTILINE)
    found = [re.search(r"(?:^|[ /])jsac-ros (?!.*--help)(.*)", re.split(r" {3,}", line.strip())[0]) for line in lines]
    words = [shlex.split(match[1].partition(" | ")[0], comments=True) for match in found if match]
    return [[word for word in words if word != "..."] for words in words]


def complete(page: Path) -> list[list[str]]:
    """The commands of a page without those that only show a syntax, such as `[--json]`."""
    return [words for words in commands_of(page.read_text()) if not re.search(r"[|\[]", " ".join(words).replace("=[", "="))]


def verb_of(words: list[str]) -> tuple[str, ...]:
    first, *rest = words
    return (first, *rest[:1]) if first in OF_VERBS or (first == "demo" and rest[0] in demo.STORE_VERBS) else (first,)


def runs_here(words: list[str]) -> bool:
    return " ".join(verb_of(words)) in RUN_HERE and not ELSEWHERE & set(words)


def test_commands_are_found():
    assert commands_of("x\n\n    .venv/bin/jsac-ros run a.yaml b=1   # why\n    A=1 jsac-ros train E 'o=[r]' \\\n        --steps 3\n") == [
        ["run", "a.yaml", "b=1"], ["train", "E", "o=[r]", "--steps", "3"],
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_can_be_parsed_and_its_fields_exist(page):
    for verb, *rest in complete(page):
        if verb == "help":
            continue
        _parse(parser_of(verb, rest), rest)
        fields = dict(parameters.parse_override(word) for word in rest if re.match(r"[a-z_]+(\.\w+)*=", word))
        for word in rest:
            name = YOURS.get(word, word).removeprefix("config/").removesuffix(".yaml")
            if name in shipped.names() and "--map" not in rest:
                parameters.load(name, {ALIASES.get(field, field): value for field, value in fields.items()})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The folder of a reader who has run and recorded a little."""
    folder = tmp_path_factory.mktemp("lab")
    store = FrameStore.open(folder / "STORE", SPACES, 100)
    for episode in range(8):
        for row in make_episode(2, 3 * episode, episode=episode):
            store.append(row._replace(success=row.is_last))
    store.close()
    for name in ("NAME", "A", "B", "C", "LEFT", "RIGHT", "push_1"):
        run = write_run(folder / "runs" / name, minutes=0.5)
        (run / SPACES_FILE).write_text(json.dumps(SPACES.to_json()))
        for kind in ("replay", "demonstrations"):
            shutil.copytree(folder / "STORE", run / kind)
    (folder / "ws" / "src").mkdir(parents=True)
    for name in ("monday", "tuesday", "demos/monday", "demos/tuesday"):
        shutil.copytree(folder / "STORE", folder / name)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs_here, complete(page)))], ids=lambda page: page.stem)
def test_commands_that_need_no_robot_and_no_minutes_run(page, template, undrawn, tmp_path, monkeypatch, capsys):  # noqa: F811
    shutil.copytree(template, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    monkeypatch.setenv("HOME", str(tmp_path / "lab"))
    for number, words in enumerate(filter(runs_here, complete(page))):
        given = [f"new{number}" if word == "NEW" else word.removesuffix("...").removeprefix("/data/") for word in words]
        given = [word.replace("~", os.environ["HOME"]) for word in given]  # as a shell does
        try:
            status = main(given)
        except SystemExit as ended:  # of `help VERB`
            status = ended.code
        assert status == 0, (words, capsys.readouterr().err)


def test_names_of_the_python_api_exist():
    page = (PAGES[0].parent / "docs" / "python.md").read_text()
    for name, owner in (("jr", api), ("training", api.Run), ("policy", api.Policy)):
        used = set(re.findall(rf"\b{name}\.([a-z]\w*)", page)) - {"json", "mp4", "safetensors"}
        source = inspect.getsource(owner)
        assert used and all(hasattr(owner, attribute) or f"self.{attribute} =" in source for attribute in used), used


@cache
def text_of_tests() -> str:
    return "\n".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py") if file.name != Path(__file__).name)


def test_every_verb_of_the_pages_is_run_by_a_test():
    named = {verb_of(words) for page in PAGES for words in commands_of(page.read_text())}
    assert ("replay", "snapshot") in named and ("demo",) in named
    missing = []
    for words in named - TAKE_MINUTES:
        in_a_list, on_a_line = r",\s*".join(f'"{word}"' for word in words), f"jsac-ros {' '.join(words)}"
        if not re.search(f"{in_a_list}|{on_a_line}", text_of_tests()):
            missing.append(words)
    assert missing == []
