"""Handlers of what is looked up or set up: the catalogue, usage records, queries, notifications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.zuora import callouts, catalog, imports, query, usage, zoql
from tieline_sandbox.zuora.access import Answer, Call, multipart
from tieline_sandbox.zuora.errors import Category, Record, Refusal, Resource, invalid, missing, not_found
from tieline_sandbox.zuora.handlers import body_of, paged
from tieline_sandbox.zuora.model import Tenant

# Catalogue


def list_products(t: Tenant, call: Call) -> Record:
    rows = list(t.products.rows.values())
    return paged(call, rows, "products", lambda p: catalog.product_view(p, call.base_url), default=10)


def get_product(t: Tenant, call: Call) -> Record:
    return {"success": True, **catalog.product_view(t.products.get(call.params["key"]), call.base_url)}


def rate_plans_of_product(t: Tenant, call: Call) -> Record:
    return catalog.rate_plans_view(t, call.params["key"])


def get_rate_plan(t: Tenant, call: Call) -> Record:
    return {"success": True, **catalog.rate_plan_view(t.rate_plans_catalog.get(call.params["key"]))}


def rate_plans_by_external_id(t: Tenant, call: Call) -> Record:
    key = call.params["key"]
    found = [p for p in t.rate_plans_catalog.rows.values() if key in p["externallyManagedPlanIds"]]
    return {"success": True, "productRatePlans": [catalog.rate_plan_view(p) for p in found]}


def create_object(t: Tenant, call: Call) -> Record:
    kind = call.params["kind"]
    if kind == "usage":
        return {"Success": True, "Id": usage.create(t, body_of(call))["id"]}
    if kind not in catalog.CREATE:
        raise not_found(kind)
    return {"Success": True, "Id": catalog.CREATE[kind](t, body_of(call))["id"]}


def get_object(t: Tenant, call: Call) -> Any:
    record = _object(t, call)
    if record is None:
        return Answer({"done": True, "size": 0, "records": [{}]}, 404)
    return usage.crud_view(record) if call.params["kind"] == "usage" else catalog.pascal(record)


def update_object(t: Tenant, call: Call) -> Any:
    record = _object(t, call)
    if record is None:
        return Answer({"done": True, "size": 0, "records": [{}]}, 404)
    if call.params["kind"] == "usage":
        usage.update(t, record, body_of(call))
    else:
        catalog.update(t, call.params["kind"], record["id"], body_of(call))
    return {"Success": True, "Id": record["id"]}


def delete_object(t: Tenant, call: Call) -> Any:
    record = _object(t, call)
    if record is None:
        return {"success": False, "id": call.params["key"]}
    if call.params["kind"] == "usage" and record["rbeStatus"] != "Pending":
        raise usage.UsageRefused("Only the usage records with the Pending status can be deleted.", "CANNOT_DELETE")
    table = t.usages if call.params["kind"] == "usage" else catalog.table(t, call.params["kind"])
    table.remove(record)
    return {"success": True, "id": record["id"]}


def _object(t: Tenant, call: Call) -> Record | None:
    tables = {"usage": t.usages, "product": t.products, "product-rate-plan": t.rate_plans_catalog}
    tables["product-rate-plan-charge"] = t.charges_catalog
    table = tables.get(call.params["kind"])
    if table is None:
        raise not_found(call.params["kind"])
    return table.find(call.params["key"])


# Usage


def upload_usage(t: Tenant, call: Call) -> Record:
    files = multipart(call.headers.get("content-type", ""), call.raw)
    if "file" not in files:
        raise missing(Resource.USAGE, "file")
    name, content = files["file"]
    if len(content) > usage.FILE_LIMIT_BYTES:
        raise invalid(Resource.USAGE, "The file size exceeds the limit of 4 MB.")
    record = imports.start(t, name, content)
    return {"success": True, "size": len(content), "checkImportStatus": f"/v1/usage/{record['id']}/status"}


def usage_import(t: Tenant, call: Call) -> Record:
    return imports.status_view(t.imports.get(call.params["key"], Resource.USAGE))


def usage_of_account(t: Tenant, call: Call) -> Record:
    account = t.accounts.get(call.params["key"])
    return paged(call, t.usages.where("accountId", account["id"]), "usage", lambda u: usage.view(t, u))


# Queries


def object_query(faults: Faults, *, single: bool) -> Callable[[Tenant, Call], Record]:
    def handler(t: Tenant, call: Call) -> Record:
        kind = call.params["kind"]
        if kind not in query.KINDS:
            raise Refusal(Resource.UNKNOWN, Category.NOT_FOUND, f"Unknown object '{kind}'", 404)
        lag = faults.strike("slow_object_query", method=call.method, path=call.path)
        horizon = query.hidden_after(t, lag.seconds) if lag else None
        if single:
            return query.one(t, kind, call.params["key"], call.query, horizon)
        return query.many(t, kind, call.query, horizon)

    return handler


def query_zoql(faults: Faults) -> Callable[[Tenant, Call], Any]:
    def handler(t: Tenant, call: Call) -> Any:
        body = body_of(call)
        lag = faults.strike("slow_object_query", method=call.method, path=call.path)
        horizon = query.hidden_after(t, lag.seconds) if lag else None
        try:
            batch = (body.get("conf") or {}).get("batchSize")
            return zoql.select(t, str(body.get("queryString") or ""), horizon, batch)
        except zoql.MalformedQuery as error:
            return Answer({"FaultCode": "fns:MALFORMED_QUERY", "FaultMessage": str(error)}, 400)

    return handler


def query_more(t: Tenant, call: Call) -> Any:
    try:
        return zoql.more(t, str(body_of(call).get("queryLocator")))
    except zoql.MalformedQuery as error:
        return Answer({"FaultCode": "fns:INVALID_QUERY_LOCATOR", "FaultMessage": str(error)}, 400)


# Notifications


def create_definition(t: Tenant, call: Call) -> Any:
    body = body_of(call)
    for field in ("name", "eventTypeName"):
        if not body.get(field):
            return _wrong(f"'{field}' may not be empty")
    callout = body.get("callout") or {}
    if body.get("calloutActive") and not callout.get("calloutBaseurl"):
        return _wrong("'callout.calloutBaseurl' may not be empty")
    record = t.stamped({"active": True, "calloutActive": False, "emailActive": False, **body})
    return definition_view(t.definitions.add(record))


def definition_view(record: Record) -> Record:
    """The definition without its callout's password."""
    shown = {k: v for k, v in record.items() if not k.startswith(("created", "updated"))}
    if "calloutAuth" in (callout := shown.get("callout") or {}):
        shown["callout"] = {
            **callout,
            "calloutAuth": {k: v for k, v in callout["calloutAuth"].items() if k != "password"},
        }
    return {**shown, "createdOn": record["createdDate"], "updatedOn": record["updatedDate"]}


