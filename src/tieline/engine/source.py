"""The source of a process: the module that defines it, as text, and how such a text becomes a module.

The invariant: a text is executed once, under a name that holds its version, so that what two versions define never
mixes. What a module imports is the library of today; only its own text is of its time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import sys
from collections.abc import Callable
from importlib.abc import InspectLoader
from types import CodeType, ModuleType
from typing import Any

import msgspec


class Source(msgspec.Struct, frozen=True):
    """The text of a module. `version` is its short hash: what a run began with."""

    module: str
    text: str
    version: str

    @classmethod
    def of(cls, module: str, text: str) -> Source:
        return cls(module, text, hashlib.sha256(text.encode()).hexdigest()[:12])


def source_of(function: Callable[..., Any]) -> Source:
    """The source of the module that defines a function, as it was loaded."""
    names: dict[str, Any] = function.__globals__
    loader: Any = names.get("__loader__")
    if isinstance(loader, _Loader):
        return loader.source
    try:
        text = loader.get_source(names["__name__"])
    except (AttributeError, ImportError, OSError):  # a loader of another make
        text = "".join(linecache.getlines(function.__code__.co_filename, names))
    return Source.of(names["__name__"], text or function.__qualname__)


def load(source: Source, file: str, *, kept: bool) -> ModuleType:
    """The module a text makes; one that was made before is answered from memory. Raises whatever the text raises.

    `file` is where its module stands ("" where it does not stand any more). What is `kept` is shown in tracebacks
    with its version behind the file, because another text may stand there by now.
    """
    name = f"{source.module}@{source.version}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", "") == file:
        return known
    loader = _Loader(source, f"{file or source.module}@{source.version}" if kept else file)
    spec = importlib.util.spec_from_loader(name, loader, origin=file)
    assert spec is not None  # noqa: S101 - a loader without `is_package` is all that makes it None
    spec.has_location = bool(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # message types look their annotations up there
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _Loader(InspectLoader):
    """Loads a module from a text in memory."""

    def __init__(self, source: Source, filename: str) -> None:
        self.source, self._filename = source, filename

    def get_source(self, fullname: str) -> str:
        return self.source.text

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.source.text, self._filename, "exec", dont_inherit=True)
        return code

    def is_package(self, fullname: str) -> bool:
        return False
