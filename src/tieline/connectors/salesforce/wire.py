"""Salesforce's shapes, in Salesforce's spelling. Source: Object Reference; custom fields end in `__c`.

Ids are 18 characters; currency, percent and double fields are decimals; a date is "YYYY-MM-DD", a time
"2026-01-01T10:00:00.000+0000" in whole seconds. Null stands where an org has no value.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypedDict


class ErrorItem(TypedDict, total=False):
    """A refusal: REST bodies say `errorCode`, save results say `statusCode`."""

    errorCode: str
    statusCode: str
    message: str
    fields: list[str]


class SaveResult(TypedDict, total=False):
    """One row of the answer to a collection call, in the order of the records sent."""

    id: str
    success: bool
    errors: list[ErrorItem]


class QueryResult(TypedDict, total=False):
    """A page of a query; the records of a child relationship come in the same shape."""

    totalSize: int
    done: bool
    nextRecordsUrl: str
    records: list[dict[str, Any]]


class Account(TypedDict, total=False):
    """A company."""

    Id: str
    Name: str
    ParentId: str | None
    BillingStreet: str | None
    BillingCity: str | None
    BillingState: str | None
    BillingPostalCode: str | None
    BillingCountry: str | None
    BillingCountryCode: str | None
    Phone: str | None
    Website: str | None
    CurrencyIsoCode: str
    Tax_Number__c: str | None
    Billing_Email__c: str | None
    SystemModstamp: str


class Contact(TypedDict, total=False):
    """A person at an account."""

    Id: str
    AccountId: str | None
    FirstName: str | None
    LastName: str
    Email: str | None
    Phone: str | None
    SystemModstamp: str


class ProductName(TypedDict, total=False):
    """What a line shows of its product."""

    ProductCode: str | None
    Name: str | None


class OpportunityLineItem(TypedDict, total=False):
    """A line of a deal. `Discount` is percent; `TotalPrice` is for all of the line's dates; both dates inclusive."""

    Id: str
    OpportunityId: str
    Product2Id: str
    Product2: ProductName | None
    Quantity: Decimal
    ListPrice: Decimal | None
    UnitPrice: Decimal
    Discount: Decimal | None
    TotalPrice: Decimal
    ServiceDate: str | None
    Service_End__c: str | None
    SortOrder: int | None
    Description: str | None
    Charge_Type__c: str | None
    Unit_Of_Measure__c: str | None
    Usage_Tiers__c: str | None


class LineItems(TypedDict, total=False):
    """The lines of a deal, all of them: the client follows the child's own pages."""

    totalSize: int
    done: bool
    records: list[OpportunityLineItem]


class Opportunity(TypedDict, total=False):
    """A deal as read, and the status fields that are written back to it."""

    Id: str
    Name: str
    AccountId: str | None
    StageName: str
    IsWon: bool
    IsClosed: bool
    CloseDate: str
    Amount: Decimal | None
    CurrencyIsoCode: str
    SystemModstamp: str
    Legal_Entity__c: str | None
    Contract_Start__c: str | None
    Term_Months__c: Decimal | int | None
    Billing_Period__c: str | None
    Payment_Terms__c: str | None
    Auto_Renew__c: bool | None
    Tieline_Status__c: str | None
    Tieline_Detail__c: str | None
    Billing_Account__c: str | None
    Subscription__c: str | None
    ERP_Order__c: str | None
    Project__c: str | None
    Invoiced__c: Decimal | None
    Paid__c: Decimal | None
    OpportunityLineItems: LineItems | None


SCHEMAS: dict[str, Any] = {
    "salesforce.account": Account,
    "salesforce.contact": Contact,
    "salesforce.opportunity": Opportunity,
}
"""The names mapping tables use."""

ACCOUNT_FIELDS = tuple(Account.__annotations__)
CONTACT_FIELDS = tuple(Contact.__annotations__)
OPPORTUNITY_FIELDS = tuple(name for name in Opportunity.__annotations__ if name != "OpportunityLineItems")
LINE_FIELDS = (
    *(name for name in OpportunityLineItem.__annotations__ if name != "Product2"),
    *(f"Product2.{name}" for name in ProductName.__annotations__),
)
"""What is asked for, field by field: SOQL has no `*`."""