def list_definitions(t: Tenant, call: Call) -> Record:
    name = call.first("eventTypeName")
    rows = t.definitions.where("eventTypeName", name) if name else list(t.definitions.rows.values())
    return {"data": [definition_view(r) for r in rows]}


def get_definition(t: Tenant, call: Call) -> Any:
    record = t.definitions.find(call.params["key"])
    return definition_view(record) if record else _wrong("Notification definition not found", 404)


def update_definition(t: Tenant, call: Call) -> Any:
    record = t.definitions.find(call.params["key"])
    if record is None:
        return _wrong("Notification definition not found", 404)
    record.update({k: v for k, v in body_of(call).items() if k not in ("id", "eventTypeName")})
    t.touch(t.definitions, record)
    return definition_view(record)


def delete_definition(t: Tenant, call: Call) -> Any:
    record = t.definitions.find(call.params["key"])
    if record is None:
        return _wrong("Notification definition not found", 404)
    t.definitions.remove(record)
    return Answer({}, 200)


def _wrong(message: str, status: int = 400) -> Answer:
    return Answer({"reasons": [{"code": str(status), "message": message}]}, status)


def callout_history(t: Tenant, call: Call) -> Record:
    rows = [callouts.history_view(r) for r in t.callouts.latest_first()]
    if call.first("failedOnly") == "true":
        rows = [r for r in rows if not r["responseCode"].startswith("2")]
    if category := call.first("eventCategory"):
        rows = [r for r in rows if r["eventCategory"] == category]
    return paged(call, rows, "calloutHistories", lambda r: r)


def resend_callouts(sender: callouts.Callouts) -> Callable[[Tenant, Call], Answer]:
    def handler(t: Tenant, call: Call) -> Answer:
        if not isinstance(call.body, list):
            return _wrong("The request body should be a list of ids.")
        sender.resend([str(i) for i in call.body])
        return Answer({"success": True}, 202)

    return handler
