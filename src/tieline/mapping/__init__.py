"""Mapping tables: load, check, compile, run, explain. Pure; rules that finance can read."""

from tieline.mapping.check import check
from tieline.mapping.compile import Mapping, compile_table
from tieline.mapping.documents import from_document, to_document
from tieline.mapping.examples import Difference, ExampleResult, compare, read_json, run_examples
from tieline.mapping.explain import Explanation, explain
from tieline.mapping.failures import FieldFailure, MappingFailed, MissingReference, UnmappedValue
from tieline.mapping.formula import EvaluationError, Formula, compile_formula
from tieline.mapping.grammar import FormulaError
from tieline.mapping.mapping_set import MappingSet
from tieline.mapping.problems import Problem, ProblemsFound
from tieline.mapping.rule_text import RuleRow, describe
from tieline.mapping.shapes import schema_of
from tieline.mapping.signatures import Function, Functions, function
from tieline.mapping.table import Table, load_table
from tieline.mapping.value_map import ValueMap, load_value_map

__all__ = [
    "Difference",
    "EvaluationError",
    "ExampleResult",
    "Explanation",
    "FieldFailure",
    "Formula",
    "FormulaError",
    "Function",
    "Functions",
    "Mapping",
    "MappingFailed",
    "MappingSet",
    "MissingReference",
    "Problem",
    "ProblemsFound",
    "RuleRow",
    "Table",
    "UnmappedValue",
    "ValueMap",
    "check",
    "compare",
    "compile_formula",
    "compile_table",
    "describe",
    "explain",
    "from_document",
    "function",
    "load_table",
    "load_value_map",
    "read_json",
    "run_examples",
    "schema_of",
    "to_document",
]
