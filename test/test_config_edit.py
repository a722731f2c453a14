"""Fields of a configuration file replaced in its text: comments stay, and what is written is what is read."""

import pytest

from jsac_ros import shipped
from jsac_ros.config import ConfigError
from jsac_ros.fitting import edit
from jsac_ros.parameters import load

CROP = {"cameras.wrist.crop": (10, 20, 200, 300)}
TEXT = """\
# A rig.
/**:
  ros__parameters:
    cameras:
      wrist:  # on the hand
        topic: camera/image_raw
        crop: [0, 80,
               480, 480]  # top, left, height, width
        stack: 3
      # the other one
      scene: {topic: scene/image_raw, height: 64}
    safety.box_lower: [0.0, 0.0, 0.0]  # m
    robot:
      home: [1.0]
# The end.
"""


def test_a_value_is_replaced_and_comments_stay():
    after = edit.edited(TEXT, CROP)
    assert "        crop: [10, 20, 200, 300]  # top, left, height, width\n        stack: 3\n" in after
    assert [line for line in after.splitlines() if "#" in line] == [
        line.replace("               480, 480]", "        crop: [10, 20, 200, 300]")
        for line in TEXT.splitlines()
        if "#" in line
    ]
    assert edit.difference(TEXT, after, "a.yaml").count("\n+ ") == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cameras.scene.crop", "      scene: {topic: scene/image_raw, height: 64, crop: [1, 2, 3, 4]}\n"),
        ("safety.box_lower", "    safety.box_lower: [1, 2, 3, 4]  # m\n"),
        ("robot.other", "      home: [1.0]\n      other: [1, 2, 3, 4]\n# The end.\n"),
        ("sensors.new.fields", "      home: [1.0]\n    sensors:\n      new:\n        fields: [1, 2, 3, 4]\n# The end.\n"),
    ],
)  # fmt: skip
def test_it_stands_where_its_section_is(name, line):
    after = edit.edited(TEXT, {name: (1, 2, 3, 4)})
    assert line in after and after.replace(line, "").count("[1, 2, 3, 4]") == 0


@pytest.mark.parametrize("name", [name for name in shipped.names() if load(name, kinds=()).cameras])
def test_every_shipped_configuration_can_be_edited(name, tmp_path):
    before = edit.read(shipped.find(name))
    camera = next(iter(load(name, kinds=()).cameras))
    values = {f"cameras.{camera}.crop": (0, 0, 8, 8), "safety.box_lower": (-0.25, 0.125, 0.3), "robot.home": (0.5, -1.5)}
    after = edit.edited(before, values)
    edit.write(tmp_path / "a.yaml", after)
    config, old = load(tmp_path / "a.yaml", kinds=()), load(name, kinds=())
    assert config.cameras[camera].crop == (0, 0, 8, 8) and config.safety.box_lower == (-0.25, 0.125, 0.3)
    same = {"cameras", "safety", "robot"}
    assert config.model_dump(exclude=same) == old.model_dump(exclude=same)
    comments = lambda text: [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert set(comments(after)) >= {c for c in comments(before) if "rad; angles" not in c}


@pytest.mark.parametrize(
    "text", ["a: 1\n", "", "/**:\n  ros__parameters: {}\n", "[", "/**:\n  ros__parameters:\n    cameras: 3\n"]
)
def test_what_is_no_such_file_is_refused(text):
    with pytest.raises(ConfigError):
        edit.edited(text, CROP)


def test_a_shipped_configuration_is_copied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, target = edit.target_of("ur5_reacher", None)
    assert source == shipped.find("ur5_reacher") and target.name == "ur5_reacher.yaml" and not target.is_absolute()
    target.write_text("x")
    with pytest.raises(ConfigError, match="exists already"):
        edit.target_of("ur5_reacher", None)
    assert edit.target_of("ur5_reacher.yaml", None) == (target, target)
    with pytest.raises(ConfigError, match="did you mean 'ur5_reacher'"):
        edit.target_of("ur5_reachr", None)


def test_a_file_keeps_its_rights_and_a_link_stays_one(tmp_path):
    file, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    file.write_text(TEXT)
    file.chmod(0o640)
    link.symlink_to(file)
    _, target = edit.target_of(str(link), None)
    edit.write(target, edit.edited(TEXT, CROP))
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o640 and "[10, 20, 200, 300]" in file.read_text()
