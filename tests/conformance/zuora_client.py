"""zuora-sdk against the Zuora sandbox: accounts, orders, invoices, credit memos, payments, usage and object query.

The SDK names every field it reads, so a field that is misspelled or elsewhere comes out as None; types are not its
concern (its models switch their validation off), they are checked against the contract. A refusal in a 200 answer
(`success: false`) is not an exception to this client either: the check reads it as the vendor says.
"""

from __future__ import annotations

import json
import sys
import time
import types
from decimal import Decimal
from typing import Any

import zuora_sdk
from tests.conformance.checks import Sandbox, Suite, raised
from zuora_sdk.exceptions import ApiException, BadRequestException, ServiceException, UnauthorizedException
from zuora_sdk.zuora_client import ZuoraClient

CLIENT_ID, SECRET = "00000000-0000-0000-0000-00000tieline", "sandbox-secret"
START = "2026-01-15"
suite = Suite("zuora", "zuora-sdk")


def plan(code: str, kind: str, **charge: Any) -> dict[str, Any]:
    """A product with one rate plan of one charge, in the short shape of the control API."""
    named = {"name": code, "productRatePlanChargeNumber": f"PRPC-{code}", "type": kind, **charge}
    return {
        "name": code,
        "sku": code,
        "ratePlans": [{"name": code, "productRatePlanNumber": f"PRP-{code}", "charges": [named]}],
    }


PRODUCTS = [
    plan("SEATS", "Recurring", model="PerUnit", billingPeriod="Month", uom="Seat", price=10),
    plan("SETUP", "OneTime", model="FlatFee", price=0),
    plan(
        "CALLS",
        "Usage",
        model="Tiered",
        billingPeriod="Month",
        uom="API calls",
        tiers=[{"startingUnit": 0, "price": 0}],
    ),
]


class Tenant:
    """A signed-in client, the control API, and one deal that most checks look at."""

    def __init__(self, url: str) -> None:
        self.sandbox = Sandbox(url)
        self.sandbox.reset(products=PRODUCTS)
        self.client = client_of(url, SECRET)
        self.client.initialize()
        self.invoice_number = ""

    def charge_id(self, code: str) -> str:
        """The id of a catalogue charge: the SDK's order model names charges by id."""
        charges = self.sandbox.ask("documents/product-rate-plan-charges")["product-rate-plan-charges"]
        return str(next(c["id"] for c in charges if c["productRatePlanChargeNumber"] == f"PRPC-{code}"))

    def invoice(self) -> Any:
        return self.client.invoices_api().get_invoice(self.invoice_number)

    def raw(self, path: str) -> Any:
        """A GET with the client's session and headers, past its models."""
        answer = self.client.api_client.call_api("GET", self.sandbox.url + path, self.client.get_default_headers())
        return json.loads(answer.read())


def client_of(url: str, secret: str) -> Any:
    client = ZuoraClient(client_id=CLIENT_ID, client_secret=secret, env=types.SimpleNamespace(value=url))
    client.set_retry_config(1, 1)
    return client


def account(number: str, **changes: Any) -> Any:
    contact = {"first_name": "Ada", "last_name": "Byron", "country": "Germany", "city": "Berlin", "zip_code": "10115"}
    given = {
        "account_number": number,
        "name": f"Company {number}",
        "currency": "EUR",
        "bill_cycle_day": 1,
        "payment_term": "Net 30",
        "auto_pay": False,
        "bill_to_contact": zuora_sdk.CreateAccountContact(**contact),
    }
    return zuora_sdk.CreateAccountRequest(**{**given, **changes})


def rate_plan(tenant: Tenant, code: str, charge: str, pricing: dict[str, Any]) -> dict[str, Any]:
    override = {
        "productRatePlanChargeId": tenant.charge_id(code),
        "productRatePlanChargeNumber": f"PRPC-{code}",
        "chargeNumber": charge,
        "pricing": pricing,
        "startDate": {"triggerEvent": "SpecificDate", "specificTriggerDate": START},
    }
    return {"productRatePlanNumber": f"PRP-{code}", "chargeOverrides": [override]}


