"""No node of ours takes a name that rclpy's Node keeps something under: what comes of it shows at run time only."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
import rclpy.node

import jsac_ros.nodes
from jsac_ros.nodes.process import JsacNode

FILES = sorted(Path(jsac_ros.nodes.__file__).parent.glob("*.py"))
OVERRIDES = {"get_logger", "create_timer", "create_subscription", "create_service"}  # which JsacNode does on purpose


def names_of(tree: ast.AST) -> set[str]:
    """Methods, and attributes of `self` that are assigned."""
    methods = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return methods | {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"}


RCLPY = {name for name in names_of(ast.parse(inspect.getsource(rclpy.node))) if not name.startswith("__")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_node_takes_a_name_of_rclpys(file):
    module = importlib.import_module(f"jsac_ros.nodes.{file.stem}")
    nodes = [
        kind for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, rclpy.node.Node) and kind.__module__ == module.__name__
    ]  # fmt: skip
    for kind in nodes:
        allowed = OVERRIDES if kind is JsacNode else set()
        taken = names_of(ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))) & RCLPY - allowed
        assert not taken, f"{kind.__name__} has {', '.join(sorted(taken))}, as rclpy's Node"
