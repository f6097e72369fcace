"""The objects of the sandbox's org: standard fields and the custom ones that quote-to-cash adds to a tenant.

Names, types and lengths of standard fields are Salesforce's (Object Reference); custom fields end in `__c`.
The org has several currencies, State/Country picklists are on, and so are Quotes, Orders and Contracts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tieline_sandbox.salesforce.schema import Field, SObject, Type

CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "SGD", "SEK", "INR", "BRL", "KWD")
STAGES: dict[str, tuple[int, bool, bool, str]] = {  # probability, closed, won, forecast category
    "Prospecting": (10, False, False, "Pipeline"),
    "Qualification": (20, False, False, "Pipeline"),
    "Engaging": (40, False, False, "Pipeline"),
    "Proposal": (60, False, False, "BestCase"),
    "Negotiation": (80, False, False, "Forecast"),
    "Closed Won": (100, True, True, "Closed"),
    "Closed Lost": (0, True, False, "Omitted"),
}


def text(name: str, length: int = 255, kind: Type = "string", **more: Any) -> Field:
    return Field(name, kind, length, **more)


def money(name: str, **more: Any) -> Field:
    return Field(name, "currency", scale=2, **more)


def number(name: str, scale: int = 2, kind: Type = "double", **more: Any) -> Field:
    return Field(name, kind, scale=scale, **more)


def flag(name: str, *, default: bool = False, **more: Any) -> Field:
    return Field(name, "boolean", default=default, **more)


def ref(name: str, to: str, relationship: str = "", **more: Any) -> Field:
    return Field(name, "reference", 18, refers_to=to, relationship=relationship or name.removesuffix("Id"), **more)


def pick(name: str, *values: str, **more: Any) -> Field:
    return Field(name, "picklist", 255, values=values, **more)


def day(name: str, **more: Any) -> Field:
    return Field(name, "date", **more)


def read_only(*fields: Field) -> list[Field]:
    return [replace(f, create=False, update=False, required=False) for f in fields]


def system_fields() -> list[Field]:
    """What every object has."""
    return read_only(
        Field("Id", "id", 18),
        flag("IsDeleted"),
        Field("CreatedDate", "datetime"),
        ref("CreatedById", "User"),
        Field("LastModifiedDate", "datetime"),
        ref("LastModifiedById", "User"),
        Field("SystemModstamp", "datetime"),
    )


def make(name: str, prefix: str, plural: str, fields: Iterable[Field], *, writable: bool = True) -> SObject:
    """An object with the system's fields before its own."""
    return SObject(name, prefix, plural, {f.name.lower(): f for f in (*system_fields(), *fields)}, writable=writable)


def standard_objects() -> list[SObject]:
    """The objects of a new org, parents first."""
    return [
        make("User", "005", "Users", _USER, writable=False),
        make("Organization", "00D", "Organizations", _ORGANIZATION, writable=False),
        make("CurrencyType", "01L", "Currency Types", _CURRENCY_TYPE),
        make("Account", "001", "Accounts", _ACCOUNT),
        make("Contact", "003", "Contacts", _CONTACT),
        make("Product2", "01t", "Products", _PRODUCT),
        make("Pricebook2", "01s", "Price Books", _PRICEBOOK),
        make("PricebookEntry", "01u", "Price Book Entries", _ENTRY),
        make("Contract", "800", "Contracts", _CONTRACT),
        make("Opportunity", "006", "Opportunities", _OPPORTUNITY),
        make("OpportunityLineItem", "00k", "Opportunity Products", _LINE),
        make("Quote", "0Q0", "Quotes", _QUOTE),
        make("QuoteLineItem", "0QL", "Quote Line Items", _QUOTE_LINE),
        make("Order", "801", "Orders", _ORDER),
        make("OrderItem", "802", "Order Products", _ORDER_LINE),
    ]


def _currency() -> Field:
    return pick("CurrencyIsoCode", *CURRENCIES, default="USD")


def _tieline_id() -> Field:
    return text("Tieline_Id__c", 80, external_id=True)


def _address(kind: str) -> list[Field]:
    return [
        text(f"{kind}Street", 255, "textarea"),
        text(f"{kind}City", 40),
        text(f"{kind}State", 80),
        text(f"{kind}StateCode", 10),
        text(f"{kind}PostalCode", 20),
        text(f"{kind}Country", 80),
        text(f"{kind}CountryCode", 10),
        *read_only(Field(f"{kind}Address", "address")),
    ]