def order(tenant: Tenant, number: str, owner: str) -> Any:
    """A year of five seats at 10 a month, a set-up of 99, and metered calls."""
    tiers = [
        {"tier": 1, "startingUnit": 0, "endingUnit": 10000, "price": 0, "priceFormat": "PerUnit"},
        {"tier": 2, "startingUnit": 10001, "price": 0.02, "priceFormat": "PerUnit"},
    ]
    plans = [
        rate_plan(tenant, "SEATS", f"C-{number}-1", {"recurringPerUnit": {"listPrice": 10, "quantity": 5}}),
        rate_plan(tenant, "SETUP", f"C-{number}-2", {"oneTimeFlatFee": {"listPrice": 99}}),
        rate_plan(tenant, "CALLS", f"C-{number}-3", {"usageTiered": {"tiers": tiers, "uom": "API calls"}}),
    ]
    initial = {"termType": "TERMED", "period": 12, "periodType": "Month", "startDate": START}
    creation = {
        "subscriptionNumber": f"S-{number}",
        "terms": {"initialTerm": initial, "renewalTerms": [{"period": 12, "periodType": "Month"}], "autoRenew": False},
        "subscribeToRatePlans": plans,
    }
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    action = {
        "type": "CreateSubscription",
        "triggerDates": [{"name": name, "triggerDate": START} for name in names],
        "createSubscription": creation,
    }
    content = {
        "orderNumber": f"O-{number}",
        "orderDate": "2026-01-10",
        "existingAccountNumber": owner,
        "subscriptions": [{"orderActions": [action]}],
    }
    return zuora_sdk.CreateOrderRequest.from_dict(content)


@suite.check
def signs_in_with_client_credentials(tenant: Tenant) -> None:
    assert not tenant.client.is_token_expired()
    assert tenant.client.get_token_info()["access_token"]


@suite.check
def raises_on_a_wrong_secret(tenant: Tenant) -> None:
    stranger = client_of(tenant.sandbox.url, "wrong")
    sign_in = {"client_id": CLIENT_ID, "client_secret": "wrong", "grant_type": "client_credentials"}
    error = raised(ApiException, lambda: stranger.o_auth_api().create_token(**sign_in))
    assert error.status in (400, 401), error


@suite.check
def creates_and_reads_an_account(tenant: Tenant) -> None:
    """With a number of our own; the answer has the id."""
    api = tenant.client.accounts_api()
    made = api.create_account(account("A-1", crm_id="001Aa0000000001AAA"))
    assert (made.success, made.account_number) == (True, "A-1"), made
    read = api.get_account("A-1")
    assert read.basic_info.id == made.account_id
    assert (read.basic_info.crm_id, read.billing_and_payment.currency) == ("001Aa0000000001AAA", "EUR"), read


@suite.check
def updates_an_account(tenant: Tenant) -> None:
    api = tenant.client.accounts_api()
    answer = api.update_account("A-1", zuora_sdk.UpdateAccountRequest(payment_term="Net 15", notes="Called back."))
    assert answer.success, answer
    read = api.get_account("A-1")
    assert (read.billing_and_payment.payment_term, read.basic_info.notes) == ("Net 15", "Called back."), read


@suite.check
def refuses_an_account_number_twice_in_a_200_answer(tenant: Tenant) -> None:
    answer = tenant.client.accounts_api().create_account(account("A-1"))
    reasons = answer.additional_properties.get("reasons") or answer.reasons
    assert (answer.success, bool(reasons)) == (False, True), answer


@suite.check
def answers_a_repeat_with_the_same_idempotency_key(tenant: Tenant) -> None:
    """The second call makes no second account; another body under the same key is refused with an exception."""
    api = tenant.client.accounts_api()
    first = api.create_account(account("A-2"), idempotency_key="key-1")
    again = api.create_account(account("A-2"), idempotency_key="key-1")
    assert (again.success, again.account_id) == (True, first.account_id), again
    error = raised(ApiException, lambda: api.create_account(account("A-3"), idempotency_key="key-1"))
    assert error.status == 422, error


@suite.check
def raises_on_a_token_that_is_not_good(tenant: Tenant) -> None:
    tenant.client.add_default_header("Authorization", "Bearer none")
    error = raised(UnauthorizedException, lambda: tenant.client.accounts_api().get_account("A-1"))
    tenant.client.refresh_token()
    assert error.status == 401, error


@suite.check
def creates_and_reads_an_order(tenant: Tenant) -> None:
    """One order makes the subscription under the number we chose."""
    api = tenant.client.orders_api()
    made = api.create_order(order(tenant, "1", "A-1"))
    assert (made.success, made.order_number) == (True, "O-1"), made
    read = api.get_order("O-1")
    assert (read.order.existing_account_number, read.order.status) == ("A-1", "Completed"), read
    assert read.order.subscriptions[0].subscription_number == "S-1"


