"""What the package's files say of each other: dependencies, nodes, messages, set-up and the counting of tests."""

import ast
import functools
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
# What is imported under another name than it is installed by: requirement, rosdep key (None: there is none).
NAMES = {
    "argcomplete": ("argcomplete", "python3-argcomplete"),
    "PIL": ("pillow", "python3-pil"),
    "cv2": ("opencv-python-headless", "python3-opencv"),
    "flax": ("flax", None),
    "gymnasium": ("gymnasium", "python3-gymnasium-pip"),
    "jax": ("jax", None),
    "isal": ("isal", None),
    "lz4": ("lz4", None),
    "mcap": ("mcap", None),
    "mujoco": ("mujoco", None),
    "matplotlib": ("matplotlib", "python3-matplotlib"),
    "numpy": ("numpy", "python3-numpy"),
    "scipy": ("scipy", "python3-scipy"),
    "optax": ("optax", None),
    "orbax": ("orbax-checkpoint", None),
    "posix_ipc": ("posix_ipc", "python3-posix-ipc"),
    "pydantic": ("pydantic", "python3-pydantic"),
    "rich": ("rich", "python3-rich"),
    "rosbags": ("rosbags", "python3-rosbags-pip"),
    "safetensors": ("safetensors", None),
    "simplejpeg": ("simplejpeg", None),
    "starlette": ("starlette", None),
    "tensorboardX": ("tensorboardX", "python3-tensorboardX-pip"),
    "urdf_parser_py": ("urdfdom_py", "urdfdom_py"),
    "uvicorn": ("uvicorn", None),
    "yaml": ("PyYAML", "python3-yaml"),
    "zstandard": ("zstandard", None),
}
# `jsac-ros bench` compares with one, the export to LeRobot needs another, a UR's driver brings the third, `report.loggers`
# may name the others.
OPTIONAL = {
    "torch", "pyarrow", "av", "ur_dashboard_msgs", "wandb", "mlflow", "evdev", "pyspacemouse", "onnx", "onnxruntime",
}  # fmt: skip


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(file):
    """Requirement -> version of one of requirements/*.txt."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements" / file).read_text().splitlines())
    return dict(re.split("==", line) for line in lines if line)


@functools.cache
def third_party_imports(folder):
    """First name of everything imported below `folder` that is neither Python's own nor ours."""
    names = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(), str(file))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
    own = sys.stdlib_module_names | {"jsac_ros"} | {file.stem for file in (ROOT / "test").glob("*.py")}
    return {name.split(".")[0] for name in names} - own


def dependencies(*kinds):
    tree = ElementTree.parse(ROOT / "package.xml")
    return {element.text for kind in kinds for element in tree.iter(kind)}


def test_every_import_is_a_declared_and_pinned_dependency():
    declared, pinned = dependencies("depend", "exec_depend"), pins("python.txt")
    missing = []
    for name in (third_party_imports(ROOT / "jsac_ros") | third_party_imports(ROOT / "launch")) - OPTIONAL:
        requirement, key = NAMES.get(name, ("", name))  # a ROS package is imported by its name
        if key is not None and key not in declared:
            missing.append(f"{name}: {key} is not in package.xml")
        if requirement and requirement not in pinned:
            missing.append(f"{name}: {requirement} is not in requirements/python.txt")
    assert not missing


def test_what_no_import_tells_is_a_declared_dependency():
    """Python's own tkinter is a package of its own on Ubuntu; `ros2 launch` is a verb of the command line."""
    assert {"python3-tk", "ros2launch"} <= dependencies("exec_depend")


def test_every_requirement_has_one_version():
    for file in (ROOT / "requirements").glob("*.txt"):
        for name, version in pins(file.name).items():
            assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{file.name}: {name}"


def test_the_ranges_of_the_wheel_hold_the_versions_that_were_tested():
    ranges = {
        r.name: r.specifier
        for r in map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    }
    pinned = pins("python.txt")
    assert ranges.keys() == pinned.keys()
    assert [name for name, version in pinned.items() if version not in ranges[name]] == []


