// Code node "Queries": what to ask Salesforce about the deal that was won.
const id = $json.body.opportunity_id;
return {
  json: {
    deal:
      'SELECT Id, Name, AccountId, CloseDate, CurrencyIsoCode, Legal_Entity__c, Contract_Start__c, Term_Months__c, ' +
      'Billing_Period__c, Payment_Terms__c, (SELECT Id, Quantity, UnitPrice, TotalPrice, ServiceDate, Service_End__c, ' +
      'Description, Charge_Type__c, Usage_Tiers__c, Product2.ProductCode FROM OpportunityLineItems ORDER BY SortOrder) ' +
      `FROM Opportunity WHERE Id = '${id}'`,
    account:
      'SELECT Id, Name, BillingStreet, BillingCity, BillingState, BillingPostalCode, BillingCountryCode, Phone, ' +
      "Website, CurrencyIsoCode, Billing_Email__c FROM Account WHERE Id = '?'",
  },
};