@suite.check
def reads_the_subscription_and_its_charges(tenant: Tenant) -> None:
    read = tenant.client.subscriptions_api().get_subscription_by_key("S-1")
    assert (read.success, read.status, read.account_number) == (True, "Active", "A-1"), read
    charges = {charge.number: charge for rate_plan in read.rate_plans for charge in rate_plan.rate_plan_charges}
    assert set(charges) == {"C-1-1", "C-1-2", "C-1-3"}
    assert (charges["C-1-1"].price, charges["C-1-1"].quantity) == (10, 5)


@suite.check
def lists_orders_page_by_page(tenant: Tenant) -> None:
    """Three orders, two a page, and a next page that is there."""
    api = tenant.client.orders_api()
    for number in ("2", "3"):
        assert api.create_order(order(tenant, number, "A-2")).success
    first = api.get_orders(page=1, page_size=2)
    second = api.get_orders(page=2, page_size=2)
    numbers = {one.order_number for one in [*first.orders, *second.orders]}
    assert (len(first.orders), numbers) == (2, {"O-1", "O-2", "O-3"}), first
    assert first.next_page
    assert not second.next_page


@suite.check
def orders_asynchronously(tenant: Tenant) -> None:
    """The job is asked until it is done; its result says by `jobType` of which kind it is.

    Read raw, then given to the SDK's model: by itself the SDK takes a finished job's result for both of its kinds, and
    refuses it for that.
    """
    api = tenant.client.orders_api()
    request = zuora_sdk.CreateOrderAsyncRequest.from_dict(order(tenant, "4", "A-2").to_dict())
    job = api.create_order_asynchronously(request)
    assert job.job_id, job
    for _ in range(50):
        state = tenant.raw(f"/v1/async-jobs/{job.job_id}")
        if state["status"] == "Completed":
            break
        time.sleep(0.05)
    result = zuora_sdk.GetAsyncCreateOrderJobResponse.from_dict(state["result"])
    assert (result.job_type, result.order_number) == ("AsyncCreateOrder", "O-4"), state


@suite.check
def refuses_an_order_for_nobody_in_a_200_answer(tenant: Tenant) -> None:
    answer = tenant.client.orders_api().create_order(order(tenant, "9", "nobody"))
    assert answer.success is False, answer
    assert answer.reasons[0].message, answer


@suite.check
def reports_usage(tenant: Tenant) -> None:
    request = zuora_sdk.CreateUsageRequest.from_dict(
        {
            "AccountNumber": "A-1",
            "ChargeNumber": "C-1-3",
            "UOM": "API calls",
            "Quantity": 20000,
            "StartDateTime": "2026-01-20T00:00:00Z",
        }
    )
    answer = tenant.client.usage_api().create_usage(request)
    assert answer.success, answer


@suite.check
def runs_billing_and_reads_the_invoice(tenant: Tenant) -> None:
    """A month of five seats and the set-up: 149.00, posted."""
    run = tenant.client.bill_run_api().create_bill_run(
        zuora_sdk.CreateBillRunRequest.from_dict({"targetDate": START, "autoPost": True})
    )
    assert run.success, run
    found = tenant.client.object_queries_api().query_invoices(expand=["account"], page_size=50)
    (mine,) = [one for one in found.data if one.account.account_number == "A-1"]
    tenant.invoice_number = mine.invoice_number
    invoice = tenant.invoice()
    assert (invoice.amount, invoice.balance, invoice.status) == (149, 149, "Posted"), invoice


@suite.check
def reads_invoice_items(tenant: Tenant) -> None:
    read = tenant.client.invoices_api().get_invoice_items(tenant.invoice_number)
    # the published model of an item has its amounts as text
    amounts = {Decimal(item.charge_amount) for item in read.invoice_items}
    assert amounts == {Decimal(50), Decimal(99)}, read


@suite.check
def credits_an_invoice(tenant: Tenant) -> None:
    """A credit memo of 9.00 from an invoice item, posted, then applied."""
    items = tenant.client.invoices_api().get_invoice_items(tenant.invoice_number).invoice_items
    line = {
        "invoiceItemId": next(item.id for item in items if Decimal(item.charge_amount) == 99),
        "amount": 9,
        "skuName": "SETUP",
    }
    request = {"items": [line], "autoPost": True, "autoApplyToInvoiceUponPosting": True, "effectiveDate": START}
    memos = tenant.client.credit_memos_api()
    made = memos.create_credit_memo_from_invoice(
        tenant.invoice_number, zuora_sdk.CreateCreditMemoFromInvoiceRequest.from_dict(request)
    )
    assert (made.success, made.amount, made.status) == (True, 9, "Posted"), made
    read = memos.get_credit_memo(made.number)
    assert (read.applied_amount, read.unapplied_amount) == (9, 0), read
    assert tenant.invoice().balance == 140


