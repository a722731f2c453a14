"""Who may import whom (docs/architecture.md), read from the source so that no import has to succeed."""

import ast
import re
from pathlib import Path

import pytest

from jsac_ros import plugins

PACKAGE = Path(__file__).resolve().parent.parent / "jsac_ros"
ROS = {
    "rclpy", "rcl_interfaces", "rosidl_runtime_py", "builtin_interfaces", "std_msgs", "std_srvs", "sensor_msgs",
    "geometry_msgs", "nav_msgs", "trajectory_msgs", "diagnostic_msgs", "launch", "launch_ros", "jsac_ros.msg",
}  # fmt: skip
ALSO_MEANS_MORE = {"joints", "twist"}  # robot.interface, a kind of robot
JAX = {"jax", "jaxlib", "flax", "optax", "orbax"}
MAY_IMPORT_ROS = ("jsac_ros.nodes", "jsac_ros.bags", "jsac_ros.bench.observer", "jsac_ros.launching")
AGENT_MAY_IMPORT = tuple(f"jsac_ros.{name}" for name in ("agent", "spaces", "types", "config", "documents", "plugins"))


class _Imports(ast.NodeVisitor):
    """Dotted names a module imports; `lazy` holds those inside functions, which importing it does not run."""

    def __init__(self, module, is_package):
        self.package = module if is_package else module.rpartition(".")[0]
        self.at_import, self.lazy, self.depth = set(), set(), 0

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node):
        self._add(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            parents = self.package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
        self._add(f"{base}.{alias.name}" for alias in node.names)

    def _add(self, names):
        (self.lazy if self.depth else self.at_import).update(names)


def imports_of(package):
    """Module name -> (imported when it is imported, imported later), for every module below folder `package`."""
    modules = {}
    for file in package.rglob("*.py"):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found = _Imports(name, is_package)
        found.visit(ast.parse(file.read_text(), str(file)))
        modules[name] = (found.at_import, found.lazy)
    return modules


def within(name, roots):
    """True where a dotted name is one of `roots` or below one."""
    return any(name == root or name.startswith(root + ".") for root in roots)


def violations(modules, importers, forbidden, allowed=()):
    """'a imports b' for every module of `importers` (a predicate) that imports, even late, what is `forbidden`."""
    return sorted(
        f"{module} imports {name}"
        for module, (at_import, lazy) in modules.items()
        if importers(module)
        for name in at_import | lazy
        if within(name, forbidden) and not within(name, allowed)
    )


def mutual(modules):
    """Pairs of packages below ours that import each other, even late."""
    packages = {name.split(".")[1] for name in modules if name.count(".") > 1}
    of = lambda name: packages & set(name.split(".")[1:2])
    pairs = {
        (mine, theirs)
        for module, (at_import, lazy) in modules.items()
        for name in at_import | lazy
        if within(name, ["jsac_ros"])
        for mine in of(module)
        for theirs in of(name) - {mine}
    }
    return sorted(pair for pair in pairs if pair[::-1] in pairs and pair < pair[::-1])


def closure(modules, start):
    """Every name that is imported when `start` is, packages' own __init__ included."""
    seen, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        parent = name.rpartition(".")[0]
        todo += [parent] if parent else []
        todo += modules.get(name, ((), ()))[0]
    return seen


@pytest.fixture(scope="module")
def modules():
    found = imports_of(PACKAGE)
    assert len(found) > 10
    return found


def test_only_nodes_bags_and_the_observer_import_ros(modules):
    assert not violations(modules, lambda m: not within(m, MAY_IMPORT_ROS), ROS)


def test_agent_imports_nothing_of_ours_but_spaces_types_and_configuration(modules):
    assert not violations(modules, lambda m: within(m, ["jsac_ros.agent"]), ["jsac_ros"], AGENT_MAY_IMPORT)


def test_only_nodes_import_nodes(modules):
    assert not violations(modules, lambda m: not within(m, ["jsac_ros.nodes"]), ["jsac_ros.nodes"])


@pytest.mark.parametrize("module", ["jsac_ros.nodes.safety", "jsac_ros.control.safety", "jsac_ros.config", "jsac_ros.rig"])
def test_what_safety_needs_imports_no_jax(modules, module):
    assert module in modules
    assert not [name for name in closure(modules, module) if within(name, JAX)]


def test_no_two_packages_import_each_other(modules):
    assert not mutual(modules)


def test_nothing_imports_the_references_but_their_command(modules):
    others = lambda m: not within(m, ["jsac_ros.references", "jsac_ros.__main__"])
    assert not violations(modules, others, ["jsac_ros.references"])


def listed_in(page):
    """Files and packages of the listing in docs/architecture.md, `name.py` and `name/`."""
    listing = page[page.index("    jsac_ros/\n") :].split("\n\n")[0]
    return set(re.findall(r"(?<![\w/])(\w+\.py|\w+/)", listing)) - {"jsac_ros/"}


def test_the_architecture_document_lists_every_package_and_every_top_level_file():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    packages = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    listed = listed_in(page)
    assert packages | files <= listed, f"not listed: {sorted((packages | files) - listed)}"
    inner = {f"{path.name}/" for path in PACKAGE.glob("*/*/")}  # such as control/safety/
    assert listed <= packages | files | inner, f"listed, but not there: {sorted(listed - packages - files - inner)}"


def literals_of(source):
    """(line, values) of every Literal of strings in a module."""
    return [
        (node.lineno, {value.value for value in ast.walk(node.slice) if isinstance(value, ast.Constant)})
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Literal"
    ]


def test_no_literal_holds_the_name_of_a_plugin():
    names = {name for kind in plugins.GROUPS for name in plugins.names(kind)} - ALSO_MEANS_MORE
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {sorted(values & names)}"
        for path in PACKAGE.rglob("*.py")
        for line, values in literals_of(path.read_text())
        if values & names
    ]
    assert not found
    assert literals_of("x: typing.Literal['lift', 'push']") == [(1, {"lift", "push"})]


def test_no_module_takes_the_place_of_the_messages(modules):
    assert not [name for name in modules if within(name, ["jsac_ros.msg", "jsac_ros.srv", "jsac_ros.action"])]


def test_a_broken_rule_is_seen(tmp_path):
    package = tmp_path / "jsac_ros"
    for folder in ("agent", "control"):
        (package / folder).mkdir(parents=True)
    (package / "control" / "__init__.py").write_text("from . import gate\n")
    (package / "control" / "gate.py").write_text("from ..agent.networks import Actor\n")
    (package / "agent" / "networks.py").write_text(
        "import jax.numpy as jnp\nfrom jsac_ros import config\ndef late():\n    from rclpy.node import Node\n"
        "from jsac_ros.replay import ring\n"
    )
    modules = imports_of(package)
    everyone = lambda module: True
    assert violations(modules, everyone, ["rclpy"]) == ["jsac_ros.agent.networks imports rclpy.node.Node"]
    ours = violations(modules, lambda m: within(m, ["jsac_ros.agent"]), ["jsac_ros"], AGENT_MAY_IMPORT)
    assert ours == ["jsac_ros.agent.networks imports jsac_ros.replay.ring"]
    assert mutual(modules) == []
    (package / "agent" / "losses.py").write_text("def late():\n    import jsac_ros.control.gate\n")
    assert mutual(imports_of(package)) == [("agent", "control")]
    assert "jax.numpy" in closure(modules, "jsac_ros.control")
    assert "rclpy.node" not in closure(modules, "jsac_ros.control")
