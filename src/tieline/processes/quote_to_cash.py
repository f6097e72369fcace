"""The main process: a won deal becomes customers, a subscription, a sales order and a project, each once.

Nothing is written anywhere before the deal is valid, its customers are known to be new or found, and finance agreed.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec

from tieline.domain import Customer, Subscription, kind_of
from tieline.domain.schedule import sales_order, services_project, subscription_order
from tieline.engine.cases import (
    APPROVE,
    CANCEL,
    CORRECT_MAP,
    CREATE,
    LINK,
    REFUSE,
    RETRY,
    CasePolicy,
    Problem,
    plain,
)
from tieline.engine.ports import Candidate
from tieline.engine.process import Process, process
from tieline.engine.records import EffectKey
from tieline.engine.run import Decision, Run, RunCancelled, Standing, to_builtins
from tieline.events import (
    CustomerCreated,
    OpportunityWon,
    OrderPosted,
    ProjectOpened,
    SubscriptionActivated,
)
from tieline.policy import ApprovalNeeded, Finding

ACTIVE_WITHIN = timedelta(days=30)


class Parties(msgspec.Struct, frozen=True):
    """Which connections play the roles for this deal."""

    erp: str
    billing: str
    psa: str


@process("quote-to-cash", on=OpportunityWon, key=lambda won: won.contract.id)
async def quote_to_cash(run: Run, won: OpportunityWon) -> None:
    """Validate, find, approve, then order in billing, post to the ERP, open the project."""
    parties: Parties = await run.step(route, run, won)
    await make_valid(run, won, parties)
    for customer in won.customers:
        await find_before_create(run, customer, (parties.erp, parties.billing))
    await obtain_approvals(run, won)
    for customer in won.customers:
        await create_customer(run, won, customer, parties)

    contract = won.contract
    order = subscription_order(contract)
    await run.ensure(parties.billing, order)
    run.compensate_with(lambda: run.perform(parties.billing, "cancel", order))
    subscription = await activated(run, parties.billing, order.subscription_number)

    posting = sales_order(contract, subscription)
    posted = await run.ensure(parties.erp, posting)
    run.compensate_with(lambda: run.perform(parties.erp, "withdraw", posting))
    if not posted.skipped:
        await run.publish(OrderPosted(**_standing(contract.id, posted)))
    project = services_project(contract)
    if project is not None:
        opened = await run.ensure(parties.psa, project)
        if not opened.skipped:
            await run.publish(ProjectOpened(**_standing(contract.id, opened)))


def route(run: Run, won: OpportunityWon) -> Parties:
    """Which ERP, billing system and PSA serve this deal, by the routing table."""
    context, day = _context(won), won.contract.won_on
    routes = run.resources.routes
    return Parties(*(routes.route(role, context, on=day) for role in ("erp", "billing", "psa")))


# --- validation -------------------------------------------------------------------------------------------------------


async def make_valid(run: Run, won: OpportunityWon, parties: Parties) -> None:
    """Judge the rules; while one is broken, the deal waits as a case and nothing is written downstream."""
    findings: list[Finding] = await run.step(validate, run, won, parties)
    while findings:
        await run.case(_invalid(won, findings))
        findings = await run.step(validate, run, won, parties)


async def validate(run: Run, won: OpportunityWon, parties: Parties) -> list[Finding]:
    """Every broken rule. Lists that are a minute old are read again before a deal is refused on their account."""
    resources = run.resources
    for fresh in (False, True):
        await _load_facts(resources, parties, fresh=fresh)
        findings: list[Finding] = resources.validation.evaluate(_context(won))
        if not findings:
            break
    return findings


async def _load_facts(resources: Any, parties: Parties, *, fresh: bool) -> None:
    facts = resources.facts
    items = await resources.list_of(parties.erp, "item", fresh=fresh)
    facts.items = frozenset(i["itemid"] for i in items if i.get("isinactive") in (None, False, "F"))
    facts.subsidiaries = _names(await resources.list_of(parties.erp, "subsidiary", fresh=fresh), "name")
    facts.currencies = _names(await resources.list_of(parties.erp, "currency", fresh=fresh), "symbol")
    facts.terms = _names(await resources.list_of(parties.erp, "term", fresh=fresh), "name")
    plans = await resources.list_of(parties.billing, "rate_plan", fresh=fresh)
    facts.rate_plans = _names(plans, "productRatePlanNumber")


def _names(records: list[dict[str, Any]], field: str) -> frozenset[str]:
    return frozenset(str(r[field]) for r in records if r.get(field) and r.get("isinactive") not in (True, "T"))


def _invalid(won: OpportunityWon, findings: list[Finding]) -> Problem:
    first = findings[0]
    return Problem(
        case_class=first.case_class,
        cause=first.cause,
        message="; ".join(dict.fromkeys(f.message for f in findings)),
        actions=[RETRY, CORRECT_MAP, CANCEL],
        details={
            "deal": won.contract.name,
            "customer": won.customers[-1].name,
            "findings": [plain(f) for f in findings],
        },
        amount=f"{won.contract.value.amount} {won.contract.value.currency}",
    )


# --- customers --------------------------------------------------------------------------------------------------------


async def find_before_create(run: Run, customer: Customer, connections: tuple[str, ...]) -> None:
    """Look for the customer in each system; one match is linked, several are a question for a person."""
    found: list[list[Candidate]] = await asyncio.gather(
        *(run.step(look_for, run, connection, customer) for connection in connections)
    )
    for connection, candidates in zip(connections, found, strict=True):
        chosen = candidates[0] if len(candidates) == 1 else None
        if len(candidates) > 1:
            chosen = await _ask_which(run, connection, customer, candidates)
        if chosen is not None and chosen.canonical_id != customer.id:
            await run.link(connection, kind_of(customer), customer.id, chosen.external_id, chosen.display)


async def look_for(run: Run, connection: str, customer: Customer) -> list[Candidate]:
    """Who may be this customer there: none where the ledger knows, else the matches of the strongest kind."""
    key = (connection, kind_of(customer), customer.id)
    if await run.references([key]):
        return []
    asked = await run.resources.shared(
        ("find", *key), lambda: run.find(connection, kind_of(customer), to_builtins(customer))
    )
    found = [c for c in asked if await _nobody_elses(run, connection, customer, c)]
    for strength in ("external_id", "tax_number", "name_address"):
        matches = [c for c in found if c.matched_by == strength]
        if matches:
            return matches
    return []


async def _nobody_elses(run: Run, connection: str, customer: Customer, candidate: Candidate) -> bool:
    """A record that is known to be another customer is no candidate, however alike the two are."""
    owner = await run.canonical_id(connection, kind_of(customer), candidate.external_id)
    return owner in (None, customer.id)


async def _ask_which(run: Run, connection: str, customer: Customer, candidates: list[Candidate]) -> Candidate | None:
    """A person says which record it is, or that it is none of them (`create`)."""
    decision = await run.case(
        Problem(
            case_class="ambiguous-customer",
            cause=f"ambiguous-customer:{connection}:{customer.id}",
            message=(
                f"{customer.name} may be any of {len(candidates)} customers in {connection}: "
                + "; ".join(f"{c.external_id} ({c.name}, {c.address})" for c in candidates)
            ),
            actions=[LINK, CREATE, CANCEL],
            details={"customer": plain(customer), "candidates": [plain(c) for c in candidates]},
        )
    )
    if decision.action != LINK:
        return None
    external_id = str(decision.arguments["external_id"])
    known = {c.external_id: c for c in candidates}
    return known.get(external_id) or Candidate(external_id=external_id, display="", matched_by="person")


async def create_customer(run: Run, won: OpportunityWon, customer: Customer, parties: Parties) -> None:
    """The customer stands in ERP and billing, side by side, and the CRM hears of it."""
    connections = (parties.erp, parties.billing)
    account: Customer = await run.step(with_legal_entity, run, customer, parties.erp, won.contract.legal_entity)
    standings = await asyncio.gather(*(run.ensure(connection, account) for connection in connections))
    if customer is won.customers[-1]:
        for standing in standings:
            await run.publish(
                CustomerCreated(
                    contract=won.contract.id,
                    connection=standing.key.connection,
                    document=customer.id,
                    external_id=standing.external_id,
                )
            )


async def with_legal_entity(run: Run, customer: Customer, erp: str, legal_entity: str) -> Customer:
    """The customer under the legal entity that keeps its account already, or the one of this deal."""
    kept = await run.applied_content(EffectKey(erp, kind_of(customer), customer.id))
    held = kept.get("legal_entity") if kept else None
    return msgspec.structs.replace(customer, legal_entity=held or legal_entity)


# --- approval ---------------------------------------------------------------------------------------------------------


async def obtain_approvals(run: Run, won: OpportunityWon) -> None:
    """Wait for each approval that the rules ask for; a refusal cancels the run."""
    needed: list[ApprovalNeeded] = await run.step(approvals_needed, run, won)
    for question in needed:
        decision: Decision = await run.case(_approval(won, question))
        if decision.action == REFUSE:
            raise RunCancelled(f"refused by {decision.by}: {decision.reason or 'no reason given'}")


def approvals_needed(run: Run, won: OpportunityWon) -> list[ApprovalNeeded]:
    """What the approval rules say about this deal."""
    asked: list[ApprovalNeeded] = run.resources.approvals.ask(_context(won))
    return asked


def _approval(won: OpportunityWon, question: ApprovalNeeded) -> Problem:
    return Problem(
        case_class="approval",
        cause=f"approval:{question.rule}",
        message=question.message,
        actions=[APPROVE, REFUSE],
        details={
            "rule": question.rule,
            "rule_version": question.version,
            "when": question.when,
            "deal": won.contract.name,
            "customer": won.customers[-1].name,
            "contract": plain(won.contract),
            "owner": plain(won.owner),
        },
        amount=f"{won.contract.value.amount} {won.contract.value.currency}",
        policy=CasePolicy(
            owner=question.approver,
            within=timedelta(days=question.within_days),
            escalate_to=question.escalate_to,
            next_step="Approve or refuse, with a reason; not by whoever made the deal",
        ),
    )


# --- activation -------------------------------------------------------------------------------------------------------


async def activated(run: Run, billing: str, number: str) -> Subscription:
    """The subscription once billing says it is active; one that stays silent becomes a case."""
    subject = f"{billing}-{number}"
    news = await run.wait(SubscriptionActivated, subject, ACTIVE_WITHIN)
    while news is None:
        await run.case(
            Problem(
                case_class="subscription-not-active",
                cause="subscription-not-active",
                message=f"Subscription {number} is not active in {billing} after {ACTIVE_WITHIN.days} days",
                actions=[RETRY, CANCEL],
            )
        )
        news = await run.wait(SubscriptionActivated, subject, ACTIVE_WITHIN)
    return news.subscription


def _context(won: OpportunityWon) -> dict[str, Any]:
    return {
        "contract": {**to_builtins(won.contract), "value": to_builtins(won.contract.value)},
        "customer": to_builtins(won.customers[-1]),
        "parents": [to_builtins(c) for c in won.customers[:-1]],
    }


def _standing(contract: str, standing: Standing) -> dict[str, str]:
    key: EffectKey = standing.key
    return {
        "contract": contract,
        "connection": key.connection,
        "document": key.canonical_id,
        "external_id": standing.external_id,
    }


PROCESSES: list[Process] = [quote_to_cash]