def _auto_number(name: str, pattern: str = "{:08}") -> list[Field]:
    return read_only(text(name, 30, format=pattern))


def _merged_into(sobject: str) -> list[Field]:
    return read_only(ref("MasterRecordId", sobject, "MasterRecord"))


_USER = [
    text("Username", 80), text("Name", 121), text("Email", 128), flag("IsActive", default=True),
    text("TimeZoneSidKey", 40), text("LocaleSidKey", 40), text("UserType", 40), _currency(),
]  # fmt: skip
_ORGANIZATION = [
    text("Name", 80), text("OrganizationType", 40), flag("IsSandbox", default=True), text("InstanceName", 5),
    text("TimeZoneSidKey", 40), text("LanguageLocaleKey", 40), number("FiscalYearStartMonth", 0, "int"),
]  # fmt: skip
_CURRENCY_TYPE = [
    text("IsoCode", 3, required=True, update=False), number("ConversionRate", 6, required=True),
    number("DecimalPlaces", 0, "int"), flag("IsActive", default=True), *read_only(flag("IsCorporate")),
]  # fmt: skip
_ACCOUNT = [
    text("Name", 255, required=True, title="Account Name"),
    ref("ParentId", "Account", children="ChildAccounts"), ref("OwnerId", "User"),
    pick("Type", "Prospect", "Customer", "Partner"), text("Industry", 255), text("AccountNumber", 40),
    *_address("Billing"), *_address("Shipping"), text("Phone", 40, "phone"), text("Website", 255, "url"),
    money("AnnualRevenue"), number("NumberOfEmployees", 0, "int"), text("Description", 32000, "textarea"),
    *_merged_into("Account"),
    _currency(), _tieline_id(), text("Tax_Number__c", 40), text("Billing_Email__c", 80, "email"),
]  # fmt: skip
_CONTACT = [
    text("LastName", 80, required=True), text("FirstName", 40), *read_only(text("Name", 121)),
    ref("AccountId", "Account", children="Contacts", on_delete="cascade"), ref("OwnerId", "User"),
    text("Email", 80, "email"), text("Phone", 40, "phone"),
    text("Title", 128), text("Department", 80), *_address("Mailing"), *_merged_into("Contact"),
    _currency(), _tieline_id(),
]  # fmt: skip
_PRODUCT = [
    text("Name", 255, required=True, title="Product Name"),
    text("ProductCode", 255), text("Description", 4000, "textarea"),
    flag("IsActive"), text("Family", 255), text("QuantityUnitOfMeasure", 255), text("StockKeepingUnit", 180),
    _currency(), _tieline_id(),
]  # fmt: skip
_PRICEBOOK = [
    text("Name", 255, required=True, title="Price Book Name"),
    text("Description", 255), flag("IsActive"), *read_only(flag("IsStandard")),
]  # fmt: skip
_ENTRY = [
    ref("Pricebook2Id", "Pricebook2", required=True, update=False, children="PricebookEntries"),
    ref("Product2Id", "Product2", required=True, update=False, children="PricebookEntries"),
    money("UnitPrice", required=True), flag("IsActive"), flag("UseStandardPrice"), _currency(),
    *read_only(text("Name", 255), text("ProductCode", 255)),
]  # fmt: skip
_CONTRACT = [
    ref("AccountId", "Account", required=True, children="Contracts", on_delete="cascade"), ref("OwnerId", "User"),
    pick("Status", "Draft", "In Approval Process", "Activated", default="Draft"), day("StartDate"),
    number("ContractTerm", 0, "int"), *read_only(day("EndDate"), text("StatusCode", 40)),
    *_auto_number("ContractNumber"), text("SpecialTerms", 4000, "textarea"), text("Description", 32000, "textarea"),
    day("CustomerSignedDate"), day("CompanySignedDate"), *_address("Billing"), *_address("Shipping"),
    *read_only(Field("ActivatedDate", "datetime"), ref("ActivatedById", "User")), _currency(), _tieline_id(),
]  # fmt: skip
_OPPORTUNITY = [
    text("Name", 120, required=True, title="Opportunity Name"),
    pick("StageName", *STAGES, required=True), day("CloseDate", required=True),
    ref("AccountId", "Account", children="Opportunities", on_delete="cascade"), ref("OwnerId", "User"),
    ref("Pricebook2Id", "Pricebook2", children="Opportunities"), money("Amount"),
    number("Probability", 0, "percent"), pick("Type", "New Business", "Existing Business"),
    text("Description", 32000, "textarea"), text("NextStep", 255), text("LeadSource", 255), _currency(),
    *read_only(flag("IsClosed"), flag("IsWon"), flag("HasOpportunityLineItem"), text("ForecastCategory", 40)),
    _tieline_id(), text("Legal_Entity__c", 20), day("Contract_Start__c"), number("Term_Months__c", 0),
    pick("Billing_Period__c", "Month", "Quarter", "Annual"), text("Payment_Terms__c", 40),
    flag("Auto_Renew__c"), text("Tieline_Status__c", 40), text("Tieline_Detail__c", 32768, "textarea"),
    text("Billing_Account__c", 80), text("Subscription__c", 80), text("ERP_Order__c", 80),
    text("Project__c", 80), money("Invoiced__c"), money("Paid__c"),
]  # fmt: skip


