"""What we write to NetSuite, in its spelling (record v1, 2026.1). Mapping tables are checked against these shapes.

Amounts are numbers in major units, dates `YYYY-MM-DD`. A reference is written by `id`, or by the `refName` people know
(the client looks its id up). Fields beginning with `custbody`, `custcol` and `custentity` are custom fields which the
account must have; the connector asks NetSuite to refuse unknown ones, never to drop them.
Source: REST API browser 2026.1, records customer, contact, salesOrder, invoice, creditMemo,
customerPayment, customerDeposit, journalEntry; `job` after Oracle's record reference.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Required, TypedDict


class Reference(TypedDict, total=False):
    """A select field. One of the three is enough."""

    id: str
    externalId: str
    refName: str


class AddressBookAddress(TypedDict, total=False):
    """A postal address; `country` is a list value whose id is the ISO 3166 alpha 2 code."""

    addressee: str
    addr1: str
    addr2: str
    city: str
    state: str
    zip: str
    country: Reference


class AddressBookLine(TypedDict, total=False):
    """`id` names the line to change; without it a line is added."""

    id: int
    label: str
    defaultBilling: bool
    defaultShipping: bool
    addressBookAddress: AddressBookAddress


class AddressBook(TypedDict):
    items: list[AddressBookLine]


class Customer(TypedDict, total=False):
    companyName: Required[str]
    entityId: str
    externalId: str
    isPerson: bool
    isInactive: bool
    subsidiary: Reference
    currency: Reference
    parent: Reference
    terms: Reference
    email: str
    phone: str
    url: str
    vatRegNumber: str
    comments: str
    addressBook: AddressBook
    custentity_tieline_source: str


class ItemLine(TypedDict, total=False):
    """`amount` is the truth, `rate` informative: NetSuite keeps fewer digits of it than an exact division has."""

    item: Required[Reference]
    quantity: Decimal
    rate: Decimal
    amount: Required[Decimal]
    description: str
    billingSchedule: Reference
    taxCode: Reference
    department: Reference
    location: Reference
    custcol_crm_line: str
    custcol_zuora_charge: str
    custcol_rev_start: str
    custcol_rev_end: str


class ItemLines(TypedDict):
    items: list[ItemLine]


class ApplyLine(TypedDict, total=False):
    """`doc` is the invoice that is settled."""

    doc: Required[Reference]
    apply: Required[bool]
    amount: Required[Decimal]


class ApplyLines(TypedDict):
    items: list[ApplyLine]


class _Transaction(TypedDict, total=False):
    externalId: str
    tranId: str
    subsidiary: Reference
    currency: Reference
    tranDate: Required[str]
    postingPeriod: Reference
    exchangeRate: Decimal
    memo: str
    department: Reference
    location: Reference
    custbody_crm_opportunity: str


class _Sale(_Transaction, total=False):
    entity: Required[Reference]
    otherRefNum: str
    terms: Reference
    taxTotal: Decimal
    item: Required[ItemLines]


class SalesOrder(_Sale, total=False):
    startDate: str
    endDate: str
    orderStatus: Reference
    custbody_zuora_subscription: str


class Invoice(_Sale, total=False):
    dueDate: str


class CreditMemo(_Sale, total=False):
    apply: ApplyLines


class CustomerPayment(_Transaction, total=False):
    customer: Required[Reference]
    payment: Required[Decimal]
    checkNum: str
    apply: ApplyLines


class CustomerDeposit(_Transaction, total=False):
    customer: Required[Reference]
    payment: Required[Decimal]
    salesOrder: Reference


class JournalLine(TypedDict, total=False):
    """Either `debit` or `credit`."""

    account: Required[Reference]
    debit: Decimal
    credit: Decimal
    memo: str
    entity: Reference


class JournalLines(TypedDict):
    items: list[JournalLine]


class JournalEntry(_Transaction, total=False):
    line: Required[JournalLines]


class Contact(TypedDict, total=False):
    firstName: str
    lastName: Required[str]
    email: str
    phone: str
    company: Required[Reference]


class Job(TypedDict, total=False):
    """A project. `parent` is the customer it is done for."""

    companyName: Required[str]
    parent: Required[Reference]
    currency: Reference
    startDate: str
    projectedEndDate: str
    estimatedRevenue: Decimal
    comments: str


class Withdrawal(TypedDict):
    """No record: it names the sales order that is to be deleted."""

    externalId: str


SCHEMAS: dict[str, Any] = {
    "netsuite.customer": Customer,
    "netsuite.salesOrder": SalesOrder,
    "netsuite.invoice": Invoice,
    "netsuite.creditMemo": CreditMemo,
    "netsuite.customerPayment": CustomerPayment,
    "netsuite.customerDeposit": CustomerDeposit,
    "netsuite.journalEntry": JournalEntry,
    "netsuite.contact": Contact,
    "netsuite.job": Job,
    "netsuite.withdrawal": Withdrawal,
}
