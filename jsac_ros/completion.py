"""Completion of `jsac-ros` in a shell: verbs, options, shipped configurations and `section.field=` words.

  eval "$(register-python-argcomplete jsac-ros)"    # in ~/.bashrc; zsh: autoload -U bashcompinit && bashcompinit first

The shell starts the command with `_ARGCOMPLETE` set and reads the possible words from file descriptor 8.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable

from jsac_ros import shipped
from jsac_ros.config import SystemConfig

FILES = ("config", "environment")  # arguments that are a file or the bare name of a shipped configuration
OVERRIDES = ("overrides", "set")


def is_asked() -> bool:
    return "_ARGCOMPLETE" in os.environ


def complete(verbs: dict[str, tuple[str, str]], module_of: Callable[[str, list[str]], str], **options) -> None:
    """Writes the possible words at the cursor, and exits.

    verbs: name -> (module, explanation); module_of: verb and the words after it -> the module that takes them.
    """
    import argcomplete

    parser = argparse.ArgumentParser(prog="jsac-ros")
    known = parser.add_subparsers()
    verb, *rest = [*os.environ.get("COMP_LINE", "").split()[1:], ""]
    for name, (_, text) in verbs.items():
        of_verb = known.add_parser(name, help=text)
        if name == verb:
            importlib.import_module(module_of(verb, rest)).add_arguments(of_verb)
            _add_completers(of_verb)
    argcomplete.autocomplete(parser, **options)


def _add_completers(parser: argparse.ArgumentParser) -> None:
    from argcomplete import FilesCompleter

    for action in parser._actions:
        if action.dest in FILES:
            action.completer = lambda prefix, **_: [*_starting(shipped.names(), prefix), *FilesCompleter()(prefix)]
        elif action.dest in OVERRIDES:
            action.completer = lambda prefix, **_: _starting(fields(), prefix)


def _starting(words: list[str], prefix: str) -> list[str]:
    return [word for word in words if word.startswith(prefix)]


def fields() -> list[str]:
    """`section.field=` for every fixed field; sections with user-defined names and plug-in sections end in a dot."""
    words = []
    for section, field in SystemConfig.model_fields.items():
        of_section = getattr(field.annotation, "model_fields", {})
        words += [f"{section}.{name}=" for name in of_section] or [f"{section}."]
    return words
