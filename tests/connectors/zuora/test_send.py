"""Writing to Zuora: every document once, whatever is lost on the way, and refusals that people understand."""

from __future__ import annotations

import asyncio
import copy
from decimal import Decimal
from typing import Any

import pytest
from tests.connectors.zuora.tenant import (
    ACME,
    CANCEL,
    CUSTOMER,
    ORDER,
    Served,
    account,
    call,
    cancellation,
    order,
    probe,
    send,
)

from tieline.connectors.zuora import ZuoraConnector
from tieline.engine.ports import Absent, Applied, Operation, Safety
from tieline.errors import (
    AuthorizationFailed,
    ConfigurationError,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    TransientError,
    VendorUnavailable,
)

NUMBER = "O-006Aa000001DealAAA"
WRITES = [(CUSTOMER, account(), "accounts"), (ORDER, order(), "orders")]


async def opened(zuora: ZuoraConnector) -> None:
    assert isinstance(await send(zuora, CUSTOMER, account()), Applied)


class TestCustomers:
    async def test_an_account_is_opened_under_our_own_number(self, zuora: ZuoraConnector, served: Served) -> None:
        """The number is the canonical id: what it is known by here and there."""
        outcome = await send(zuora, CUSTOMER, account())
        assert isinstance(outcome, Applied)
        assert (outcome.external_id, outcome.display) == (ACME, ACME)
        (standing,) = served.standing("accounts")
        assert (standing["accountNumber"], standing["vATId"], standing["crmId"]) == (
            ACME,
            "DE136695976",
            "001Aa000001AcmeAAA",
        )

    async def test_the_parent_is_written_by_its_zuora_id(self, zuora: ZuoraConnector, served: Served) -> None:
        """The table writes the parent's account number; Zuora wants the id, which is looked up once."""
        await send(zuora, CUSTOMER, account("salesforce-PARENT"))
        for child in ("salesforce-A", "salesforce-B"):
            wire = account(child, parent="salesforce-PARENT")
            assert wire["parentId"] == "salesforce-PARENT"
            assert isinstance(await send(zuora, CUSTOMER, wire), Applied)
            assert isinstance(await probe(zuora, CUSTOMER, wire), Applied)
        parent, *children = served.standing("accounts")
        assert {c["parentId"] for c in children} == {parent["id"]}

    async def test_a_parent_that_is_not_there_is_a_refusal(self, zuora: ZuoraConnector, served: Served) -> None:
        outcome = await send(zuora, CUSTOMER, account("salesforce-A", parent="salesforce-GONE"))
        assert isinstance(outcome, RejectedByVendor)
        assert "salesforce-GONE, is not in Zuora" in str(outcome)
        assert served.standing("accounts") == []

    async def test_a_change_updates_the_account_and_leaves_billing_its_own_fields(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        """autoPay and the bill cycle day belong to billing after the account was opened."""
        await opened(zuora)
        served.standing("accounts")[0]["autoPay"] = False
        wire = account(name="Acme Europe GmbH", phone="+49 30 99")
        outcome = await send(zuora, CUSTOMER, wire, external_id=ACME, revision=2)
        assert isinstance(outcome, Applied)
        (standing,) = served.standing("accounts")
        assert (standing["name"], standing["autoPay"]) == ("Acme Europe GmbH", False)
        assert isinstance(await probe(zuora, CUSTOMER, wire, external_id=ACME), Applied)

    async def test_an_account_linked_under_its_own_number_is_updated_there(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        """A record that was there before us keeps its number."""
        served.sandbox.seed("accounts", [{**account(), "accountNumber": "A-77"}])
        wire = account(name="Acme Holding GmbH")
        assert isinstance(await send(zuora, CUSTOMER, wire, external_id="A-77"), Applied)
        assert isinstance(await probe(zuora, CUSTOMER, wire, external_id="A-77"), Applied)
        assert [a["accountNumber"] for a in served.standing("accounts")] == ["A-77"]

    async def test_another_currency_is_refused_before_anything_is_changed(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        await opened(zuora)
        outcome = await send(zuora, CUSTOMER, account(currency="USD", name="Acme US"), external_id=ACME)
        assert isinstance(outcome, RejectedByVendor)
        assert "in EUR, the customer is in USD" in str(outcome)
        assert served.standing("accounts")[0]["name"] == "Acme GmbH"

    async def test_a_refusal_names_the_account_the_words_the_code_and_the_request(self, zuora: ZuoraConnector) -> None:
        outcome = await send(zuora, CUSTOMER, account(currency="XAU"))
        assert isinstance(outcome, RejectedByVendor)
        assert f"Zuora refused account {ACME}: The currency 'XAU' is invalid" in str(outcome)
        assert outcome.vendor_code.endswith("20")
        assert outcome.request_id
        assert outcome.request_id in str(outcome)

    async def test_one_bad_row_does_not_speak_for_the_others(self, zuora: ZuoraConnector, served: Served) -> None:
        wires = [account("salesforce-A"), account("salesforce-B", currency="XAU"), account("salesforce-C")]
        outcomes = await zuora.send(CUSTOMER, [call(CUSTOMER, wire) for wire in wires])
        assert [type(o) for o in outcomes] == [Applied, RejectedByVendor, Applied]
        assert {a["accountNumber"] for a in served.standing("accounts")} == {"salesforce-A", "salesforce-C"}


class TestOrders:
    async def test_an_order_opens_the_subscription_with_every_charge(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        """Twelve months at 83.33 and 4 cents of rounding are the 1000.00 of the deal."""
        await opened(zuora)
        outcome = await send(zuora, ORDER, order())
        assert isinstance(outcome, Applied)
        assert (outcome.external_id, outcome.display) == (NUMBER, "S-006Aa000001DealAAA")
        charges = {c["chargeNumber"]: c for c in served.standing("rate-plan-charges")}
        assert {n: c["price"] for n, c in charges.items() if c["price"] is not None and "L3" not in n} == {
            "C-006Aa000001DealAAAL1": Decimal("83.33"),
            "C-006Aa000001DealAAAL1-R": Decimal("0.04"),
            "C-006Aa000001DealAAAL2": Decimal("250.50"),
        }
        platform = charges["C-006Aa000001DealAAAL1"]
        assert (platform["effectiveStartDate"], platform["effectiveEndDate"]) == ("2026-02-01", "2027-02-01")
        assert [t["price"] for t in charges["C-006Aa000001DealAAAL3"]["tiers"]] == [
            0,
            Decimal("0.02"),
            Decimal("0.015"),
        ]
        assert served.standing("subscriptions")[0]["status"] == "Active"

    async def test_the_same_order_again_is_done_already(self, zuora: ZuoraConnector, served: Served) -> None:
        await opened(zuora)
        await send(zuora, ORDER, order())
        outcome = await send(zuora, ORDER, order(), external_id=NUMBER, revision=2)
        assert isinstance(outcome, Applied)
        assert outcome.display == "S-006Aa000001DealAAA"
        assert len(served.standing("orders")) == 1

    async def test_an_executed_order_is_amended_not_changed(self, zuora: ZuoraConnector, served: Served) -> None:
        """Finance reads what differs, and which ways there are."""
        await opened(zuora)
        await send(zuora, ORDER, order())
        outcome = await send(zuora, ORDER, order(net="1200.00"), external_id=NUMBER, revision=2)
        assert isinstance(outcome, RejectedByVendor)
        for words in (NUMBER, "Amend the subscription", "cancel and renew", "83.33"):
            assert words in str(outcome)
        assert len(served.standing("orders")) == 1

    async def test_an_order_for_an_unknown_product_is_a_refusal(self, zuora: ZuoraConnector, served: Served) -> None:
        await opened(zuora)
        wire = copy.deepcopy(order())
        action = wire["subscriptions"][0]["orderActions"][0]
        action["createSubscription"]["subscribeToRatePlans"][0]["productRatePlanNumber"] = "PRP-NONE"
        outcome = await send(zuora, ORDER, wire)
        assert isinstance(outcome, RejectedByVendor)
        assert NUMBER in str(outcome)
        assert served.standing("subscriptions") == []

    async def test_a_number_taken_by_something_else_is_a_refusal_not_a_riddle(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        """The subscription number is taken, the order is not there: asking Zuora again would never help."""
        await opened(zuora)
        await send(zuora, ORDER, order())
        outcome = await send(zuora, ORDER, {**order(), "orderNumber": "O-OTHER"})
        assert isinstance(outcome, RejectedByVendor)
        assert "already exists" in str(outcome)

    async def test_an_order_is_taken_back_by_a_second_order(self, zuora: ZuoraConnector, served: Served) -> None:
        await opened(zuora)
        await send(zuora, ORDER, order())
        outcome = await send(zuora, CANCEL, cancellation())
        assert isinstance(outcome, Applied)
        assert (outcome.external_id, outcome.display) == (f"{NUMBER}-X", "S-006Aa000001DealAAA")
        (subscription,) = served.standing("subscriptions")
        assert (subscription["status"], subscription["cancelledDate"]) == ("Cancelled", "2026-02-01")
        assert isinstance(await probe(zuora, CANCEL, cancellation()), Applied)
        again = await send(zuora, CANCEL, cancellation(), external_id=f"{NUMBER}-X", revision=2)
        assert isinstance(again, Applied)
        assert len(served.standing("orders")) == 2

    async def test_an_asynchronous_order_is_followed_to_its_end(self, served: Served) -> None:
        zuora = served.connect(async_orders=True, async_poll_s=0.02)
        await opened(zuora)
        outcome = await send(zuora, ORDER, order())
        assert isinstance(outcome, Applied)
        assert outcome.external_id == NUMBER
        assert isinstance(await probe(zuora, ORDER, order()), Applied)
        await zuora.close()

    async def test_a_job_that_fails_says_what_to_do_next(self, served: Served) -> None:
        """Locked: nothing was done, again later. Broken inside: ask first. A rule: a person decides."""
        zuora = served.connect(async_orders=True, async_poll_s=0.02)
        await opened(zuora)
        await served.fault("async_job_locked")
        assert type(await send(zuora, ORDER, order())) is TransientError
        await served.fault("async_job_fails")
        assert isinstance(await send(zuora, ORDER, order()), OutcomeUnknown)
        bad = await send(zuora, ORDER, {**order(), "existingAccountNumber": "A-NONE"}, key="other")
        assert isinstance(bad, RejectedByVendor)
        assert isinstance(await send(zuora, ORDER, order()), Applied)
        assert len(served.standing("orders")) == 1
        await zuora.close()

    async def test_a_job_that_takes_too_long_leaves_the_outcome_open(self, served: Served) -> None:
        """Asked while it runs, Zuora says: not here; asked later, it is found."""
        zuora = served.connect(async_orders=True, async_poll_s=0.01, async_timeout_s=0.05)
        await opened(zuora)
        assert isinstance(await send(zuora, ORDER, order()), OutcomeUnknown)
        assert isinstance(await probe(zuora, ORDER, order()), Absent)
        await asyncio.sleep(0.1)
        assert isinstance(await probe(zuora, ORDER, order()), Applied)
        await zuora.close()


class TestNothingIsDoneTwice:
    @pytest.mark.parametrize(("operation", "wire", "kind"), WRITES)
    async def test_a_lost_answer_is_found_by_asking(
        self, zuora: ZuoraConnector, served: Served, operation: Operation, wire: dict[str, Any], kind: str
    ) -> None:
        if operation is ORDER:
            await opened(zuora)
        await served.fault("drop_response", method="POST", path=f"^/v1/{kind}$")
        assert isinstance(await send(zuora, operation, wire), OutcomeUnknown)
        found = await probe(zuora, operation, wire)
        assert isinstance(found, Applied)
        assert found.external_id == (wire.get("accountNumber") or wire["orderNumber"])
        assert len(served.standing(kind)) == 1

    @pytest.mark.parametrize(("operation", "wire", "kind"), WRITES)
    async def test_a_lost_request_is_told_from_a_lost_answer(
        self, zuora: ZuoraConnector, served: Served, operation: Operation, wire: dict[str, Any], kind: str
    ) -> None:
        if operation is ORDER:
            await opened(zuora)
        before = len(served.standing(kind))
        await served.fault("drop_request", method="POST", path=f"^/v1/{kind}$")
        assert isinstance(await send(zuora, operation, wire), OutcomeUnknown)
        assert isinstance(await probe(zuora, operation, wire), Absent)
        assert isinstance(await send(zuora, operation, wire), Applied)
        assert len(served.standing(kind)) == before + 1

    @pytest.mark.parametrize(("operation", "wire", "kind"), WRITES)
    async def test_half_an_answer_is_no_answer(
        self, zuora: ZuoraConnector, served: Served, operation: Operation, wire: dict[str, Any], kind: str
    ) -> None:
        if operation is ORDER:
            await opened(zuora)
        await served.fault("cut_response", method="POST", path=f"^/v1/{kind}$")
        assert isinstance(await send(zuora, operation, wire), OutcomeUnknown)
        assert isinstance(await probe(zuora, operation, wire), Applied)

    @pytest.mark.parametrize(("operation", "wire", "kind"), WRITES)
    async def test_what_is_there_already_is_for_the_probe_to_judge(
        self, zuora: ZuoraConnector, served: Served, operation: Operation, wire: dict[str, Any], kind: str
    ) -> None:
        """A day later the idempotency key is forgotten, our own number is not."""
        if operation is ORDER:
            await opened(zuora)
        await send(zuora, operation, wire)
        outcome = await send(zuora, operation, wire, key="a new key")
        assert isinstance(outcome, OutcomeUnknown)
        assert "is there already" in str(outcome)
        assert isinstance(await probe(zuora, operation, wire), Applied)

    async def test_what_stands_otherwise_is_told_with_its_id(self, zuora: ZuoraConnector) -> None:
        """Absent as sent, with the external id: the engine goes on with an update."""
        await opened(zuora)
        found = await probe(zuora, CUSTOMER, account(name="Other GmbH"))
        assert found == Absent(external_id=ACME)
        await send(zuora, ORDER, order())
        assert await probe(zuora, ORDER, order(net="1200.00")) == Absent(external_id=NUMBER)

    async def test_countries_and_states_are_compared_by_meaning(self, zuora: ZuoraConnector) -> None:
        """Zuora shows "Germany" where "DE" was sent."""
        await opened(zuora)
        assert isinstance(await probe(zuora, CUSTOMER, account()), Applied)

    async def test_the_same_key_while_the_first_runs_is_not_an_answer(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        await served.fault("status", status=409, path="^/v1/accounts$")
        assert isinstance(await send(zuora, CUSTOMER, account()), OutcomeUnknown)

    async def test_a_key_used_for_another_document_is_refused(self, zuora: ZuoraConnector) -> None:
        await send(zuora, CUSTOMER, account(), key="one")
        outcome = await send(zuora, CUSTOMER, account("salesforce-B"), key="one")
        assert isinstance(outcome, RejectedByVendor)
        assert "key was used" in str(outcome)

    async def test_whatever_is_lost_every_order_stands_once(self, zuora: ZuoraConnector, served: Served) -> None:
        """Thirty orders side by side through every kind of trouble, as the engine would carry them."""
        await opened(zuora)
        await served.fault("drop_request", path="^/v1/orders", times=9, skip=1)
        await served.fault("drop_response", method="POST", path="^/v1/orders$", times=9, skip=4)
        await served.fault("cut_response", path="^/v1/orders", times=5, skip=2)
        await served.fault("locked", times=5)
        for status in (429, 500, 502, 503):
            await served.fault("status", status=status, path="^/v1/orders", times=4, skip=6)

        async def carried(native: str) -> None:
            wire, unknown, external_id = order(native), False, ""
            for _ in range(40):
                ask = probe if unknown else send
                outcome = await ask(zuora, ORDER, wire, external_id=external_id)
                if isinstance(outcome, Applied):
                    return
                if isinstance(outcome, Absent):
                    unknown, external_id = False, outcome.external_id
                    continue
                assert isinstance(outcome, (OutcomeUnknown, TransientError)), outcome
                unknown = unknown or isinstance(outcome, OutcomeUnknown)
            raise AssertionError(native)

        natives = [f"006Aa00000{n:04d}AAA" for n in range(30)]
        await asyncio.gather(*(carried(native) for native in natives))
        assert sorted(o["orderNumber"] for o in served.standing("orders")) == [f"O-{native}" for native in natives]
        assert len(served.standing("subscriptions")) == 30


class TestTroubles:
    async def test_a_lock_is_no_case_and_passes(self, zuora: ZuoraConnector, served: Served) -> None:
        """Zuora repeats the first answer to a key for 24 hours, "locked" too: the next attempt needs its own key."""
        await served.fault("locked", times=2)
        for _ in range(2):
            outcome = await send(zuora, CUSTOMER, account())
            assert type(outcome) is TransientError
            assert "lock competition" in str(outcome)
        assert isinstance(await send(zuora, CUSTOMER, account()), Applied)

    async def test_after_a_restart_a_remembered_lock_passes_too(self, served: Served) -> None:
        """The count of attempts is lost with the process; one repeated answer later the key is a new one."""
        await served.fault("locked")
        first, second = served.connect(), served.connect()
        assert type(await send(first, CUSTOMER, account())) is TransientError
        assert type(await send(second, CUSTOMER, account())) is TransientError
        assert isinstance(await send(second, CUSTOMER, account()), Applied)
        await first.close()
        await second.close()

    async def test_throttling_says_how_long_to_wait(self, zuora: ZuoraConnector, served: Served) -> None:
        await served.fault("status", status=429, path="^/v1/accounts$")
        outcome = await send(zuora, CUSTOMER, account())
        assert isinstance(outcome, RateLimited)
        assert outcome.retry_after_s == 2
        assert isinstance(await send(zuora, CUSTOMER, account()), Applied)

    async def test_a_system_that_is_down_has_done_nothing(self, zuora: ZuoraConnector, served: Served) -> None:
        await zuora.check()
        await served.fault("status", status=503, path="^/v1/accounts$")
        assert isinstance(await send(zuora, CUSTOMER, account()), VendorUnavailable)

    async def test_an_error_inside_leaves_a_write_open_and_a_read_not(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        await served.fault("status", status=500, method="POST", path="^/v1/accounts$")
        assert isinstance(await send(zuora, CUSTOMER, account()), OutcomeUnknown)
        await served.fault("status", status=500, method="GET", path="^/v1/accounts")
        found = await probe(zuora, CUSTOMER, account())
        assert isinstance(found, VendorUnavailable)

    async def test_an_outage_is_unavailable_when_the_token_cannot_be_had(self, served: Served) -> None:
        zuora = served.connect()
        await served.fault("outage")
        assert isinstance(await send(zuora, CUSTOMER, account()), VendorUnavailable)
        await zuora.close()

    async def test_an_expired_token_is_renewed_unseen(self, zuora: ZuoraConnector, served: Served) -> None:
        await zuora.check()
        await served.fault("expire_tokens")
        assert isinstance(await send(zuora, CUSTOMER, account()), Applied)

    async def test_wrong_credentials_are_told_without_the_secret(self, served: Served) -> None:
        zuora = served.connect(client_secret="not-the-secret")
        outcome = await send(zuora, CUSTOMER, account())
        assert isinstance(outcome, AuthorizationFailed)
        assert "not-the-secret" not in str(outcome)
        await zuora.close()

    async def test_missing_rights_are_a_matter_for_a_person(self, zuora: ZuoraConnector, served: Served) -> None:
        await served.fault("status", status=403, path="^/v1/accounts$")
        assert isinstance(await send(zuora, CUSTOMER, account()), AuthorizationFailed)

    async def test_a_draft_under_our_number_is_not_taken_for_the_order(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        await opened(zuora)
        served.sandbox.seed("orders", [{**order(), "status": "Draft"}])
        found = await probe(zuora, ORDER, order())
        assert isinstance(found, RejectedByVendor)
        assert "Draft" in str(found)

    async def test_what_zuora_cannot_do_is_a_fault_of_the_project(self, zuora: ZuoraConnector) -> None:
        unknown = Operation(kind="order", safety=Safety.NATIVE_KEY)
        with pytest.raises(ConfigurationError):
            await zuora.send(unknown, [])


class TestHeaders:
    async def test_calls_carry_key_and_track_id(self, served: Served) -> None:
        """PUT and GET take no idempotency key; the track id is plain ASCII of at most 64 characters."""
        zuora = served.connect(entity_ids="e1", version="341.0")
        await served.control("record", {"bodies": True})
        number = "salesforce-" + "x" * 50 + ":ü"
        await send(zuora, CUSTOMER, account(number), key="k" * 300)
        await send(zuora, CUSTOMER, account(number, name="New"), external_id=number)
        requests = await served.requests()
        post = next(r for r in requests if r["method"] == "POST" and r["path"] == "/v1/accounts")
        put = next(r for r in requests if r["method"] == "PUT")
        headers = post["request_headers"]
        assert len(headers["idempotency-key"]) < 255
        assert headers["zuora-track-id"] == ("salesforce-" + "x" * 50 + "--")[:64]
        assert (headers["zuora-entity-ids"], headers["zuora-version"]) == ("e1", "341.0")
        assert "idempotency-key" not in put["request_headers"]
        await zuora.close()
