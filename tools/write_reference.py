"""`make reference`: writes the pages of docs/reference from the source: configuration, command line, topics, messages.

The pages are committed; test/test_package_reference.py fails where one is not what this would write.
"""

import argparse
import ast
import inspect
import re
import sys
import tokenize
from io import StringIO
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make reference`; change the source instead. -->"
UNITS = {  # endings of names, longest first
    "_nms_rad": "Nms/rad", "_nm_rad": "Nm/rad", "_n_m": "N/m", "_ns_m": "Ns/m",
    "_rad_s3": "rad/s³", "_rad_s2": "rad/s²", "_m_s3": "m/s³", "_m_s2": "m/s²", "_rad_s": "rad/s", "_m_s": "m/s",
    "_hz": "Hz", "_rad": "rad", "_ms": "ms", "_s": "s", "_m": "m", "_n": "N",
}  # fmt: skip
BY_NAME = {"cameras": "NAME", "sensors": "NAME", "grippers": "NAME"}
KINDS = {"robot": "robot", "task": "task", "agent": "agent", "sim": "sim", "actions": "action"}


# -- configuration -----------------------------------------------------------------------------------------------------


def configuration() -> str:
    from jsac_ros.config import ActionParameters, SystemConfig
    from jsac_ros.parameters import PLUGINS

    lines = [
        "# Configuration",
        "One YAML file in the ROS 2 parameter format describes a system; `section.field=value` on the command line replaces a",
        "field. Nothing else is accepted: an unknown field or a value outside its range is an error before anything starts.",
        "The name of a number ends in its unit.",
    ]
    for section, field in SystemConfig.model_fields.items():
        name = f"{section}.{BY_NAME[section]}" if section in BY_NAME else section
        if section == "actions":
            lines += plug_in_section("actions.NAME", "action", ActionParameters)
        elif section in PLUGINS:
            lines += plug_in_section(section, section, PLUGINS[section])
        else:
            model = get_args(field.annotation)[1] if section in BY_NAME else field.annotation
            lines += [f"## {name}", *about(model), *table(model)]
    return page(lines)


def plug_in_section(where: str, kind: str, base: type[BaseModel]) -> list[str]:
    """The fields that every plug-in of a kind has, then those of each that is shipped."""
    from jsac_ros import plugins

    lines = [f"## {where}", *about(base), *table(base)]
    of_models: dict[type, list[str]] = {}
    for name in plugins.names(kind):
        of_models.setdefault(plugins.load(kind, name).Parameters, []).append(name)
    for model, names in of_models.items():
        own = {name: field for name, field in model.model_fields.items() if changed(name, field, base)}
        lines += [f"### {where}.type: {', '.join(names)}", *about(model)]
        lines += table(model, own) if own else ["No additional fields."]
    return lines


def changed(name: str, field, base: type[BaseModel]) -> bool:
    inherited = base.model_fields.get(name)
    return name != "type" and (inherited is None or inherited.default != field.default)


def about(model: type[BaseModel]) -> list[str]:
    text = model.__dict__.get("__doc__") or ""
    return [inspect.cleandoc(text)] if text and not text.startswith("Usage docs:") else []


def table(model: type[BaseModel], fields=None) -> list[str]:
    comments = comments_of(model)
    rows = [
        f"| `{name}` | {type_of(field)} | {default_of(field)} | {unit_of(name)} | {cell(comments.get(name, ''))} |"
        for name, field in (model.model_fields if fields is None else fields).items()
    ]
    return ["| field | type, range | default | unit | meaning |\n| --- | --- | --- | --- | --- |\n" + "\n".join(rows)]


def comments_of(model: type[BaseModel]) -> dict[str, str]:
    """Field -> its comment in the source: behind it, or else the lines of comment above it."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if cls is BaseModel or not issubclass(cls, BaseModel):
            continue
        source = inspect.cleandoc("\n" + inspect.getsource(cls))
        tokens = list(tokenize.generate_tokens(StringIO(source).readline))
        said = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                behind = [said[line] for line in range(node.lineno, node.end_lineno + 1) if line in said]
                above, line = [], node.lineno - 1
                while lines[line - 1].lstrip().startswith("#"):
                    above.insert(0, said[line])
                    line -= 1
                if behind or above:
                    found[node.target.id] = "; ".join(filter(None, (" ".join(above), " ".join(behind))))
    return found


def type_of(field) -> str:
    words = [annotation_of(field.annotation)]
    words += [text for text in map(limit_of, field.metadata) if text]
    return cell(", ".join(filter(None, words)))


def annotation_of(annotation) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin is tuple:
        return f"list of {annotation_of(arguments[0])}"
    if hasattr(annotation, "__metadata__"):  # Annotated
        limits = [text for text in map(limit_of, annotation.__metadata__) if text]
        return " ".join([annotation_of(arguments[0]), *limits])
    if arguments and origin is not None:
        return " or ".join(map(annotation_of, arguments))
    return {"bool": "true or false", "int": "whole number", "float": "number", "str": "text"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )


def limit_of(rule) -> str:
    check = getattr(rule, "func", None)
    if check is not None:
        limits = inspect.getclosurevars(check).nonlocals
        return f"{'0 (off) or ' if limits['off'] else ''}{limits['low']:g} to {limits['high']:g}" if "low" in limits else ""
    if metadata := getattr(rule, "metadata", None):  # of a Field inside Annotated
        return " ".join(filter(None, map(limit_of, metadata)))
    names = {"gt": "above", "ge": "from", "lt": "below", "le": "to", "pattern": "like"}
    said = [f"{word} {getattr(rule, name)}" for name, word in names.items() if getattr(rule, name, None) is not None]
    return " ".join(f"like `{text[5:]}`" if text.startswith("like ") else text for text in said)


def default_of(field) -> str:
    default = field.default_factory() if field.default_factory else field.default
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, tuple):
        return f"`[{', '.join(map(plain, default))}]`"
    return f"`{plain(default)}`"


def plain(value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    text = re.sub(r"^/.*/(?=jsac_ros/\w+/)", "", str(value))  # a file of the package, wherever it is installed
    return text or "''"


def unit_of(name: str) -> str:
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


# -- command line ------------------------------------------------------------------------------------------------------


def command_line() -> str:
    from jsac_ros.__main__ import VERBS, parser_of

    lines = [
        "# Command line",
        "`jsac-ros VERB ...`. `key=value` words replace fields of the [configuration](configuration.md); they may stand",
        "before, between and after options. `jsac-ros help VERB` prints the same text.",
        'For completion in bash, add to `~/.bashrc`: `eval "$(register-python-argcomplete jsac-ros)"`.',
        "| verb | |\n| --- | --- |\n" + "\n".join(f"| `{verb}` | {cell(text)} |" for verb, (_, text) in VERBS.items()),
    ]
    of_modules: dict[str, list[str]] = {}
    for verb, (module, _) in VERBS.items():
        of_modules.setdefault(module, []).append(verb)
    for verbs in of_modules.values():
        lines += [f"## {', '.join(verbs)}", *verb_lines(parser_of(verbs[0], []))]
    lines += ["## evaluate RUN", *verb_lines(parser_of("evaluate", ["RUN"]))]
    return page(lines)


def verb_lines(parser: argparse.ArgumentParser) -> list[str]:
    epilog = (parser.epilog or "").removeprefix("examples:\n")
    lines = [examples_as_code(f"{inspect.cleandoc(parser.description or '')}\n\n{epilog}".strip())]
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            rows += [f"| `{signature(name, inner)}` | {cell(helps[name])} |" for name, inner in action.choices.items()]
        elif not isinstance(action, argparse._HelpAction):
            rows.append(f"| `{argument(action)}` | {cell((action.help or '') % vars(action))} |")
    return [*lines, "| argument | |\n| --- | --- |\n" + "\n".join(rows)] if rows else lines


def argument(action: argparse.Action) -> str:
    if not action.option_strings:
        return "|".join(action.choices) if action.choices else str(action.metavar or action.dest)
    value = "|".join(action.choices) if action.choices else action.metavar or action.dest.upper()
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


def signature(name: str, parser: argparse.ArgumentParser) -> str:
    given = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    options = [f"[{argument(action)}]" for action in given if action.option_strings]
    return " ".join([name, *(argument(action) for action in given if not action.option_strings), *options])


def examples_as_code(text: str) -> str:
    """Lines that are set off by two spaces become a block of code, with an empty line around it."""
    text = re.sub(r"(?m)^  (?=\S)", "    ", text)
    return re.sub(r"(?m)(^\S.*\n)(?=    )|(^    .*\n)(?=\S)", lambda found: f"{found[0]}\n", text)


# -- topics and services -----------------------------------------------------------------------------------------------

CALLS = {
    "create_publisher": "publishes", "create_subscription": "subscribes", "create_service": "serves", "create_client": "calls",
}  # fmt: skip
QUALITIES = {
    "qos_profile_sensor_data": "best effort", "_WRENCHES": "best effort, the newest 50",
    "LATCHED": "latched",
}  # fmt: skip


def topics() -> str:
    lines = [
        "# Topics and services",
        "The description of each node, and every publisher, subscription and service in its source. Names without a leading",
        "slash are in the namespace of the system; `~/` is that of the node. A name such as `robot.joint_states_topic` is the",
        "value of that field of the [configuration](configuration.md). Messages are [explained here](messages.md).",
    ]
    for file in sorted((ROOT / "jsac_ros" / "nodes").glob("*.py")):
        tree = ast.parse(file.read_text())
        rows = sorted(set(filter(None, map(endpoint, ast.walk(tree)))))
        is_node = (
            any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body) and file.stem != "operator"
        )
        if not (rows or is_node) or file.stem in ("process", "parameters"):
            continue
        lines += [f"## {file.stem}", said_of(ast.get_docstring(tree))]
        if rows:
            lines.append("| | name | type | quality of service |\n| --- | --- | --- | --- |\n" + "\n".join(rows))
    return page(lines)


def said_of(docstring: str) -> str:
    """A node's docstring, its table of headings as code."""
    headings = re.sub(r"(?m)^(?=(Subscribes|Publishes|Calls|Serves|Writes)\b)", "  ", docstring)
    return examples_as_code(re.sub(r"(?m)^(?= {8})", "    ", headings))


def endpoint(node) -> str | None:
    """A row for one call that makes a publisher, a subscription, a service or a client."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) < 2:
        return None
    does = CALLS.get(node.func.attr)
    kind, name = node.args[:2]
    if does is None or isinstance(kind, ast.Name) and kind.id in ("msg_type", "srv_type"):
        return None
    quality = ""
    if does in ("publishes", "subscribes"):
        places = [argument for argument in node.args[2:] if not isinstance(argument, (ast.Lambda, ast.Attribute))]
        quality = ast.unparse(places[-1]) if places else ""
        quality = QUALITIES.get(quality, re.sub(r"^(?:QoSProfile\(depth=)?(\d+)\)?$", r"reliable, the newest \1", quality))
    return f"| {does} | `{words(name)}` | `{words(kind)}` | {cell(quality)} |"


def words(node) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else f"{{{ast.unparse(p.value)}}}" for p in node.values)
    return ast.unparse(node).removeprefix("self.").removeprefix("config.")


# -- messages ----------------------------------------------------------------------------------------------------------


def messages() -> str:
    lines = ["# Messages", "The definitions in `msg/`, as they are built."]
    for file in sorted((ROOT / "msg").glob("*.msg")):
        code = "\n".join(f"    {line}".rstrip() for line in file.read_text().rstrip().splitlines())
        lines += [f"## {file.stem}", code]
    return page(lines)


# -- pages -------------------------------------------------------------------------------------------------------------


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def page(lines: list[str]) -> str:
    joined, after = [NOTE], ""
    for line in lines:
        joined.append(line if after and not after.startswith(("#", "|")) and not line.startswith(("#", "|")) else f"\n{line}")
        after = line
    return "\n".join(joined) + "\n"


PAGES = {"configuration": configuration, "cli": command_line, "topics": topics, "messages": messages}


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / f"{name}.md").write_text(write())
    return 0


if __name__ == "__main__":
    sys.exit(main())
