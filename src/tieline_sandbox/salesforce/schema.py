"""The objects of the sandbox's org: standard fields and the custom ones that quote-to-cash adds to a tenant.

Names, types and lengths of standard fields are Salesforce's (Object Reference); custom fields end in `__c`.
The org has several currencies, and State/Country picklists are on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Type = Literal[
    "id", "string", "textarea", "email", "phone", "url", "picklist", "boolean", "currency", "double",
    "percent", "int", "date", "datetime", "reference", "address",
]  # fmt: skip
TEXT: frozenset[Type] = frozenset({"string", "textarea", "email", "phone", "url", "picklist"})
NUMBER: frozenset[Type] = frozenset({"currency", "double", "percent", "int"})

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


@dataclass(frozen=True, slots=True)
class Field:
    """One column. `scale` is the number of decimals kept, `default` is given to new records, `title` is its label."""

    name: str
    type: Type
    length: int = 0
    scale: int = 0
    required: bool = False
    create: bool = True
    update: bool = True
    refers_to: str = ""
    relationship: str = ""
    values: tuple[str, ...] = ()
    external_id: bool = False
    default: Any = None
    title: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def label(self) -> str:
        if self.title:
            return self.title
        if self.type == "reference":
            return f"{self.relationship.removesuffix('__r')} ID"
        words = self.name.removesuffix("__c").replace("_", " ")
        return "".join(f" {c}" if c.isupper() and i and words[i - 1].islower() else c for i, c in enumerate(words))


@dataclass(frozen=True, slots=True)
class Child:
    """A relationship seen from the parent: its name, the child object and the field that points here."""

    name: str
    sobject: str
    field: str


@dataclass
class SObject:
    """An object: its fields by lower-case name, its parents and children by lower-case relationship name."""

    name: str
    prefix: str
    plural: str
    fields: dict[str, Field]
    children: dict[str, Child] = field(default_factory=dict)
    writable: bool = True

    def __post_init__(self) -> None:
        everything = self.fields.values()
        self.parents = {f.relationship.lower(): f for f in everything if f.relationship}
        self.stored = tuple(f for f in everything if f.type != "address")
        self.blank: dict[str, Any] = {f.name: f.default for f in self.stored}
        self.required = tuple(f.name for f in everything if f.required)
        self.indexed = tuple(
            f.name for f in everything if (f.type == "reference" and f.refers_to != "User") or f.external_id
        ) + (("ProductCode",) if self.name == "Product2" else ())


def _text(name: str, length: int = 255, kind: Type = "string", **more: Any) -> Field:
    return Field(name, kind, length, **more)


def _money(name: str, **more: Any) -> Field:
    return Field(name, "currency", scale=2, **more)


def _number(name: str, scale: int = 2, kind: Type = "double", **more: Any) -> Field:
    return Field(name, kind, scale=scale, **more)


def _flag(name: str, *, default: bool = False, **more: Any) -> Field:
    return Field(name, "boolean", default=default, **more)


def _ref(name: str, to: str, relationship: str = "", **more: Any) -> Field:
    return Field(name, "reference", 18, refers_to=to, relationship=relationship or name.removesuffix("Id"), **more)


def _pick(name: str, *values: str, **more: Any) -> Field:
    return Field(name, "picklist", 255, values=values, **more)


def _day(name: str, **more: Any) -> Field:
    return Field(name, "date", **more)


def _read_only(*fields: Field) -> list[Field]:
    return [replace(f, create=False, update=False, required=False) for f in fields]


def _currency() -> Field:
    return _pick("CurrencyIsoCode", *CURRENCIES, default="USD")


def _tieline_id() -> Field:
    return _text("Tieline_Id__c", 80, external_id=True)


def _address(kind: str) -> list[Field]:
    return [
        _text(f"{kind}Street", 255, "textarea"),
        _text(f"{kind}City", 40),
        _text(f"{kind}State", 80),
        _text(f"{kind}StateCode", 10),
        _text(f"{kind}PostalCode", 20),
        _text(f"{kind}Country", 80),
        _text(f"{kind}CountryCode", 10),
        *_read_only(Field(f"{kind}Address", "address")),
    ]


def _system() -> list[Field]:
    return _read_only(
        Field("Id", "id", 18),
        _flag("IsDeleted"),
        Field("CreatedDate", "datetime"),
        _ref("CreatedById", "User"),
        Field("LastModifiedDate", "datetime"),
        _ref("LastModifiedById", "User"),
        Field("SystemModstamp", "datetime"),
    )


def _sobject(name: str, prefix: str, plural: str, fields: Iterable[Field], *, writable: bool = True) -> SObject:
    return SObject(name, prefix, plural, {f.name.lower(): f for f in (*_system(), *fields)}, writable=writable)


_ACCOUNT = [
    _text("Name", 255, required=True, title="Account Name"), _ref("ParentId", "Account"), _ref("OwnerId", "User"),
    _pick("Type", "Prospect", "Customer", "Partner"), _text("Industry", 255), _text("AccountNumber", 40),
    *_address("Billing"), *_address("Shipping"), _text("Phone", 40, "phone"), _text("Website", 255, "url"),
    _money("AnnualRevenue"), _number("NumberOfEmployees", 0, "int"), _text("Description", 32000, "textarea"),
    _currency(), _tieline_id(), _text("Tax_Number__c", 40), _text("Billing_Email__c", 80, "email"),
]  # fmt: skip
_CONTACT = [
    _text("LastName", 80, required=True), _text("FirstName", 40), *_read_only(_text("Name", 121)),
    _ref("AccountId", "Account"), _ref("OwnerId", "User"), _text("Email", 80, "email"), _text("Phone", 40, "phone"),
    _text("Title", 128), _text("Department", 80), *_address("Mailing"), _currency(), _tieline_id(),
]  # fmt: skip
_PRODUCT = [
    _text("Name", 255, required=True, title="Product Name"),
    _text("ProductCode", 255), _text("Description", 4000, "textarea"),
    _flag("IsActive"), _text("Family", 255), _text("QuantityUnitOfMeasure", 255), _text("StockKeepingUnit", 180),
    _currency(), _tieline_id(),
]  # fmt: skip
_PRICEBOOK = [
    _text("Name", 255, required=True, title="Price Book Name"),
    _text("Description", 255), _flag("IsActive"), *_read_only(_flag("IsStandard")),
]  # fmt: skip
_ENTRY = [
    _ref("Pricebook2Id", "Pricebook2", required=True, update=False),
    _ref("Product2Id", "Product2", required=True, update=False),
    _money("UnitPrice", required=True), _flag("IsActive"), _flag("UseStandardPrice"), _currency(),
    *_read_only(_text("Name", 255), _text("ProductCode", 255)),
]  # fmt: skip
_OPPORTUNITY = [
    _text("Name", 120, required=True, title="Opportunity Name"),
    _pick("StageName", *STAGES, required=True), _day("CloseDate", required=True),
    _ref("AccountId", "Account"), _ref("OwnerId", "User"), _ref("Pricebook2Id", "Pricebook2"), _money("Amount"),
    _number("Probability", 0, "percent"), _pick("Type", "New Business", "Existing Business"),
    _text("Description", 32000, "textarea"), _text("NextStep", 255), _text("LeadSource", 255), _currency(),
    *_read_only(_flag("IsClosed"), _flag("IsWon"), _flag("HasOpportunityLineItem"), _text("ForecastCategory", 40)),
    _tieline_id(), _text("Legal_Entity__c", 20), _day("Contract_Start__c"), _number("Term_Months__c", 0),
    _pick("Billing_Period__c", "Month", "Quarter", "Annual"), _text("Payment_Terms__c", 40),
    _flag("Auto_Renew__c"), _text("Tieline_Status__c", 40), _text("Tieline_Detail__c", 32768, "textarea"),
    _text("Billing_Account__c", 80), _text("Subscription__c", 80), _text("ERP_Order__c", 80),
    _text("Project__c", 80), _money("Invoiced__c"), _money("Paid__c"),
]  # fmt: skip
_LINE = [
    _ref("OpportunityId", "Opportunity", required=True, update=False),
    _ref("PricebookEntryId", "PricebookEntry", update=False), _ref("Product2Id", "Product2", update=False),
    _number("Quantity", required=True), _money("UnitPrice"), _money("TotalPrice"),
    _number("Discount", 2, "percent"), _day("ServiceDate"), _number("SortOrder", 0, "int"),
    _text("Description", 255),
    *_read_only(_money("ListPrice"), _text("ProductCode", 255), _text("Name", 376), _text("CurrencyIsoCode", 3)),
    _tieline_id(), _day("Service_End__c"), _pick("Charge_Type__c", "Recurring", "One-Time", "Usage"),
    _text("Unit_Of_Measure__c", 80), _text("Usage_Tiers__c", 255),
]  # fmt: skip
_USER = [_text("Username", 80), _text("Name", 121), _text("Email", 128), _flag("IsActive", default=True)]
_ORGANIZATION = [_text("Name", 80), _text("OrganizationType", 40), _flag("IsSandbox", default=True)]

SOBJECTS: dict[str, SObject] = {
    s.name.lower(): s
    for s in (
        _sobject("Account", "001", "Accounts", _ACCOUNT),
        _sobject("Contact", "003", "Contacts", _CONTACT),
        _sobject("Product2", "01t", "Products", _PRODUCT),
        _sobject("Pricebook2", "01s", "Price Books", _PRICEBOOK),
        _sobject("PricebookEntry", "01u", "Price Book Entries", _ENTRY),
        _sobject("Opportunity", "006", "Opportunities", _OPPORTUNITY),
        _sobject("OpportunityLineItem", "00k", "Opportunity Products", _LINE),
        _sobject("User", "005", "Users", _USER, writable=False),
        _sobject("Organization", "00D", "Organizations", _ORGANIZATION, writable=False),
    )
}
BY_PREFIX: dict[str, SObject] = {s.prefix: s for s in SOBJECTS.values()}

for _parent, _name, _child, _field in (
    ("account", "Contacts", "Contact", "AccountId"),
    ("account", "Opportunities", "Opportunity", "AccountId"),
    ("account", "ChildAccounts", "Account", "ParentId"),
    ("opportunity", "OpportunityLineItems", "OpportunityLineItem", "OpportunityId"),
    ("product2", "PricebookEntries", "PricebookEntry", "Product2Id"),
    ("pricebook2", "PricebookEntries", "PricebookEntry", "Pricebook2Id"),
    ("pricebook2", "Opportunities", "Opportunity", "Pricebook2Id"),
    ("pricebookentry", "OpportunityLineItems", "OpportunityLineItem", "PricebookEntryId"),
):
    SOBJECTS[_parent].children[_name.lower()] = Child(_name, _child, _field)
