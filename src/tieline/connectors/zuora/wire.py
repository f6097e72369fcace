"""Zuora's shapes, in Zuora's spelling, as far as the tables and the connector use them.

Money is a JSON decimal in major units, dates are `yyyy-MM-dd`. `Fetched…` types are records of object query with what
the connector adds to them (said at each). Source: Zuora API reference 2025-08-12.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Required, TypedDict

Body = dict[str, Any]
"""A JSON object with exact Decimals."""


class Contact(TypedDict, total=False):
    """A bill-to contact; `country` is a name or ISO code, `state` is required for the United States and Canada."""

    firstName: Required[str]
    lastName: Required[str]
    address1: str
    address2: str
    city: str
    state: str
    zipCode: str
    country: str
    workEmail: str
    workPhone: str


class TaxInfo(TypedDict, total=False):
    VATId: str
    companyCode: str
    exemptStatus: str


class AccountBody(TypedDict, total=False):
    """POST and PUT /v1/accounts. `parentId` may hold the parent's account number: the connector looks up its id."""

    accountNumber: Required[str]
    name: Required[str]
    currency: Required[str]
    billToContact: Required[Contact]
    soldToContact: Contact
    billCycleDay: int
    autoPay: bool
    paymentTerm: str
    crmId: str
    parentId: str
    batch: str
    notes: str
    taxInfo: TaxInfo


class TriggerDate(TypedDict):
    """`name`: ContractEffective, ServiceActivation or CustomerAcceptance."""

    name: str
    triggerDate: str


class Term(TypedDict, total=False):
    termType: str
    period: int
    periodType: str
    startDate: str
    endDate: str


class Terms(TypedDict, total=False):
    initialTerm: Required[Term]
    renewalTerms: list[Term]
    renewalSetting: str
    autoRenew: bool


class Tier(TypedDict, total=False):
    """A tier of a usage charge: `price` per unit from `startingUnit`; no `endingUnit` means without end."""

    tier: Required[int]
    startingUnit: Required[Decimal]
    endingUnit: Decimal
    price: Required[Decimal]
    priceFormat: Required[str]


class Price(TypedDict, total=False):
    listPrice: Decimal
    listPriceBase: str
    quantity: Decimal
    uom: str
    includedUnits: Decimal
    overagePrice: Decimal
    tiers: list[Tier]


class Pricing(TypedDict, total=False):
    recurringFlatFee: Price
    recurringPerUnit: Price
    oneTimeFlatFee: Price
    oneTimePerUnit: Price
    usagePerUnit: Price
    usageTiered: Price
    usageOverage: Price


class Billing(TypedDict, total=False):
    billingPeriod: str
    billCycleType: str
    billingPeriodAlignment: str


class Start(TypedDict, total=False):
    triggerEvent: str
    specificTriggerDate: str


class End(TypedDict, total=False):
    """`specificEndDate` is the first day on which the charge is no longer active."""

    endDateCondition: str
    specificEndDate: str


class ChargeOverride(TypedDict, total=False):
    productRatePlanChargeNumber: Required[str]
    chargeNumber: str
    description: str
    pricing: Pricing
    billing: Billing
    startDate: Start
    endDate: End


class RatePlanOverride(TypedDict, total=False):
    """`subscriptionRatePlanNumber` is our own number, by which a later order changes or removes the plan."""

    productRatePlanNumber: Required[str]
    subscriptionRatePlanNumber: str
    chargeOverrides: list[ChargeOverride]


class CreateSubscription(TypedDict, total=False):
    subscriptionNumber: str
    terms: Terms
    paymentTerm: str
    invoiceSeparately: bool
    subscribeToRatePlans: list[RatePlanOverride]


class CancelSubscription(TypedDict, total=False):
    """`cancellationPolicy`: SpecificDate (with the date), EndOfCurrentTerm or EndOfLastInvoicePeriod."""

    cancellationPolicy: Required[str]
    cancellationEffectiveDate: str


class ChargeUpdate(TypedDict, total=False):
    chargeNumber: Required[str]
    pricing: Pricing


class UpdateProduct(TypedDict, total=False):
    subscriptionRatePlanNumber: Required[str]
    chargeUpdates: list[ChargeUpdate]


class RemoveProduct(TypedDict, total=False):
    subscriptionRatePlanNumber: Required[str]


class TermsAndConditions(TypedDict, total=False):
    autoRenew: bool
    renewalSetting: str
    renewalTerms: list[Term]


class OrderAction(TypedDict, total=False):
    type: Required[str]
    triggerDates: list[TriggerDate]
    createSubscription: CreateSubscription
    cancelSubscription: CancelSubscription
    addProduct: RatePlanOverride
    updateProduct: UpdateProduct
    removeProduct: RemoveProduct
    termsAndConditions: TermsAndConditions


class RampInterval(TypedDict, total=False):
    """Both days belong to the interval."""

    name: str
    startDate: Required[str]
    endDate: Required[str]


class Ramp(TypedDict, total=False):
    intervals: list[RampInterval]


class OrderSubscription(TypedDict, total=False):
    subscriptionNumber: str
    orderActions: Required[list[OrderAction]]
    ramp: Ramp


class OrderBody(TypedDict, total=False):
    """POST /v1/orders."""

    orderNumber: Required[str]
    orderDate: Required[str]
    existingAccountNumber: Required[str]
    description: str
    category: str
    subscriptions: Required[list[OrderSubscription]]


