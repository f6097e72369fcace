"""Cases for people: find them, talk about them, decide them, correct what many of them share."""

from tieline.app.cases.deciding import NotDecidable, check, correct_value_map, decide, like
from tieline.app.cases.notes import assign, comment
from tieline.app.cases.reading import GROUPS, CaseGroup, CasePage, chosen, get_case, groups, page

__all__ = [
    "GROUPS",
    "CaseGroup",
    "CasePage",
    "NotDecidable",
    "assign",
    "check",
    "chosen",
    "comment",
    "correct_value_map",
    "decide",
    "get_case",
    "groups",
    "like",
    "page",
]
