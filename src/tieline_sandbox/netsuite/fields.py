"""Every record type of the account: its fields, sublists, and the family whose sequence of internal ids it shares.

Source: the published contract (SuiteTalk REST record v1, 2026.1); the fields of `term`, items, tax codes and `job`,
which it leaves open, after Oracle's record reference.
"""

from __future__ import annotations

from tieline_sandbox.netsuite.field_sets import (
    ADDRESS_BOOK,
    APPLY,
    BASE,
    CONTACT,
    CUSTOMER,
    ITEM_KINDS,
    ITEMS,
    JOB,
    JOURNAL_LINES,
    LIST,
    REFUND_LINES,
    SALE,
    SEGMENTS,
    SHIPPED_LINES,
    TRANSACTION,
    Field,
    RecordSpec,
    Sublist,
    of,
    ref,
)


def _setup(kind: str, name_field: str, fields: dict[str, Field]) -> RecordSpec:
    return RecordSpec(kind, kind, name_field, "custrecord", fields)


def _transaction(kind: str, fields: dict[str, Field], **sublists: Sublist) -> RecordSpec:
    return RecordSpec(kind, "transaction", "tranId", "custbody", fields, sublists)


def _item(kind: str) -> RecordSpec:
    fields = (
        BASE
        | SEGMENTS
        | of("text", "itemId displayName salesDescription purchaseDescription upcCode vendorName")
        | of("money", "rate cost")
        | of("boolean", "isFulfillable isOnline isTaxable includeChildren isPreTax")
        | of("datetime", "createdDate", read_only=True)
        | {name: Field("ref") for name in ["itemType", "revenueRecognitionRule", "createRevenuePlansOn", "taxSchedule"]}
        | {"incomeAccount": ref("account"), "deferredRevenueAccount": ref("account"), "parent": ref(*ITEM_KINDS)}
        | {"subsidiary": Field("object"), "billingSchedule": ref("billingSchedule")}
    )
    members = Sublist(of("number", "quantity") | {"item": ref(*ITEM_KINDS)}, "item")
    sublists = {"member": members} if kind in ("kitItem", "assemblyItem") else {}
    return RecordSpec(kind, "item", "itemId", "custitem", fields, sublists)


SPECS: dict[str, RecordSpec] = {
    spec.kind: spec
    for spec in (
        RecordSpec(
            "customer",
            "entity",
            "entityId",
            "custentity",
            CUSTOMER,
            {"addressBook": ADDRESS_BOOK, "currencyList": Sublist({"currency": ref("currency")}, "currency")},
        ),
        RecordSpec("contact", "entity", "entityId", "custentity", CONTACT, {"addressBook": ADDRESS_BOOK}),
        RecordSpec("job", "entity", "entityId", "custentity", JOB),
        _transaction("salesOrder", SALE | {"orderStatus": Field("ref"), "shipDate": Field("date")}, item=ITEMS),
        _transaction(
            "invoice",
            SALE
            | of("date", "dueDate asOfDate")
            | of("money", "amountPaid amountRemaining", read_only=True)
            | of("boolean", "revRecOnRevCommitment")
            | {"approvalStatus": Field("ref")},
            item=ITEMS,
        ),
        _transaction(
            "creditMemo",
            SALE
            | of("money", "amountPaid amountRemaining applied unapplied", read_only=True)
            | of("boolean", "autoApply"),
            item=ITEMS,
            apply=APPLY,
        ),
        _transaction(
            "customerPayment",
            TRANSACTION
            | of("money", "payment")
            | of("money", "total applied unapplied balance pending", read_only=True)
            | of("text", "checkNum authCode")
            | of("boolean", "autoApply undepFunds ccApproved chargeIt")
            | {"customer": ref("customer", "job"), "paymentMethod": Field("ref"), "paymentOption": Field("ref")}
            | {"arAcct": ref("account")},
            apply=APPLY,
        ),
        _transaction(
            "customerDeposit",
            TRANSACTION
            | of("money", "payment")
            | of("boolean", "undepFunds")
            | of("text", "checkNum")
            | of("money", "applied unapplied", read_only=True)
            | {"customer": ref("customer"), "salesOrder": ref("salesOrder"), "paymentMethod": Field("ref")},
        ),
        _transaction(
            "depositApplication",
            TRANSACTION
            | of("money", "total applied unapplied", read_only=True)
            | of("date", "depositDate", read_only=True)
            | {"customer": ref("customer"), "deposit": ref("customerDeposit"), "arAcct": ref("account")},
            apply=APPLY,
        ),
        _transaction(
            "customerRefund",
            TRANSACTION
            | of("money", "total", read_only=True)
            | of("text", "checkNumber transactionNumber")
            | {"customer": ref("customer"), "paymentMethod": Field("ref"), "arAcct": ref("account")},
            apply=REFUND_LINES,
        ),
        _transaction(
            "itemFulfillment",
            TRANSACTION | of("date", "shippedDate pickedDate packedDate") | {"shipStatus": Field("ref")},
            item=SHIPPED_LINES,
        ),
        _transaction(
            "journalEntry",
            TRANSACTION
            | of("money", "debitTotal creditTotal", read_only=True)
            | of("boolean", "approved reversalDefer")
            | of("date", "reversalDate"),
            line=JOURNAL_LINES,
        ),
        *(_item(kind) for kind in ITEM_KINDS),
        _setup(
            "salesTaxItem",
            "itemId",
            BASE
            | of("text", "itemId displayName description")
            | of("number", "rate")
            | {"taxType": ref("taxType"), "subsidiary": Field("object"), "taxAccount": ref("account")},
        ),
        _setup("taxType", "name", LIST | {"country": Field("ref")}),
        _setup(
            "subsidiary",
            "name",
            LIST
            | of("text", "legalName email fax state city url federalIdNumber ssnOrTin tranPrefix fullName")
            | of("boolean", "isElimination")
            | {"country": Field("ref"), "currency": ref("currency"), "parent": ref("subsidiary")},
        ),
        _setup(
            "currency",
            "name",
            LIST
            | of("text", "symbol displaySymbol")
            | of("number", "exchangeRate")
            | of("boolean", "isBaseCurrency overrideCurrencyFormat")
            | {"currencyPrecision": Field("ref")},
        ),
        _setup(
            "term",
            "name",
            LIST
            | of("integer", "daysUntilNetDue daysUntilExpiry dayOfMonthNetDue")
            | of("number", "discountPercent")
            | of("boolean", "dateDriven preferred"),
        ),
        _setup(
            "accountingPeriod",
            "periodName",
            BASE
            | of("text", "periodName")
            | of("date", "startDate endDate closedOnDate")
            | of("boolean", "closed allLocked arLocked apLocked payrollLocked allowNonGLChanges")
            | of("boolean", "isAdjust isQuarter isYear isPosting")
            | {"parent": ref("accountingPeriod"), "fiscalCalendar": Field("ref")},
        ),
        _setup(
            "billingSchedule",
            "name",
            LIST
            | of("boolean", "inArrears isPublic applyToSubtotal")
            | of("integer", "numberRemaining")
            | {name: Field("ref") for name in ("frequency", "scheduleType", "repeatEvery", "recurrenceTerms")},
        ),
        _setup(
            "account",
            "acctName",
            BASE
            | of("text", "acctName acctNumber description")
            | {"acctType": Field("ref"), "currency": ref("currency"), "parent": ref("account")},
        ),
        *(
            _setup(kind, "name", LIST | {"parent": ref(kind), "subsidiary": Field("object")})
            for kind in ("department", "classification", "location")
        ),
    )
}