class UsageRow(TypedDict, total=False):
    ACCOUNT_ID: Required[str]
    UOM: Required[str]
    QTY: Required[Decimal]
    STARTDATE: Required[str]
    ENDDATE: str
    SUBSCRIPTION_ID: str
    CHARGE_ID: str
    DESCRIPTION: str


class UsageImport(TypedDict, total=False):
    """A file of usage for POST /v1/object/import."""

    name: Required[str]
    rows: Required[list[UsageRow]]


class AccountRef(TypedDict, total=False):
    id: str
    accountNumber: Required[str]
    name: str


class FetchedItem(TypedDict, total=False):
    """An invoice item; `chargeAmount` is without tax, service dates are both inclusive."""

    id: Required[str]
    chargeNumber: str
    chargeName: str
    description: str
    sKU: str
    quantity: Decimal
    unitPrice: Decimal
    uOM: str
    chargeAmount: Required[Decimal]
    taxAmount: Decimal
    serviceStartDate: str
    serviceEndDate: str
    subscriptionId: str
    subscriptionNumber: str
    processingType: str


class FetchedInvoice(TypedDict, total=False):
    """An invoice with its account and all of its items."""

    id: Required[str]
    invoiceNumber: Required[str]
    account: Required[AccountRef]
    currency: Required[str]
    amount: Required[Decimal]
    amountWithoutTax: Decimal
    taxAmount: Decimal
    balance: Decimal
    status: str
    invoiceDate: Required[str]
    dueDate: Required[str]
    targetDate: str
    invoiceItems: Required[list[FetchedItem]]
    updatedDate: str


class FetchedMemoItem(TypedDict, total=False):
    """A credit memo item; `amountWithoutTax` is net whatever the tax mode is."""

    id: Required[str]
    chargeNumber: str
    chargeName: str
    description: str
    sku: str
    quantity: Decimal
    amount: Decimal
    amountWithoutTax: Required[Decimal]
    taxAmount: Decimal
    serviceStartDate: str
    serviceEndDate: str
    subscriptionNumber: str


class Part(TypedDict, total=False):
    """How much now settles which invoice. `invoiceNumber` is added by the connector."""

    id: str
    invoiceId: str
    invoiceNumber: str
    debitMemoId: str
    amount: Required[Decimal]


class FetchedMemo(TypedDict, total=False):
    """A credit memo with its account and items. `parts` and `invoiceNumber` are added by the connector."""

    id: Required[str]
    memoNumber: Required[str]
    account: Required[AccountRef]
    currency: Required[str]
    totalAmount: Required[Decimal]
    totalAmountWithoutTax: Decimal
    taxAmount: Decimal
    balance: Decimal
    appliedAmount: Decimal
    status: str
    reasonCode: str
    comments: str
    memoDate: Required[str]
    invoiceId: str
    invoiceNumber: str
    creditMemoItems: Required[list[FetchedMemoItem]]
    parts: Required[list[Part]]
    updatedDate: str


class FetchedDebitMemo(TypedDict, total=False):
    """A debit memo with its account and items: owed like an invoice, beside any."""

    id: Required[str]
    memoNumber: Required[str]
    account: Required[AccountRef]
    currency: Required[str]
    totalAmount: Required[Decimal]
    taxAmount: Decimal
    balance: Decimal
    status: str
    reasonCode: str
    comments: str
    memoDate: Required[str]
    dueDate: Required[str]
    invoiceId: str
    debitMemoItems: Required[list[FetchedMemoItem]]
    updatedDate: str


class RefundPart(TypedDict, total=False):
    """How much comes back from which payment or credit memo."""

    id: str
    paymentId: str
    creditMemoId: str
    amount: Required[Decimal]


class FetchedRefund(TypedDict, total=False):
    """Money that went back, with its account. `parts` is added by the connector."""

    id: Required[str]
    refundNumber: Required[str]
    account: Required[AccountRef]
    currency: Required[str]
    amount: Required[Decimal]
    status: Required[str]
    type: str
    methodType: str
    refundDate: Required[str]
    reasonCode: str
    referenceID: str
    parts: Required[list[RefundPart]]
    updatedDate: str


class FetchedPayment(TypedDict, total=False):
    """A payment with its account. `parts` is added by the connector, `intendedInvoices` to a declined one.

    `status` is Processed, Error (declined: then gatewayResponse says why), Draft, Processing, Voided or Canceled.
    """

    id: Required[str]
    paymentNumber: Required[str]
    account: Required[AccountRef]
    currency: Required[str]
    amount: Required[Decimal]
    appliedAmount: Decimal
    unappliedAmount: Decimal
    refundAmount: Decimal
    status: Required[str]
    type: str
    effectiveDate: Required[str]
    gatewayResponse: str
    gatewayResponseCode: str
    gatewayState: str
    referenceId: str
    parts: Required[list[Part]]
    intendedInvoices: list[str]
    updatedDate: str


class OrderRef(TypedDict, total=False):
    id: str
    orderNumber: str


class FetchedSubscription(TypedDict, total=False):
    """The latest version of a subscription; `termEndDate` and `cancelledDate` are the first day without it."""

    id: Required[str]
    name: Required[str]
    account: Required[AccountRef]
    order: OrderRef
    status: Required[str]
    termType: str
    subscriptionStartDate: str
    subscriptionEndDate: str
    contractEffectiveDate: str
    termStartDate: str
    termEndDate: str
    cancelledDate: str
    isLatestVersion: bool
    version: int
    updatedDate: str
