"""Policies as tables: validation, approvals, routes, the catalogue of owners, systems of record. Pure."""

from tieline.policy.catalogue import WEEKDAYS, CaseClass, Catalogue, Expectation, ProcessEntry, load_catalogue
from tieline.policy.ownership import Flow, Loop, Owned, Ownership, check_flows, find_loops, load_ownership
from tieline.policy.routes import NoRoute, Route, Routes, load_routes
from tieline.policy.rules import ApprovalNeeded, Approvals, Finding, RuleSet, load_approvals, load_rules

__all__ = [
    "WEEKDAYS",
    "ApprovalNeeded",
    "Approvals",
    "CaseClass",
    "Catalogue",
    "Expectation",
    "Finding",
    "Flow",
    "Loop",
    "NoRoute",
    "Owned",
    "Ownership",
    "ProcessEntry",
    "Route",
    "Routes",
    "RuleSet",
    "check_flows",
    "find_loops",
    "load_approvals",
    "load_catalogue",
    "load_ownership",
    "load_routes",
    "load_rules",
]
