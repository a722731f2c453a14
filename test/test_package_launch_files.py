"""The launch files of one configuration: two lines over `system.launch.py`, in the package, the example and the template."""

import ast
import string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE, TEMPLATE = ROOT / "examples" / "pick_lab", ROOT / "jsac_ros" / "new" / "task"
FILES = {
    "ur5_reacher": ROOT / "launch" / "ur5_reacher.launch.py",
    "create_reacher": ROOT / "launch" / "create_reacher.launch.py",
    "pick_lab": EXAMPLE / "launch" / "pick_lab.launch.py",
    "wipe": TEMPLATE / "launch" / "NAME.launch.py.in",
}


def text_of(name):
    return string.Template(FILES[name].read_text()).safe_substitute(name=name)


def test_every_launch_file_but_the_system_is_here():
    found = [*ROOT.glob("launch/*.py"), *EXAMPLE.glob("launch/*.py"), *TEMPLATE.glob("launch/*.in")]
    assert set(found) - {ROOT / "launch" / "system.launch.py"} == set(FILES.values())


@pytest.mark.parametrize("name", FILES)
def test_a_launch_file_is_two_lines(name):
    docstring, imported, assigned = ast.parse(text_of(name)).body
    assert isinstance(docstring, ast.Expr) and ast.unparse(imported) == "from jsac_ros.launching import system_with"
    package = name if name in ("pick_lab", "wipe") else "jsac_ros"
    assert ast.unparse(assigned) == f"generate_launch_description = system_with('{package}', '{name}.yaml')"


@pytest.mark.parametrize("name", FILES)
def test_it_includes_the_system_with_its_configuration(name, tmp_path, monkeypatch):
    sources = pytest.importorskip("launch.launch_description_sources", reason="ROS 2's launch is not installed here")
    from launch import LaunchContext

    from jsac_ros import launching

    (tmp_path / "one.launch.py").write_text(text_of(name))
    shares = {"jsac_ros": ROOT, "pick_lab": EXAMPLE, "wipe": tmp_path}
    monkeypatch.setattr(launching, "get_package_share_directory", lambda package: str(shares[package]))
    source = sources.PythonLaunchDescriptionSource(str(tmp_path / "one.launch.py"))
    _, argument, included = source.get_launch_description(LaunchContext()).entities
    (default,) = argument.default_value
    assert Path(default.text) == shares.get(name, ROOT) / "config" / f"{name}.yaml"
    assert Path(default.text).exists() or name == "wipe"
    included.launch_description_source.get_launch_description(LaunchContext())
    assert Path(included.launch_description_source.location) == ROOT / "launch" / "system.launch.py"
