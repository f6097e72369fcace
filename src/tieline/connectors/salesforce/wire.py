"""Salesforce's shapes, in Salesforce's spelling. Source: Object Reference; custom fields end in `__c`.

Ids are 18 characters; currency, percent and double fields are decimals; a date is "YYYY-MM-DD", a time
"2026-01-01T10:00:00.000+0000" in whole seconds. Null stands where an org has no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict


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


class OwnerName(TypedDict, total=False):
    """What a deal shows of the user who owns it."""

    Name: str | None
    Email: str | None


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
    OwnerId: str
    Owner: OwnerName | None
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


class Product(TypedDict, total=False):
    """What is sold."""

    Id: str
    Name: str
    ProductCode: str | None
    Description: str | None
    Family: str | None
    IsActive: bool
    QuantityUnitOfMeasure: str | None
    StockKeepingUnit: str | None
    SystemModstamp: str


class Price(TypedDict, total=False):
    """What a product costs in one price book and currency."""

    Id: str
    Pricebook2Id: str
    Product2Id: str
    Product2: ProductName | None
    UnitPrice: Decimal
    CurrencyIsoCode: str
    IsActive: bool
    SystemModstamp: str


class QuoteLineItem(TypedDict, total=False):
    """A line of a quote, priced as that of a deal."""

    Id: str
    QuoteId: str
    Product2Id: str
    Product2: ProductName | None
    Quantity: Decimal
    ListPrice: Decimal | None
    UnitPrice: Decimal
    Discount: Decimal | None
    TotalPrice: Decimal
    ServiceDate: str | None
    SortOrder: int | None
    Description: str | None


class QuoteLines(TypedDict, total=False):
    totalSize: int
    done: bool
    records: list[QuoteLineItem]


class Quote(TypedDict, total=False):
    """An offer for a deal. `GrandTotal` is TotalPrice with tax and shipping."""

    Id: str
    Name: str
    QuoteNumber: str
    OpportunityId: str
    AccountId: str | None
    ContactId: str | None
    Status: str | None
    ExpirationDate: str | None
    CurrencyIsoCode: str
    Subtotal: Decimal | None
    TotalPrice: Decimal | None
    Tax: Decimal | None
    ShippingHandling: Decimal | None
    GrandTotal: Decimal | None
    IsSyncing: bool
    SystemModstamp: str
    QuoteLineItems: QuoteLines | None


class ContractRecord(TypedDict, total=False):
    """A signed agreement with an account; `ContractTerm` is in months, `EndDate` the last day."""

    Id: str
    ContractNumber: str
    AccountId: str
    Status: str
    StatusCode: str
    StartDate: str | None
    EndDate: str | None
    ContractTerm: int | None
    CustomerSignedDate: str | None
    CurrencyIsoCode: str
    SystemModstamp: str


class OrderItem(TypedDict, total=False):
    """A line of an order; `TotalPrice` is without tax."""

    Id: str
    OrderId: str
    OrderItemNumber: str
    Product2Id: str
    Product2: ProductName | None
    Quantity: Decimal
    ListPrice: Decimal | None
    UnitPrice: Decimal
    TotalPrice: Decimal
    ServiceDate: str | None
    EndDate: str | None
    Description: str | None


class OrderLines(TypedDict, total=False):
    totalSize: int
    done: bool
    records: list[OrderItem]


class Order(TypedDict, total=False):
    """What an account ordered; it counts once its status is Activated."""

    Id: str
    OrderNumber: str
    AccountId: str | None
    ContractId: str | None
    EffectiveDate: str
    EndDate: str | None
    Status: str
    StatusCode: str
    Type: str | None
    CurrencyIsoCode: str
    TotalAmount: Decimal
    ActivatedDate: str | None
    SystemModstamp: str
    OrderItems: OrderLines | None


class Shape(NamedTuple):
    """How one kind is read: its object, its record, and where it has lines, their relationship, type and order."""

    sobject: str
    record: Any
    lines: str = ""
    line: Any = None
    order: str = ""

    def fields(self) -> list[str]:
        """What is asked for, field by field: SOQL has no `*`."""
        own = _asked([name for name in self.record.__annotations__ if name != self.lines])
        if not self.lines:
            return own
        return [
            *own,
            f"(SELECT {', '.join(_asked(self.line.__annotations__))} FROM {self.lines} ORDER BY {self.order})",
        ]


SHAPES: dict[str, Shape] = {
    "opportunity": Shape(
        "Opportunity", Opportunity, "OpportunityLineItems", OpportunityLineItem, order="SortOrder, Id"
    ),
    "account": Shape("Account", Account),
    "contact": Shape("Contact", Contact),
    "product": Shape("Product2", Product),
    "price": Shape("PricebookEntry", Price),
    "quote": Shape("Quote", Quote, "QuoteLineItems", QuoteLineItem, order="SortOrder, Id"),
    "contract": Shape("Contract", ContractRecord),
    "order": Shape("Order", Order, "OrderItems", OrderItem, order="OrderItemNumber"),
}
"""The kinds that are read."""

SCHEMAS: dict[str, Any] = {f"salesforce.{kind}": shape.record for kind, shape in SHAPES.items()}
"""The names mapping tables use."""


_SHOWN: dict[str, Any] = {"Product2": ProductName, "Owner": OwnerName}
"""What is read of a record that a field refers to."""


def _asked(names: Iterable[str]) -> list[str]:
    """Fields as a query names them: of a record that is referred to, what is shown of it."""
    return [field for name in names for field in _parts(name)]


def _parts(name: str) -> list[str]:
    return [f"{name}.{part}" for part in _SHOWN[name].__annotations__] if name in _SHOWN else [name]