@suite.check
def takes_a_payment(tenant: Tenant) -> None:
    """100.00 from outside, applied to the invoice."""
    request = {
        "type": "External",
        "accountNumber": "A-1",
        "amount": 100,
        "currency": "EUR",
        "effectiveDate": START,
        "invoices": [{"invoiceNumber": tenant.invoice_number, "amount": 100}],
    }
    api = tenant.client.payments_api()
    made = api.create_payment(zuora_sdk.CreatePaymentRequest.from_dict(request))
    assert (made.success, made.amount, made.status) == (True, 100, "Processed"), made
    assert api.get_payment(made.number).applied_amount == 100
    assert tenant.invoice().balance == 40


@suite.check
def refuses_to_pay_more_than_is_open(tenant: Tenant) -> None:
    request = {
        "type": "External",
        "accountNumber": "A-1",
        "amount": 500,
        "currency": "EUR",
        "invoices": [{"invoiceNumber": tenant.invoice_number, "amount": 500}],
    }
    answer = tenant.client.payments_api().create_payment(zuora_sdk.CreatePaymentRequest.from_dict(request))
    assert answer.success is False, answer
    assert tenant.invoice().balance == 40


@suite.check
def queries_objects_with_filters_and_related_objects(tenant: Tenant) -> None:
    query = tenant.client.object_queries_api()
    by_number = query.query_accounts(filter=["accountNumber.EQ:A-1"], expand=["billto"])
    assert [one.name for one in by_number.data] == ["Company A-1"], by_number
    subscriptions = query.query_subscriptions(filter=["name.EQ:S-1"], expand=["rateplans"])
    assert len(subscriptions.data[0].rate_plans) == 3, subscriptions
    assert query.query_payments(filter=["status.EQ:Processed"]).data[0].amount == 100
    assert query.query_credit_memos(filter=["status.EQ:Posted"]).data[0].total_amount == 9


@suite.check
def queries_objects_page_by_page(tenant: Tenant) -> None:
    """The cursor of one page asks for the next; four orders, each once."""
    query, cursor, numbers = tenant.client.object_queries_api(), None, []
    while True:
        page = query.query_orderss(page_size=2, cursor=cursor, sort=["orderNumber.ASC"])
        numbers += [one.order_number for one in page.data]
        cursor = page.next_page
        if not cursor:
            break
    assert numbers == ["O-1", "O-2", "O-3", "O-4"], numbers


@suite.check
def raises_on_a_filter_that_makes_no_sense(tenant: Tenant) -> None:
    query = tenant.client.object_queries_api()
    error = raised(BadRequestException, lambda: query.query_accounts(filter=["nonsense"]))
    assert error.status == 400, error


@suite.check
def amends_a_subscription_whole_or_not_at_all(tenant: Tenant) -> None:
    """Dearer seats from July; with a second change that is faulty, neither."""
    api = tenant.client.orders_api()
    pricing = {"recurringPerUnit": {"listPrice": 12}}
    update = {"productRatePlanNumber": "PRP-SEATS", "chargeUpdates": [{"chargeNumber": "C-3-1", "pricing": pricing}]}
    good = {"type": "UpdateProduct", "triggerDates": contract_effective("2026-07-15"), "updateProduct": update}
    wrong = {"type": "RemoveProduct", "removeProduct": {"subscriptionRatePlanNumber": "SRP-none"}}
    refused = api.create_order(amendment("5", good, wrong))
    assert refused.success is False, refused
    assert len(segments(tenant, "C-3-1")) == 1
    made = api.create_order(amendment("5", good))
    assert (made.success, made.subscription_numbers) == (True, ["S-3"]), made
    assert segments(tenant, "C-3-1") == [10, 12]


def amendment(number: str, *actions: dict[str, Any]) -> Any:
    entry = {"subscriptionNumber": "S-3", "orderActions": list(actions)}
    head = {"orderNumber": f"O-{number}", "orderDate": START, "existingAccountNumber": "A-2"}
    return zuora_sdk.CreateOrderRequest.from_dict({**head, "subscriptions": [entry]})


def contract_effective(day: str) -> list[dict[str, str]]:
    return [{"name": "ContractEffective", "triggerDate": day}]


def segments(tenant: Tenant, number: str) -> list[Any]:
    read = tenant.client.subscriptions_api().get_subscription_by_key("S-3")
    return [c.price for p in read.rate_plans for c in p.rate_plan_charges if c.number == number]


