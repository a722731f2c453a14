"""Files of others are read within bounds, and every fault in them is one line."""

import json

import pytest

from jsac_ros import documents, parameters, rig
from jsac_ros.config import ConfigError
from jsac_ros.replay import format as files

BILLION = "a: &a [x,x]\n" + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk"))
BAD_YAML = {
    "aliases of aliases": (BILLION, r"an alias \(\*a\); expected values written out"),
    "depth": ("[" * 40 + "]" * 40, "nested deeper than 32"),
    "depth beyond the interpreter's": ("[" * 50_000, "nested deeper than 32"),
    "length": ("#" * (documents.YAML_BYTES + 1), "longer than 100000 bytes"),
    "a date that is none": ("a: 2001-99-99", "month must be in 1..12"),
    "a tag": ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
    "syntax": ("a: [1,", "expected"),
    "no text": ("\x00", "not allowed|unacceptable"),
}


@pytest.mark.parametrize(("text", "message"), BAD_YAML.values(), ids=BAD_YAML)
def test_a_parameter_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        parameters.load(path)
    assert str(error.value).startswith(f"config {path}: ") and "\n" not in str(error.value) and len(str(error.value)) < 1200


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="codec can't decode"):
        parameters.load(tmp_path / "config.yaml")


@pytest.mark.parametrize("text", [BILLION, "1" * 5000, "'", "[" * 5000], ids=["aliases", "digits", "quote", "depth"])
def test_an_override_that_is_no_yaml_is_refused_in_one_line(text):
    with pytest.raises(ConfigError) as error:
        parameters.from_parameters(dict([parameters.parse_override(f"run.seed={text}")]))
    assert str(error.value).startswith("run.seed is ") and "\n" not in str(error.value) and len(str(error.value)) < 1200


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"run": {"seed": 2**63}}, "run.seed is 9223372036854775808; expected a number of 64 bits"),
        ({"run": {"seed": 10**5000}}, "run.seed is a number of 16610 bits; expected a number of 64 bits"),
        ({"robot": {"home": [0.0, -(2**63)]}}, "robot.home is -9223372036854775808; expected a number of 64 bits"),
        ({"run.name": "x" * 5000}, r"run.name is 'x{99}\.\.\.: .*text that matches"),
        ({"task.type": "x" * 5000}, r"task.type is 'x{99}\.\.\.; expected the name of a plug-in"),
        ({".".join(["a"] * 5000): 1}, "4999 sections in one name; expected section.field"),
        ({"run." + "x" * 5000: 1}, r"run\.x{96}\.\.\.: unknown key"),
    ],
)
def test_values_beyond_reason_are_refused_and_cut_in_the_error(tree, message):
    with pytest.raises(ConfigError, match=message) as error:
        parameters.from_parameters(tree)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1200


def test_of_many_errors_the_first_are_shown():
    with pytest.raises(ConfigError) as error:
        parameters.from_parameters({"run": {f"no_such_{k}": 1 for k in range(100)}})
    lines = str(error.value).splitlines()
    assert len(lines) == 21 and lines[-1] == "and 80 more"


BAD_JSON = {"depth": "[" * 100_000, "syntax": "{", "another": "7", "length": " " * (documents.JSON_BYTES + 1)}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_files_of_a_run_and_of_a_store_are_refused_in_one_line(tmp_path, text):
    for name, read in ((rig.SPACES, rig.read_spaces), (files.HEADER, files.read_header)):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=name) as error:
            read(tmp_path)
        assert "\n" not in str(error.value)


def test_spaces_of_more_parts_than_any_rig_has_are_refused(tmp_path):
    part = {"size": 1, "unit": "", "low": [], "high": []}
    vectors = [{"name": f"v{k}", **part} for k in range(10_000)]
    (tmp_path / rig.SPACES).write_text(json.dumps({"images": [], "vectors": vectors, "actions": [], "sources": []}))
    with pytest.raises(ConfigError, match="observation has 10000 parts; expected at most 128"):
        rig.read_spaces(tmp_path)
