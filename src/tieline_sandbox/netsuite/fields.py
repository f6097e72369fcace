"""Which fields each record has, of what kind, and what a select field may point to.

Names are those of the REST API (record.v1); the families say which records share one sequence of internal ids.
Source: the published contract (SuiteTalk REST record v1, 2026.1); the fields of `term`, items and `job`, which it
leaves open, after Oracle's record reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ITEM_KINDS = ("serviceSaleItem", "nonInventorySaleItem", "otherChargeItem")
ENTITY_KINDS = ("customer", "contact", "job")
TRANSACTION_KINDS = (
    "salesOrder",
    "invoice",
    "creditMemo",
    "customerPayment",
    "customerDeposit",
    "journalEntry",
)


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


def _of(kind: str, names: str, *, read_only: bool = False) -> dict[str, Field]:
    return {name: Field(kind, read_only=read_only) for name in names.split()}


def _ref(*targets: str) -> Field:
    return Field("ref", targets)


_BASE = {
    "id": Field("text", read_only=True),
    "externalId": Field("text", max_length=255),
    "refName": Field("text", read_only=True),
    "links": Field("object", read_only=True),
    "isInactive": Field("boolean"),
    "customForm": Field("ref"),
    "lastModifiedDate": Field("datetime", read_only=True),
}

_SEGMENTS = {"class": _ref("classification"), "department": _ref("department"), "location": _ref("location")}

_CUSTOMER = (
    _BASE
    | _of("text", "entityId altName accountNumber altEmail altPhone comments companyName defaultAddress email fax")
    | _of("text", "firstName homePhone lastName middleName mobilePhone phone printOnCheckAs resaleNumber salutation")
    | _of("text", "title url vatRegNumber")
    | _of(
        "boolean",
        "autoName emailTransactions faxTransactions isPerson printTransactions shipComplete taxable taxExempt",
    )
    | _of("money", "creditLimit openingBalance")
    | _of("money", "balance overdueBalance unbilledOrders depositBalance", read_only=True)
    | _of("date", "startDate endDate")
    | _of("datetime", "dateCreated", read_only=True)
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
        "subsidiary": _ref("subsidiary"),
        "currency": _ref("currency"),
        "terms": _ref("term"),
        "parent": _ref("customer"),
        "receivablesAccount": _ref("account"),
        "billingSchedule": _ref("billingSchedule"),
    }
)

_ADDRESS_BOOK = Sublist(
    _of("text", "addressId label")
    | _of("integer", "id internalId")
    | _of("boolean", "defaultBilling defaultShipping isResidential")
    | {"addressBookAddress": Field("object")},
    "id",
)

_CONTACT = (
    _BASE
    | _of("text", "entityId altEmail assistantPhone comments defaultAddress email fax firstName homePhone lastName")
    | _of("text", "middleName mobilePhone officePhone phone salutation title")
    | _of("boolean", "isPrivate")
    | _of("datetime", "dateCreated", read_only=True)
    | {"company": _ref("customer"), "subsidiary": _ref("subsidiary"), "contactRole": Field("ref")}
)

_JOB = (
    _BASE
    | _of("text", "entityId companyName comments email phone")
    | _of("date", "startDate endDate projectedEndDate")
    | _of("money", "estimatedCost estimatedRevenue")
    | _of("datetime", "dateCreated", read_only=True)
    | {"parent": _ref("customer"), "subsidiary": _ref("subsidiary"), "currency": _ref("currency")}
    | {name: Field("ref") for name in ("entityStatus", "jobType", "projectManager")}
)

_TRANSACTION = (
    _BASE
    | _SEGMENTS
    | _of("text", "tranId memo otherRefNum email message billAddress shipAddress source")
    | _of("text", "currencyName currencysymbol statusRef", read_only=True)
    | _of("date", "tranDate startDate endDate")
    | _of("number", "exchangeRate")
    | _of("boolean", "toBeEmailed toBePrinted toBeFaxed")
    | _of("datetime", "createdDate", read_only=True)
    | {"status": Field("ref", read_only=True), "createdFrom": Field("ref", TRANSACTION_KINDS, read_only=True)}
    | {
        "entity": _ref("customer", "job"),
        "subsidiary": _ref("subsidiary"),
        "currency": _ref("currency"),
        "postingPeriod": _ref("accountingPeriod"),
        "account": _ref("account"),
    }
)

_SALE = (
    _TRANSACTION
    | _of("money", "total subTotal", read_only=True)
    | _of("money", "discountTotal taxTotal", read_only=True)
    | {"terms": _ref("term"), "job": _ref("job"), "salesRep": Field("ref"), "billingSchedule": _ref("billingSchedule")}
)

_ITEM_LINE = (
    _SEGMENTS
    | _of("text", "description itemType lineUniqueKey")
    | _of("number", "quantity rate grossAmt taxRate1 quantityBilled quantityFulfilled")
    | _of("money", "amount costEstimate")
    | _of("integer", "line orderLine lineNumber")
    | _of("boolean", "isClosed isTaxable printItems")
    | _of("date", "revRecStartDate revRecEndDate expectedShipDate requestedDate")
    | {
        "item": _ref(*ITEM_KINDS),
        "billingSchedule": _ref("billingSchedule"),
        "price": Field("ref"),
        "taxCode": Field("ref"),
        "units": Field("ref"),
        "orderDoc": _ref("salesOrder"),
    }
)

_APPLY_LINE = (
    _of("money", "amount")
    | _of("boolean", "apply")
    | _of("integer", "line")
    | _of("money", "due total", read_only=True)
    | _of("text", "refNum createdFrom type", read_only=True)
    | _of("date", "applyDate dueDate", read_only=True)
    | {"doc": _ref("invoice"), "currency": Field("ref", read_only=True)}
)

_ITEMS = Sublist(_ITEM_LINE, "line")
_APPLY = Sublist(_APPLY_LINE, "doc")

_JOURNAL_LINES = Sublist(
    _SEGMENTS
    | _of("money", "debit credit")
    | _of("text", "memo")
    | _of("integer", "line")
    | _of("boolean", "eliminate")
    | _of("date", "startDate endDate")
    | {"account": _ref("account"), "entity": _ref("customer", "job")},
    "line",
)

_LIST = _BASE | _of("text", "name description")


def _setup(kind: str, name_field: str, fields: dict[str, Field]) -> RecordSpec:
    return RecordSpec(kind, kind, name_field, "custrecord", fields)


def _transaction(kind: str, fields: dict[str, Field], **sublists: Sublist) -> RecordSpec:
    return RecordSpec(kind, "transaction", "tranId", "custbody", fields, sublists)


def _item(kind: str) -> RecordSpec:
    fields = (
        _BASE
        | _SEGMENTS
        | _of("text", "itemId displayName salesDescription purchaseDescription upcCode vendorName")
        | _of("money", "rate cost")
        | _of("boolean", "isFulfillable isOnline isTaxable includeChildren")
        | _of("datetime", "createdDate", read_only=True)
        | {name: Field("ref") for name in ["itemType", "revenueRecognitionRule", "createRevenuePlansOn", "taxSchedule"]}
        | {"incomeAccount": _ref("account"), "deferredRevenueAccount": _ref("account"), "parent": _ref(*ITEM_KINDS)}
        | {"subsidiary": Field("object"), "billingSchedule": _ref("billingSchedule")}
    )
    return RecordSpec(kind, "item", "itemId", "custitem", fields)


SPECS: dict[str, RecordSpec] = {
    spec.kind: spec
    for spec in (
        RecordSpec(
            "customer",
            "entity",
            "entityId",
            "custentity",
            _CUSTOMER,
            {"addressBook": _ADDRESS_BOOK, "currencyList": Sublist({"currency": _ref("currency")}, "currency")},
        ),
        RecordSpec("contact", "entity", "entityId", "custentity", _CONTACT, {"addressBook": _ADDRESS_BOOK}),
        RecordSpec("job", "entity", "entityId", "custentity", _JOB),
        _transaction("salesOrder", _SALE | {"orderStatus": Field("ref"), "shipDate": Field("date")}, item=_ITEMS),
        _transaction(
            "invoice",
            _SALE
            | _of("date", "dueDate asOfDate")
            | _of("money", "amountPaid amountRemaining", read_only=True)
            | _of("boolean", "revRecOnRevCommitment")
            | {"approvalStatus": Field("ref")},
            item=_ITEMS,
        ),
        _transaction(
            "creditMemo",
            _SALE
            | _of("money", "amountPaid amountRemaining applied unapplied", read_only=True)
            | _of("boolean", "autoApply"),
            item=_ITEMS,
            apply=_APPLY,
        ),
        _transaction(
            "customerPayment",
            _TRANSACTION
            | _of("money", "payment")
            | _of("money", "total applied unapplied balance pending", read_only=True)
            | _of("text", "checkNum authCode")
            | _of("boolean", "autoApply undepFunds ccApproved chargeIt")
            | {"customer": _ref("customer", "job"), "paymentMethod": Field("ref"), "paymentOption": Field("ref")}
            | {"arAcct": _ref("account")},
            apply=_APPLY,
        ),
        _transaction(
            "customerDeposit",
            _TRANSACTION
            | _of("money", "payment")
            | _of("boolean", "undepFunds")
            | _of("text", "checkNum")
            | {"customer": _ref("customer"), "salesOrder": _ref("salesOrder"), "paymentMethod": Field("ref")},
        ),
        _transaction(
            "journalEntry",
            _TRANSACTION
            | _of("money", "debitTotal creditTotal", read_only=True)
            | _of("boolean", "approved reversalDefer")
            | _of("date", "reversalDate"),
            line=_JOURNAL_LINES,
        ),
        *(_item(kind) for kind in ITEM_KINDS),
        _setup(
            "subsidiary",
            "name",
            _LIST
            | _of("text", "legalName email fax state city url federalIdNumber ssnOrTin tranPrefix fullName")
            | _of("boolean", "isElimination")
            | {"country": Field("ref"), "currency": _ref("currency"), "parent": _ref("subsidiary")},
        ),
        _setup(
            "currency",
            "name",
            _LIST
            | _of("text", "symbol displaySymbol")
            | _of("number", "exchangeRate")
            | _of("boolean", "isBaseCurrency overrideCurrencyFormat")
            | {"currencyPrecision": Field("ref")},
        ),
        _setup(
            "term",
            "name",
            _LIST
            | _of("integer", "daysUntilNetDue daysUntilExpiry dayOfMonthNetDue")
            | _of("number", "discountPercent")
            | _of("boolean", "dateDriven preferred"),
        ),
        _setup(
            "accountingPeriod",
            "periodName",
            _BASE
            | _of("text", "periodName")
            | _of("date", "startDate endDate closedOnDate")
            | _of("boolean", "closed allLocked arLocked apLocked payrollLocked allowNonGLChanges")
            | _of("boolean", "isAdjust isQuarter isYear isPosting")
            | {"parent": _ref("accountingPeriod"), "fiscalCalendar": Field("ref")},
        ),
        _setup(
            "billingSchedule",
            "name",
            _LIST
            | _of("boolean", "inArrears isPublic applyToSubtotal")
            | _of("integer", "numberRemaining")
            | {name: Field("ref") for name in ("frequency", "scheduleType", "repeatEvery", "recurrenceTerms")},
        ),
        _setup(
            "account",
            "acctName",
            _BASE
            | _of("text", "acctName acctNumber description")
            | {"acctType": Field("ref"), "currency": _ref("currency"), "parent": _ref("account")},
        ),
        *(
            _setup(kind, "name", _LIST | {"parent": _ref(kind), "subsidiary": Field("object")})
            for kind in ("department", "classification", "location")
        ),
    )
}
