"""The fields that records share, of what kind each is, and what a select field may point to.

Names are those of the REST API (record.v1). A field that a record computes is read-only: what is written to it is
dropped, as NetSuite does. Source: the published contract (SuiteTalk REST record v1, 2026.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field

ITEM_TYPES = {
    "serviceSaleItem": "Service",
    "nonInventorySaleItem": "NonInvtPart",
    "otherChargeItem": "OthCharge",
    "inventoryItem": "InvtPart",
    "assemblyItem": "Assembly",
    "kitItem": "Kit",
    "discountItem": "Discount",
}
"""Item record → what SuiteQL and lines call its type."""
ITEM_KINDS = tuple(ITEM_TYPES)
SHIPPED_KINDS = frozenset({"inventoryItem", "assemblyItem", "kitItem"})
"""Items that are billed when they have left the house; others when the order stands, unless `isFulfillable`."""
ENTITY_KINDS = ("customer", "contact", "job")
TRANSACTION_KINDS = (
    "salesOrder",
    "invoice",
    "creditMemo",
    "customerPayment",
    "customerDeposit",
    "depositApplication",
    "customerRefund",
    "itemFulfillment",
    "journalEntry",
)
CREDIT_KINDS = ("creditMemo", "customerPayment", "customerDeposit")
"""What holds money of the customer's that a refund may give back."""


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: text, number, money, integer, boolean, date, datetime, ref, object. No `targets`: any reference."""

    kind: str
    targets: tuple[str, ...] = ()
    read_only: bool = False
    max_length: int = 4000


@dataclass(frozen=True, slots=True)
class Sublist:
    """`key`: the field that identifies a line; lines of an update are matched by it, others are appended."""

    fields: dict[str, Field]
    key: str


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """One record type. `name_field` holds what a reference to the record shows as refName."""

    kind: str
    family: str
    name_field: str
    custom_prefix: str
    fields: dict[str, Field]
    sublists: dict[str, Sublist] = field(default_factory=dict)


def of(kind: str, names: str, *, read_only: bool = False) -> dict[str, Field]:
    return {name: Field(kind, read_only=read_only) for name in names.split()}


def ref(*targets: str) -> Field:
    return Field("ref", targets)


BASE = {
    "id": Field("text", read_only=True),
    "externalId": Field("text", max_length=255),
    "refName": Field("text", read_only=True),
    "links": Field("object", read_only=True),
    "isInactive": Field("boolean"),
    "customForm": Field("ref"),
    "lastModifiedDate": Field("datetime", read_only=True),
}

SEGMENTS = {"class": ref("classification"), "department": ref("department"), "location": ref("location")}

CUSTOMER = (
    BASE
    | of("text", "entityId altName accountNumber altEmail altPhone comments companyName defaultAddress email fax")
    | of("text", "firstName homePhone lastName middleName mobilePhone phone printOnCheckAs resaleNumber salutation")
    | of("text", "title url vatRegNumber")
    | of(
        "boolean",
        "autoName emailTransactions faxTransactions isPerson printTransactions shipComplete taxable taxExempt",
    )
    | of("money", "creditLimit openingBalance")
    | of("money", "balance overdueBalance unbilledOrders depositBalance", read_only=True)
    | of("date", "startDate endDate")
    | of("datetime", "dateCreated", read_only=True)
    | {
        name: Field("ref")
        for name in [
            "category",
            "emailPreference",
            "entityStatus",
            "language",
            "leadSource",
            "partner",
            "priceLevel",
            "salesRep",
        ]
    }
    | {
        "subsidiary": ref("subsidiary"),
        "currency": ref("currency"),
        "terms": ref("term"),
        "parent": ref("customer"),
        "receivablesAccount": ref("account"),
        "billingSchedule": ref("billingSchedule"),
    }
)

ADDRESS_BOOK = Sublist(
    of("text", "addressId label")
    | of("integer", "id internalId")
    | of("boolean", "defaultBilling defaultShipping isResidential")
    | {"addressBookAddress": Field("object")},
    "id",
)

CONTACT = (
    BASE
    | of("text", "entityId altEmail assistantPhone comments defaultAddress email fax firstName homePhone lastName")
    | of("text", "middleName mobilePhone officePhone phone salutation title")
    | of("boolean", "isPrivate")
    | of("datetime", "dateCreated", read_only=True)
    | {"company": ref("customer"), "subsidiary": ref("subsidiary"), "contactRole": Field("ref")}
)

JOB = (
    BASE
    | of("text", "entityId companyName comments email phone")
    | of("date", "startDate endDate projectedEndDate")
    | of("money", "estimatedCost estimatedRevenue")
    | of("datetime", "dateCreated", read_only=True)
    | {"parent": ref("customer"), "subsidiary": ref("subsidiary"), "currency": ref("currency")}
    | {name: Field("ref") for name in ("entityStatus", "jobType", "projectManager")}
)

TRANSACTION = (
    BASE
    | SEGMENTS
    | of("text", "tranId memo otherRefNum email message billAddress shipAddress source")
    | of("text", "currencyName currencysymbol statusRef", read_only=True)
    | of("date", "tranDate startDate endDate")
    | of("number", "exchangeRate")
    | of("boolean", "toBeEmailed toBePrinted toBeFaxed")
    | of("datetime", "createdDate", read_only=True)
    | {"status": Field("ref", read_only=True), "createdFrom": Field("ref", TRANSACTION_KINDS, read_only=True)}
    | {
        "entity": ref("customer", "job"),
        "subsidiary": ref("subsidiary"),
        "currency": ref("currency"),
        "postingPeriod": ref("accountingPeriod"),
        "account": ref("account"),
    }
)

SALE = (
    TRANSACTION
    | of("money", "total subTotal", read_only=True)
    | of("money", "discountTotal", read_only=True)
    | of("money", "taxTotal")
    | {"terms": ref("term"), "job": ref("job"), "salesRep": Field("ref"), "billingSchedule": ref("billingSchedule")}
)

ITEM_LINE = (
    SEGMENTS
    | of("text", "description itemType lineUniqueKey")
    | of("number", "quantity rate")
    | of("number", "taxRate1 quantityBilled quantityFulfilled", read_only=True)
    | of("money", "amount costEstimate")
    | of("money", "grossAmt tax1Amt", read_only=True)
    | of("integer", "line orderLine lineNumber")
    | of("boolean", "isClosed isTaxable printItems")
    | of("date", "revRecStartDate revRecEndDate expectedShipDate requestedDate")
    | {
        "item": ref(*ITEM_KINDS),
        "billingSchedule": ref("billingSchedule"),
        "price": Field("ref"),
        "taxCode": ref("salesTaxItem"),
        "units": Field("ref"),
        "orderDoc": ref("salesOrder"),
    }
)

APPLY_LINE = (
    of("money", "amount")
    | of("boolean", "apply")
    | of("integer", "line")
    | of("money", "due total", read_only=True)
    | of("text", "refNum createdFrom type", read_only=True)
    | of("date", "applyDate dueDate", read_only=True)
    | {"doc": ref("invoice"), "currency": Field("ref", read_only=True)}
)

ITEMS = Sublist(ITEM_LINE, "line")
APPLY = Sublist(APPLY_LINE, "doc")

JOURNAL_LINES = Sublist(
    SEGMENTS
    | of("money", "debit credit")
    | of("text", "memo")
    | of("integer", "line")
    | of("boolean", "eliminate")
    | of("date", "startDate endDate")
    | {"account": ref("account"), "entity": ref("customer", "job")},
    "line",
)

LIST = BASE | of("text", "name description")

REFUND_LINES = Sublist(
    of("money", "amount")
    | of("boolean", "apply")
    | of("integer", "line")
    | of("money", "due total", read_only=True)
    | of("text", "refNum type", read_only=True)
    | {"doc": ref(*CREDIT_KINDS)},
    "doc",
)

SHIPPED_LINES = Sublist(
    of("text", "description itemType")
    | of("number", "quantity")
    | of("integer", "line orderLine")
    | {"item": ref(*ITEM_KINDS), "location": ref("location")},
    "line",
)
