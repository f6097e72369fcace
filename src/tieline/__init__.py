"""Tieline links CRM, billing and back-office ERP, and proves what happened to the money."""
