"""Quote to cash by hand: the calls an engineer writes in a day for one won deal, one function a step.

Every engine of the comparison runs these same steps and does the retrying. With `keys` each write carries the key its
vendor offers (Zuora's Idempotency-Key and own numbers, NetSuite's external id, Kantata's external reference looked up
before creating); without, customers are looked for by name first and everything else is simply posted.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from benchmarks.peers.vendors import Json, Refused, Vendors

PERIODS = {"Month": 1, "Quarter": 3, "Annual": 12}
SCHEDULES = {"Month": "Monthly", "Quarter": "Quarterly", "Annual": "Annual"}
SERVICES = ("Implementation", "Training")
OPPORTUNITY = (
    "Id, Name, AccountId, CloseDate, CurrencyIsoCode, Legal_Entity__c, Contract_Start__c, Term_Months__c, "
    "Billing_Period__c, Payment_Terms__c, Account.Name, "
    "(SELECT Id, Quantity, UnitPrice, TotalPrice, ServiceDate, Service_End__c, Description, Charge_Type__c, "
    "Usage_Tiers__c, Product2.ProductCode FROM OpportunityLineItems ORDER BY SortOrder)"
)
ACCOUNT = (
    "Id, Name, BillingStreet, BillingCity, BillingState, BillingPostalCode, BillingCountryCode, Phone, Website, "
    "CurrencyIsoCode, Billing_Email__c"
)


class QuoteToCash:
    """The steps of one deal. Each takes and gives plain JSON, so that any engine can record it."""

    def __init__(self, config: Json, vendors: Vendors, *, keys: bool) -> None:
        self._products: Json = config["products"]
        self._subsidiaries: Json = config["subsidiaries"]
        self._vendors, self._keys = vendors, keys

    # --- reading ------------------------------------------------------------------------------------------------------

    async def read(self, opportunity_id: str) -> Json:
        """The opportunity with its lines, and its account. Raises Refused when it is not there."""
        deals = await self._query(f"SELECT {OPPORTUNITY} FROM Opportunity WHERE Id = '{opportunity_id}'")
        if not deals:
            raise Refused(f"no opportunity {opportunity_id}")
        accounts = await self._query(f"SELECT {ACCOUNT} FROM Account WHERE Id = '{deals[0]['AccountId']}'")
        return {"opportunity": deals[0], "account": accounts[0], "lines": deals[0]["OpportunityLineItems"]["records"]}

    async def _query(self, soql: str) -> list[Json]:
        answer = await self._vendors.salesforce("GET", "/query", params={"q": soql})
        found: list[Json] = answer["records"]
        return found

    # --- customers ----------------------------------------------------------------------------------------------------

    async def billing_account(self, deal: Json) -> str:
        """The Zuora account number of the customer, made when it is not there."""
        account = deal["account"]
        number = f"SF-{account['Id']}"
        if self._keys:
            try:
                await self._vendors.zuora("GET", f"/v1/accounts/{number}")
            except Refused:
                await self._create_account(account, number)
            return number
        found = await self._vendors.zuora("GET", f"/object-query/accounts?filter[]=crmid.EQ:{account['Id']}")
        if found["data"]:
            return str(found["data"][0]["accountNumber"])
        return await self._create_account(account, "")

    async def _create_account(self, account: Json, number: str) -> str:
        body: Json = {
            "name": account["Name"],
            "currency": account["CurrencyIsoCode"],
            "crmId": account["Id"],
            "billCycleDay": 1,
            "autoPay": True,
            "billToContact": {
                "firstName": "Accounts",
                "lastName": "Payable",
                "address1": account["BillingStreet"],
                "city": account["BillingCity"],
                "state": account.get("BillingState") or "",
                "zipCode": account["BillingPostalCode"],
                "country": account["BillingCountryCode"],
                "workEmail": account["Billing_Email__c"],
            },
        }
        if number:
            body["accountNumber"] = number
        try:
            made = await self._vendors.zuora("POST", "/v1/accounts", key=number, json=body)
        except Refused as error:
            if number and "already exists" in str(error):  # another deal of this customer was quicker
                return number
            raise
        return str(made["accountNumber"])

    async def erp_customer(self, deal: Json) -> str:
        """NetSuite's internal id of the customer, made when it is not there."""
        account = deal["account"]
        address = {
            "addr1": account["BillingStreet"],
            "city": account["BillingCity"],
            "zip": account["BillingPostalCode"],
            "country": {"id": account["BillingCountryCode"]},
        }
        if account.get("BillingState"):
            address["state"] = account["BillingState"]
        body = {
            "companyName": account["Name"],
            "subsidiary": {"refName": self._subsidiaries[deal["opportunity"]["Legal_Entity__c"]]},
            "currency": {"refName": account["CurrencyIsoCode"]},
            "email": account["Billing_Email__c"],
            "phone": account["Phone"],
            "url": account["Website"],
            "addressBook": {"items": [{"defaultBilling": True, "addressBookAddress": address}]},
        }
        if self._keys:
            path = f"/record/v1/customer/eid:SF-{account['Id']}"
            _, internal_id = await self._vendors.netsuite("PUT", path, json=body)
            return internal_id
        name = account["Name"].replace("'", "''")
        query = {"q": f"SELECT id FROM customer WHERE companyname = '{name}'"}
        found, _ = await self._vendors.netsuite("POST", "/query/v1/suiteql", json=query)
        if found["items"]:
            return str(found["items"][0]["id"])
        _, internal_id = await self._vendors.netsuite("POST", "/record/v1/customer", json=body)
        return internal_id

    # --- documents ----------------------------------------------------------------------------------------------------

    async def subscription(self, deal: Json, account_number: str) -> str:
        """The subscription's number, ordered in Zuora."""
        opportunity = deal["opportunity"]
        key = f"O-{opportunity['Id']}" if self._keys else ""
        body = self._order(deal, account_number)
        try:
            made = await self._vendors.zuora("POST", "/v1/orders", key=key, json=body)
        except Refused as error:
            if key and "already exists" in str(error):  # ordered by an attempt whose answer was lost
                return f"S-{opportunity['Id']}"
            raise
        return str(made["subscriptionNumbers"][0])

    def _order(self, deal: Json, account_number: str) -> Json:
        opportunity, starts = deal["opportunity"], deal["opportunity"]["Contract_Start__c"]
        term = {"period": opportunity["Term_Months__c"], "periodType": "Month"}
        creation: Json = {
            "paymentTerm": opportunity["Payment_Terms__c"],
            "terms": {
                "initialTerm": {**term, "termType": "TERMED", "startDate": starts},
                "autoRenew": False,
                "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
                "renewalTerms": [term],
            },
            "subscribeToRatePlans": [p for line in deal["lines"] for p in self._rate_plans(line, opportunity)],
        }
        order: Json = {
            "orderDate": opportunity["CloseDate"],
            "existingAccountNumber": account_number,
            "description": f"Opportunity {opportunity['Id']}",
            "subscriptions": [{"orderActions": [{"type": "CreateSubscription", "createSubscription": creation}]}],
        }
        order["subscriptions"][0]["orderActions"][0]["triggerDates"] = [
            {"name": name, "triggerDate": starts}
            for name in ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
        ]
        if self._keys:
            order["orderNumber"], creation["subscriptionNumber"] = f"O-{opportunity['Id']}", f"S-{opportunity['Id']}"
        return order

    def _rate_plans(self, line: Json, opportunity: Json) -> list[Json]:
        """The line's charge; where periods do not divide its amount, a one-time charge for the cents."""
        product, starts = line["Product2"]["ProductCode"], line["ServiceDate"]
        begin = {"triggerEvent": "SpecificDate", "specificTriggerDate": starts}
        if line["Charge_Type__c"] == "One-Time":
            price = {"oneTimeFlatFee": {"listPrice": line["TotalPrice"]}}
            return [self._plan(product, {"description": line["Description"], "pricing": price, "startDate": begin})]
        ends = date.fromisoformat(line["Service_End__c"]) + timedelta(days=1)
        months = (ends.year - int(starts[:4])) * 12 + ends.month - int(starts[5:7])
        periods = months // PERIODS[opportunity["Billing_Period__c"]]
        charge: Json = {
            "description": line["Description"],
            "startDate": begin,
            "endDate": {"endDateCondition": "Specific_End_Date", "specificEndDate": ends.isoformat()},
            "billing": {
                "billingPeriod": opportunity["Billing_Period__c"],
                "billCycleType": "ChargeTriggerDay",
                "billingPeriodAlignment": "AlignToCharge",
            },
        }
        if line["Charge_Type__c"] == "Usage":
            charge["pricing"] = {"usageTiered": {"tiers": _tiers(line["Usage_Tiers__c"])}}
            return [self._plan(product, charge)]
        net = Decimal(str(line["TotalPrice"]))
        each = (net / periods).quantize(Decimal("0.01"), ROUND_DOWN)
        charge["pricing"] = {"recurringFlatFee": {"listPrice": float(each), "listPriceBase": "Per_Billing_Period"}}
        plans = [self._plan(product, charge)]
        if rest := net - each * periods:
            price = {"oneTimeFlatFee": {"listPrice": float(rest)}}
            plans.append(self._plan("ROUNDING", {"description": "Rounding", "pricing": price, "startDate": begin}))
        return plans

    def _plan(self, product: str, charge: Json) -> Json:
        known = self._products.get(product) or {"zuora_rate_plan": f"PRP-{product}", "zuora_charge": f"PRPC-{product}"}
        override = {"productRatePlanChargeNumber": known["zuora_charge"], **charge}
        return {"productRatePlanNumber": known["zuora_rate_plan"], "chargeOverrides": [override]}

    async def sales_order(self, deal: Json, customer_id: str, subscription: str) -> str:
        """NetSuite's internal id of the sales order."""
        opportunity = deal["opportunity"]
        body = {
            "entity": {"id": customer_id},
            "subsidiary": {"refName": self._subsidiaries[opportunity["Legal_Entity__c"]]},
            "currency": {"refName": opportunity["CurrencyIsoCode"]},
            "terms": {"refName": opportunity["Payment_Terms__c"]},
            "tranDate": opportunity["CloseDate"],
            "startDate": opportunity["Contract_Start__c"],
            "endDate": max(line["Service_End__c"] for line in deal["lines"]),
            "memo": f"Subscription {subscription}",
            "custbody_crm_opportunity": opportunity["Id"],
            "custbody_zuora_subscription": subscription,
            "item": {"items": [self._item(line, opportunity) for line in deal["lines"]]},
        }
        if self._keys:
            path = f"/record/v1/salesOrder/eid:SF-{opportunity['Id']}?replace=item"
            return (await self._vendors.netsuite("PUT", path, json=body))[1]
        return (await self._vendors.netsuite("POST", "/record/v1/salesOrder", json=body))[1]

    def _item(self, line: Json, opportunity: Json) -> Json:
        item = {
            "item": {"refName": self._products[line["Product2"]["ProductCode"]]["netsuite_item"]},
            "quantity": line["Quantity"] or 1,
            "rate": line["UnitPrice"] if line["Quantity"] else 0,
            "amount": line["TotalPrice"],
            "description": line["Description"],
            "custcol_crm_line": line["Id"],
            "custcol_rev_start": line["ServiceDate"],
            "custcol_rev_end": line["Service_End__c"],
        }
        if line["Charge_Type__c"] == "Recurring":
            item["billingSchedule"] = {"refName": SCHEDULES[opportunity["Billing_Period__c"]]}
        return item

    async def project(self, deal: Json) -> str:
        """Kantata's id of the project, "" for a deal without services."""
        opportunity = deal["opportunity"]
        services = [line for line in deal["lines"] if line["Product2"]["ProductCode"] in SERVICES]
        if not services:
            return ""
        reference = {"service_name": "crm", "service_model": "opportunity", "service_model_ref": opportunity["Id"]}
        workspace: Json = {
            "title": f"{opportunity['Name']} - implementation",
            "creator_role": "maven",
            "currency": opportunity["CurrencyIsoCode"],
            "start_date": min(line["ServiceDate"] for line in services),
            "due_date": max(line["Service_End__c"] for line in services),
            "budgeted": True,
            "price": round(sum(line["TotalPrice"] for line in services)),
        }
        if self._keys:
            workspace["external_reference"] = {**reference, "status": "successful"}
            asked = {f"external_reference_{name}": value for name, value in reference.items()}
            asked["external_reference_service_model_refs"] = asked.pop("external_reference_service_model_ref")
            found = await self._vendors.kantata("GET", "/workspaces", params=asked)
            if found["results"]:
                return str(found["results"][0]["id"])
        made = await self._vendors.kantata("POST", "/workspaces", json={"workspace": workspace})
        return str(made["results"][0]["id"])

    async def status(self, deal: Json, account: str, subscription: str, order: str, project: str) -> str:
        """Tell the CRM; returns what it says now."""
        told = "Project opened" if project else "Order posted"
        fields = {
            "Tieline_Status__c": told,
            "Billing_Account__c": account,
            "Subscription__c": subscription,
            "ERP_Order__c": order,
            "Project__c": project,
        }
        path = f"/sobjects/Opportunity/{deal['opportunity']['Id']}"
        await self._vendors.salesforce("PATCH", path, json=fields)
        return told


def _tiers(text: str) -> list[Json]:
    """ "10000:0; 50000:0.02; *:0.015" as Zuora's tiers."""
    tiers: list[Json] = []
    starts = 0
    for number, part in enumerate(text.split(";"), start=1):
        up_to, _, price = part.strip().partition(":")
        tier: dict[str, Any] = {"tier": number, "startingUnit": starts, "price": float(price), "priceFormat": "PerUnit"}
        if up_to != "*":
            tier["endingUnit"], starts = int(up_to), int(up_to) + 1
        tiers.append(tier)
    return tiers