@suite.check
def makes_and_changes_a_contact(tenant: Tenant) -> None:
    api = tenant.client.contacts_api()
    person = {"accountNumber": "A-1", "firstName": "Grace", "lastName": "Hopper", "country": "Germany"}
    made = api.create_contact(zuora_sdk.CreateContactRequest.from_dict(person))
    assert made.success, made
    api.update_contact(made.id, zuora_sdk.UpdateContactRequest.from_dict({"city": "Hamburg"}))
    assert api.get_contact(made.id).city == "Hamburg"


@suite.check
def refunds_a_credit_memo_and_no_more_than_it_holds(tenant: Tenant) -> None:
    charge = tenant.charge_id("SETUP")
    line = {"chargeId": charge, "productRatePlanChargeId": charge, "amount": 20}
    request = {"accountNumber": "A-2", "charges": [line], "autoPost": True}
    memos = tenant.client.credit_memos_api()
    memo = memos.create_credit_memo_from_charge(zuora_sdk.CreateCreditMemoFromChargeRequest.from_dict(request))
    assert memo.success, memo

    def refund(amount: int) -> Any:
        body = {"type": "External", "methodType": "Check", "totalAmount": amount}
        return memos.refund_credit_memo(memo.id, zuora_sdk.RefundCreditMemoRequest.from_dict(body))

    assert refund(21).success is False
    made = refund(20)
    assert (made.success, made.amount, made.credit_memo_id) == (True, 20, memo.id), made
    assert memos.get_credit_memo(memo.number).unapplied_amount == 0
    read = tenant.client.refunds_api().get_refund(made.id)
    assert (read.status, read.method_type) == ("Processed", "Check"), read


@suite.check
def bills_by_a_debit_memo_and_takes_its_payment(tenant: Tenant) -> None:
    """30.00 beside any invoice, posted and paid."""
    charge = tenant.charge_id("SETUP")
    line = {"chargeId": charge, "productRatePlanChargeId": charge, "amount": 30}
    memos = tenant.client.debit_memos_api()
    made = memos.create_debit_memo_from_charge(
        zuora_sdk.CreateDebitMemoFromChargeRequest.from_dict({"accountNumber": "A-2", "charges": [line]})
    )
    assert (made.success, made.status, made.amount) == (True, "Draft", 30), made
    assert memos.post_debit_memo(made.number).status == "Posted"
    money = {"type": "External", "accountNumber": "A-2", "amount": 30, "currency": "EUR"}
    steps = {"debitMemos": [{"debitMemoId": made.id, "amount": 30}]}
    paid = tenant.client.payments_api().create_payment(zuora_sdk.CreatePaymentRequest.from_dict({**money, **steps}))
    assert (paid.success, paid.unapplied_amount) == (True, 0), paid
    assert (memos.get_debit_memo(made.number).balance, len(memos.get_debit_memo_items(made.id).items)) == (0, 1)
    (found,) = tenant.client.object_queries_api().query_debit_memos(filter=["memoNumber.EQ:" + made.number]).data
    assert (found.total_amount, found.balance) == (30, 0), found


@suite.check
def writes_off_what_is_open(tenant: Tenant) -> None:
    """The last 40.00 of the invoice."""
    invoices = tenant.client.invoices_api()
    done = invoices.write_off_invoice(
        tenant.invoice_number, zuora_sdk.WriteOffInvoiceRequest.from_dict({"comment": "gone"})
    )
    assert done.success, done
    assert tenant.invoice().balance == 0


@suite.check
def cancels_a_subscription(tenant: Tenant) -> None:
    api = tenant.client.subscriptions_api()
    request = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-02-15"}
    answer = api.cancel_subscription("S-1", zuora_sdk.CancelSubscriptionRequest.from_dict(request))
    assert answer.success, answer
    assert api.get_subscription_by_key("S-1").status == "Cancelled"


@suite.check
def waits_as_long_as_a_429_says_and_asks_again(tenant: Tenant) -> None:
    """The client's transport reads Retry-After; without it the client would raise."""
    tenant.sandbox.order("configure", {"retry_after_s": 1})
    tenant.sandbox.order("faults", {"kind": "status", "status": 429, "times": 1})
    began = time.monotonic()
    assert tenant.client.accounts_api().get_account("A-1").success
    assert time.monotonic() - began >= 1
    (refused, answered) = tenant.sandbox.ask("requests?last=2")["requests"]
    assert (refused["status"], answered["status"]) == (429, 200), refused


@suite.check
def raises_when_the_vendor_is_out_of_order(tenant: Tenant) -> None:
    tenant.sandbox.order("faults", {"kind": "status", "status": 503, "times": 1})
    error = raised(ServiceException, lambda: tenant.client.accounts_api().get_account("A-1"))
    assert error.status == 503, error


if __name__ == "__main__":
    sys.exit(suite.main(Tenant))