def test_every_requirement_of_the_package_is_imported():
    imported = {NAMES[name][0] for name in third_party_imports(ROOT / "jsac_ros") if name in NAMES}
    assert set(pins("python.txt")) - imported == {"pygame", "websockets"}  # gymnasium and uvicorn import them


def test_every_node_has_an_executable():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    executables = re.search(r"foreach\(node ([a-z_ ]+)\)", cmake)[1].split()
    starts = re.compile(r"^def main\(args=None\) -> int:", re.MULTILINE)
    nodes = {file.stem for file in (ROOT / "jsac_ros" / "nodes").glob("*.py") if starts.search(file.read_text())}
    assert sorted(executables) == sorted(nodes)


def test_every_message_field_is_explained_and_can_be_imported():
    import jsac_ros.msg

    for file in (ROOT / "msg").glob("*.msg"):
        assert file.read_text().startswith("#"), f"{file.name}: expected a comment that says what it is for"
        assert hasattr(jsac_ros.msg, file.stem)


def test_command_works_from_any_folder_with_nothing_sourced(tmp_path):
    command = ROOT / ".venv" / "bin" / "jsac-ros"
    if not command.exists():
        pytest.skip("built by colcon alone: .venv/bin/jsac-ros is made by `make setup`")
    bare = {"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": "/nowhere"}
    asked = subprocess.run([command, "--help"], cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0 and "usage: jsac-ros" in asked.stdout
    imports = "from jsac_ros.msg import Transition; from rclpy.serialization import serialize_message as s; s(Transition())"
    python = [ROOT / ".venv/bin/python", "-c", imports]
    done = subprocess.run(python, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_command_keeps_the_packages_of_the_user_and_leaves_out_those_of_ros(tmp_path):
    command, python = tmp_path / "jsac-ros", tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\n')
    python.chmod(0o755)
    command.write_text(load_tool("setup_environment").COMMAND.format(python=python))
    for given, kept in (
        ("/opt/ros/jazzy/lib/python3:/home/me/my lab:/ws", "/home/me/my lab:/ws"),
        ("/opt/ros/x", ""),
        ("", ""),
    ):
        done = subprocess.run(
            ["sh", command, "run", "a b"], env={"PYTHONPATH": given}, capture_output=True, text=True, timeout=10
        )
        assert done.stdout == f"{kept} -P -m jsac_ros run a b\n", done


@pytest.mark.parametrize("sourced", ["", "/opt/ros/jazzy"])
def test_a_shell_that_sourced_the_installation_finds_the_package(tmp_path, sourced):
    """As `ros2 pkg prefix` and `ros2 launch` look for it: with a Python that is not of .venv."""
    if not (ROOT / ".venv" / "bin" / "jsac-ros").exists():
        pytest.skip("built by colcon alone: its scripts do not ask a Python of .venv")
    import ament_index_python

    find = "from ament_index_python import *; print(get_package_prefix('jsac_ros'), get_package_share_path('jsac_ros'))"
    index = Path(ament_index_python.__file__).parent.parent
    bare = {"PATH": os.defpath, "HOME": str(tmp_path), "BASE": sys._base_executable, "INDEX": str(index), "FIND": find}
    bare |= {"AMENT_PREFIX_PATH": sourced} if sourced else {}
    script = f'. {ROOT}/install/setup.bash; echo $AMENT_PREFIX_PATH $LD_LIBRARY_PATH; PYTHONPATH=$INDEX $BASE -c "$FIND"'
    shell = subprocess.run(["bash", "-c", script], env=bare, capture_output=True, text=True, timeout=60)
    assert shell.returncode == 0, shell.stderr
    prefixes, libraries, prefix, share = shell.stdout.split()
    ours = ROOT / "install" / "jsac_ros"
    assert prefixes.split(":")[0] == str(ours) and sourced in prefixes and libraries.split(":")[0] == str(ours / "lib")
    assert Path(prefix) == ours and Path(share) == ours / "share" / "jsac_ros"


def test_setup_uses_a_sourced_jazzy_and_no_other(tmp_path):
    setup = load_tool("setup_environment")
    marker = tmp_path / "share/ament_index/resource_index/packages/rclpy"
    environ = {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": f"/nowhere:{tmp_path}"}
    assert not setup.sourced_ros({})
    assert not setup.sourced_ros(environ)  # no rclpy in it
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert setup.sourced_ros(environ)
    with pytest.raises(setup.SetupError, match="'humble'; expected 'jazzy'"):
        setup.sourced_ros(environ | {"ROS_DISTRO": "humble"})


@pytest.mark.parametrize(
    "machine, words",
    [
        ({"version": (3, 10, 1)}, "Python is 3.10; expected 3.11 or 3.12"),
        ({"which": lambda name: None if name == "c++" else name}, "compiler"),
        ({"find_spec": lambda name: None}, "python3-?[0-9.]*-venv"),
        ({"include": "/nowhere"}, "Python's headers"),
    ],
)
def test_setup_names_what_is_missing(machine, words):
    setup = load_tool("setup_environment")
    whole = {"version": (3, 11, 2), "which": lambda name: name, "find_spec": lambda name: name, "include": None}
    with pytest.raises(setup.SetupError, match=words):
        setup.check_machine(**(whole | machine))


def test_setup_says_when_there_is_no_network():
    setup = load_tool("setup_environment")
    script = "import sys; sys.exit('WARNING: Retrying after connection broken by NewConnectionError')"
    with pytest.raises(setup.SetupError, match="no network"):
        setup.run([sys.executable, "-c", script], dict(os.environ), "pip install")


@pytest.mark.parametrize(
    ("has", "is_root", "status", "called", "said"),
    [
        ("EGL", True, 0, 0, "^$"),
        ("", True, 0, 2, "installed OpenGL for the simulators with contact: libegl1"),
        ("", True, 100, 2, "no OpenGL, .*: sudo apt install libegl1"),
        ("", False, 0, 0, "no OpenGL, which the simulators with contact need .*: sudo apt install libegl1"),
    ],
)
def test_setup_installs_opengl_as_root_or_says_how(has, is_root, status, called, said):
    calls = []

    def call(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, status)

    line = load_tool("setup_environment").install_renderer(lambda name: name == has, is_root, lambda name: name, call)
    assert re.search(said, line) and "\n" not in line and len(calls) == called


def test_setup_mends_the_include_folders_of_the_wheels(tmp_path):
    setup = load_tool("setup_environment")
    cmake = tmp_path / "share/std_msgs/cmake/export.cmake"
    cmake.parent.mkdir(parents=True)
    there = "/opt/python/cp311-cp311"
    cmake.write_text(
        f'X "{there}/include/python3.11;{there}/lib/python3.11/site-packages/numpy/_core/include;${{_IMPORT_PREFIX}}/y"'
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    setup.mend_wheels(tmp_path)
    mended = cmake.read_text()
    assert "/opt/python" not in mended and mended.endswith(';${_IMPORT_PREFIX}/y"')
    python, numpy = mended.split('"')[1].split(";")[:2]
    assert Path(python, "Python.h").exists() and Path(numpy, "numpy/arrayobject.h").exists()


def test_results_are_counted(tmp_path):
    run_tests = load_tool("run_tests")
    (tmp_path / "a.xunit.xml").write_text(
        "<testsuites><testsuite><testcase classname='a' name='good'/><testcase classname='a' name='bad'>"
        "<failure message='assert 1 == 2'/></testcase><testcase classname='a' name='slow'>"
        "<skipped message='no GPU'/></testcase></testsuite></testsuites>"
    )
    passed, failed, skipped = run_tests.count([tmp_path / "a.xunit.xml", tmp_path / "gone.xunit.xml"])
    assert passed == 1
    assert failed[0] == ("a::bad", "assert 1 == 2") and failed[1][0] == "gone.xunit.xml"
    assert skipped == [("a::slow", "no GPU")]
