"""Reads a pickle stream as data: containers, strings, numbers and bytes, without importing or calling anything.

Published weights are pickles, and unpickling runs whatever they name. Here the standard library only splits the stream into
opcodes (`pickletools`); those that weights use build plain data: a global becomes its name, and a call a `Call` with name and
arguments.
"""

from __future__ import annotations

import pickletools
from typing import Any, NamedTuple

_MOST_OPCODES = 2_000_000
_MARK = object()
_KEYS = (str, bytes, int, float, type(None))  # of dicts
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES",
    "BYTEARRAY8",
)  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Global(NamedTuple):
    name: str  # "torch FloatStorage"


class Persistent(NamedTuple):
    """A reference to data outside of the stream, such as a storage of PyTorch."""

    id: Any


class Call:
    """A call that is not made; `state` would be set on its result, and `items` would be put into it."""

    def __init__(self, function: Any, arguments: Any):
        self.name = function.name if isinstance(function, Global) else ""
        self.arguments = arguments if isinstance(arguments, tuple) else ()
        self.state: Any = None
        self.items: dict[Any, Any] = {}


def read(data: bytes) -> Any:
    """Raises ValueError with one line if the stream is damaged or has an opcode that no weights need."""
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count > _MOST_OPCODES:
                raise ValueError(f"it has more than {_MOST_OPCODES} opcodes")
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is damaged: {type(error).__name__} {error}") from None
    raise ValueError("it ends without a STOP opcode")


class _Machine:
    """The stack machine of the pickle protocol, without the calls."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif (act := getattr(self, f"_{name.lower()}", None)) is not None:
            act(argument)
        else:
            raise ValueError(f"opcode {name} is not one that weights need")

    def _proto(self, _) -> None:
        pass

    _frame = _proto

    def _mark(self, _) -> None:
        self.stack.append(_MARK)

    def _empty_tuple(self, _) -> None:
        self.stack.append(())

    def _pop(self, _) -> None:
        self.stack.pop()

    def _since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def _tuple(self, _) -> None:
        found = self._since_mark()
        self.stack.append(tuple(found))

    def _memoize(self, _) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _put(self, at: Any) -> None:
        self._memo[int(at)] = self.stack[-1]

    _binput = _long_binput = _put

    def _get(self, at: Any) -> None:
        self.stack.append(self._memo[int(at)])

    _binget = _long_binget = _get

    def _global(self, name: str) -> None:
        self.stack.append(Global(name))

    def _stack_global(self, _) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):  # the text of tuples that share parts can grow without end
            raise ValueError("a global has no name")
        self.stack.append(Global(f"{module} {name}"))

    def _binpersid(self, _) -> None:
        self.stack.append(Persistent(self.stack.pop()))

    def _reduce(self, _) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(Call(function, arguments))

    _newobj = _reduce

    def _build(self, _) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Call):
            self.stack[-1].state = state

    def _put_items(self, pairs: list[Any]) -> None:
        """Skips items whose key is neither a name nor a number: hashing tuples nested a million deep overflows C's stack."""
        held = self.stack[-1]
        into = held.items if isinstance(held, Call) else held
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, _KEYS):
                into[key] = value

    def _setitem(self, _) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put_items([key, value])

    def _setitems(self, _) -> None:
        self._put_items(self._since_mark())

    def _append(self, _) -> None:
        value = self.stack.pop()
        self.stack[-1].append(value)

    def _appends(self, _) -> None:
        values = self._since_mark()
        self.stack[-1].extend(values)
