"""The tables. Few, with plain names; one definition for every database (docs/decisions/0004)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()
_Seq = BigInteger().with_variant(Integer, "sqlite")

event = Table(
    "event",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("source", String, nullable=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("causation_id", String, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("prev_hash", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("event_identity", "source", "id", unique=True),
    Index("event_topic", "topic", "seq"),
    Index("event_type", "type", "seq"),
    Index("event_correlation", "correlation_id", "seq"),
)

run = Table(
    "run",
    metadata,
    Column("id", String, primary_key=True),
    Column("process", String, nullable=False),
    Column("version", String, nullable=False),
    Column("key", String, nullable=False),
    Column("state", String, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("event_id", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("waits_for", Text, nullable=False),
    Column("error", Text, nullable=False),
    Index("run_state", "state", "event_seq", "id"),
    Index("run_order", "event_seq", "id"),
    Index("run_key", "process", "key", "state"),
    Index("run_correlation", "correlation_id"),
    Index("run_ended", "ended_at"),
    Index("run_process", "process", "event_seq", "id"),
)

journal = Table(
    "journal",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

effect = Table(
    "effect",
    metadata,
    Column("connection", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("canonical_id", String, primary_key=True),
    Column("action", String, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("state", String, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("external_id", String, nullable=False),
    Column("idempotency_key", String, nullable=False),
    Column("mapping", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("error_kind", String, nullable=False),
    Column("settled_by", String, nullable=False),
    Column("intended_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Index("effect_correlation", "correlation_id"),
    Index("effect_external", "external_id"),
    Index("effect_canonical", "canonical_id"),
    Index("effect_state", "state", "intended_at"),
    Index("effect_connection", "connection", "intended_at"),
    Index("effect_intended", "intended_at"),
    Index("effect_mapping", "mapping", "intended_at"),
)

reference = Table(
    "reference",
    metadata,
    Column("connection", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("canonical_id", String, primary_key=True),
    Column("external_id", String, nullable=False),
    Column("how", String, nullable=False),
    Column("display", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("reference_external", "external_id"),
    Index("reference_display", "display"),
)

entity = Table(
    "entity",
    metadata,
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("content_hash", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("entity_correlation", "correlation_id"),
)

case = Table(
    "case",
    metadata,
    Column("id", String, primary_key=True),
    Column("case_class", String, nullable=False),
    Column("cause", String, nullable=False),
    Column("state", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("actions", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("run_id", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("amount", String, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("escalate_to", String, nullable=False),
    Column("escalated_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("decision", Text, nullable=False),
    Column("decided_by", String, nullable=False),
    Index("case_state", "state", "case_class"),
    Index("case_cause", "cause", "state"),
    Index("case_correlation", "correlation_id"),
    Index("case_late", "state", "escalated_at", "due_at"),
    Index("case_list", "state", "opened_at", "id", "case_class", "owner", "due_at", "cause"),
    Index("case_group", "state", "cause", "case_class", "owner", "opened_at", "due_at", "id", "amount"),
)

wait = Table(
    "wait",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("topic", String, nullable=False),
    Column("since_seq", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Index("wait_topic", "topic"),
    Index("wait_due", "due_at"),
)

cursor = Table(
    "cursor",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

lane = Table(
    "lane",
    metadata,
    Column("connection", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("queued", Integer, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("per_day", BigInteger, nullable=False, server_default="0"),
    Column("used_today", BigInteger, nullable=False, server_default="0"),
    Column("hours", Text, nullable=False, server_default="[]"),
    Column("since", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

process_version = Table(
    "process_version",
    metadata,
    Column("process", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("module", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("first_seen_at", BigInteger, nullable=False),
)

rule_version = Table(
    "rule_version",
    metadata,
    Column("name", String, primary_key=True),
    Column("label", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("owner", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("made_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("uses", Text, nullable=False),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("in_force_at", BigInteger, nullable=False),
    Index("rule_version_in_force", "name", "in_force_at", "seq"),
)

deal = Table(
    "deal",
    metadata,
    Column("id", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("number", String, nullable=False),
    Column("name", String, nullable=False),
    Column("customer", String, nullable=False),
    Column("customer_name", String, nullable=False),
    Column("customer_folded", String, nullable=False),
    Column("currency", String, nullable=False),
    Column("amount", String, nullable=False),
    Column("amount_e4", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("waits_for", Text, nullable=False),
    Column("won_on", String, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("deal_list", "seq", "status", "currency", "amount_e4", "won_on", unique=True),
    Index("deal_customer", "customer", "seq"),
    Index("deal_name", "customer_folded", "seq"),
)
"""Searched by the words in `deal_words`, a full-text table that only SQLite has (migration 0006)."""

deal_change = Table(
    "deal_change",
    metadata,
    Column("deal", String, primary_key=True),
    Column("changes", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Index("deal_change_since", "since"),
    sqlite_with_rowid=False,
)

archive = Table(
    "archive",
    metadata,
    Column("name", String, primary_key=True),
    Column("holds", String, nullable=False),
    Column("month", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("written_at", BigInteger, nullable=False),
)

tally = Table(
    "tally",
    metadata,
    Column("counted", String, primary_key=True),
    Column("a", String, primary_key=True),
    Column("b", String, primary_key=True),
    Column("state", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
