"""Policies as tables: validation, approvals, routes, the catalogue of owners, systems of record. Pure."""

from tieline.policy.catalogue import CaseClass, Catalogue, ProcessEntry, load_catalogue
from tieline.policy.ownership import Flow, Loop, Owned, Ownership, check_flows, find_loops, load_ownership
from tieline.policy.routes import NoRoute, Route, Routes, load_routes
from tieline.policy.rules import ApprovalNeeded, Approvals, Finding, RuleSet, load_approvals, load_rules

__all__ = [
    "ApprovalNeeded",
    "Approvals",
    "CaseClass",
    "Catalogue",
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