def _priced_line(children: str) -> list[Field]:
    """What the lines of deals, quotes and orders have in common."""
    return [
        ref("PricebookEntryId", "PricebookEntry", update=False, children=children, on_delete="refuse"),
        ref("Product2Id", "Product2", update=False), number("Quantity", required=True), money("UnitPrice"),
        day("ServiceDate"), text("Description", 255), *read_only(money("ListPrice"), text("CurrencyIsoCode", 3)),
    ]  # fmt: skip


_LINE = [
    ref("OpportunityId", "Opportunity", required=True, update=False, children="OpportunityLineItems",
        on_delete="cascade"),
    *_priced_line("OpportunityLineItems"), money("TotalPrice"), number("Discount", 2, "percent"),
    number("SortOrder", 0, "int"), *read_only(text("ProductCode", 255), text("Name", 376)),
    _tieline_id(), day("Service_End__c"), pick("Charge_Type__c", "Recurring", "One-Time", "Usage"),
    text("Unit_Of_Measure__c", 80), text("Usage_Tiers__c", 255),
]  # fmt: skip
_QUOTE = [
    text("Name", 255, required=True, title="Quote Name"),
    ref("OpportunityId", "Opportunity", required=True, update=False, children="Quotes", on_delete="cascade"),
    *read_only(ref("AccountId", "Account", children="Quotes"), flag("IsSyncing")), *_auto_number("QuoteNumber"),
    ref("Pricebook2Id", "Pricebook2"), ref("ContactId", "Contact"),
    pick("Status", "Draft", "Needs Review", "In Review", "Approved", "Rejected", "Presented", "Accepted", "Denied",
         default="Draft"),
    day("ExpirationDate"), *_address("Billing"), money("Tax"), money("ShippingHandling"),
    *read_only(money("Subtotal"), money("TotalPrice"), money("GrandTotal"), number("Discount", 2, "percent")),
    *read_only(_currency()), _tieline_id(),
]  # fmt: skip
_QUOTE_LINE = [
    ref("QuoteId", "Quote", required=True, update=False, children="QuoteLineItems", on_delete="cascade"),
    *_priced_line("QuoteLineItems"), number("Discount", 2, "percent"), number("SortOrder", 0, "int"),
    ref("OpportunityLineItemId", "OpportunityLineItem"),
    *read_only(money("Subtotal"), money("TotalPrice"), text("LineNumber", 30, format="{:08}")), _tieline_id(),
]  # fmt: skip
_ORDER = [
    ref("AccountId", "Account", children="Orders", on_delete="cascade"), ref("OwnerId", "User"),
    ref("ContractId", "Contract", children="Orders"), ref("Pricebook2Id", "Pricebook2"),
    ref("QuoteId", "Quote", children="Orders"),
    day("EffectiveDate", required=True), day("EndDate"),
    pick("Status", "Draft", "Activated", required=True), pick("Type", "New", "Renewal", "Amendment"),
    text("Description", 32000, "textarea"), *_auto_number("OrderNumber"), *_address("Billing"), *_address("Shipping"),
    *read_only(money("TotalAmount", default=0), text("StatusCode", 40), flag("IsReductionOrder")),
    *read_only(Field("ActivatedDate", "datetime"), ref("ActivatedById", "User")), _currency(), _tieline_id(),
]  # fmt: skip
_ORDER_LINE = [
    ref("OrderId", "Order", required=True, update=False, children="OrderItems", on_delete="cascade"),
    *_priced_line("OrderItems"), day("EndDate"),
    *read_only(money("TotalPrice"), number("AvailableQuantity"), text("OrderItemNumber", 30, format="{:010}")),
    _tieline_id(),
]  # fmt: skip
