"""SuiteQL: a query text in, rows as the REST API writes them out."""

from tieline_sandbox.netsuite.suiteql.engine import MAX_ROWS, Environment, run_query

__all__ = ["MAX_ROWS", "Environment", "run_query"]
