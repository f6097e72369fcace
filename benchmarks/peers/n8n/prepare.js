// Code node "Prepare": every document of the deal, and the two OAuth 1.0a signatures that NetSuite wants.
const crypto = require('crypto');
const config = __CONFIG__;
const deal = $('Read deal').item.json.records[0];
const account = $json.records[0];
const lines = deal.OpportunityLineItems.records;
const number = `SF-${account.Id}`;
const PERIODS = { Month: 1, Quarter: 3, Annual: 12 };
const SCHEDULES = { Month: 'Monthly', Quarter: 'Quarterly', Annual: 'Annual' };
const SERVICES = ['Implementation', 'Training'];

function sign(method, url) {
  const own = config.systems.netsuite;
  const pct = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
  const oauth = {
    oauth_consumer_key: own.consumer_key,
    oauth_nonce: crypto.randomBytes(12).toString('hex'),
    oauth_signature_method: 'HMAC-SHA256',
    oauth_timestamp: String(Math.floor(Date.now() / 1000)),
    oauth_token: own.token_id,
    oauth_version: '1.0',
  };
  const plain = Object.keys(oauth).sort().map((k) => `${pct(k)}=${pct(oauth[k])}`).join('&');
  const base = [method, pct(url), pct(plain)].join('&');
  const key = `${pct(own.consumer_secret)}&${pct(own.token_secret)}`;
  oauth.oauth_signature = crypto.createHmac('sha256', key).update(base).digest('base64');
  return 'OAuth ' + Object.entries({ realm: own.account, ...oauth }).map(([k, v]) => `${k}="${pct(v)}"`).join(', ');
}

function nextDay(day) {
  return new Date(Date.parse(day + 'T00:00:00Z') + 86400000).toISOString().slice(0, 10);
}

function plan(product, charge) {
  const known = config.products[product];
  return { productRatePlanNumber: known.zuora_rate_plan, chargeOverrides: [{ productRatePlanChargeNumber: known.zuora_charge, ...charge }] };
}

function tiers(text) {
  let starts = 0;
  return text.split(';').map((part, at) => {
    const [upTo, price] = part.trim().split(':');
    const tier = { tier: at + 1, startingUnit: starts, price: Number(price), priceFormat: 'PerUnit' };
    if (upTo !== '*') {
      tier.endingUnit = Number(upTo);
      starts = tier.endingUnit + 1;
    }
    return tier;
  });
}

function plans(line) {
  const begin = { triggerEvent: 'SpecificDate', specificTriggerDate: line.ServiceDate };
  const oneTime = (price) => ({ oneTimeFlatFee: { listPrice: price } });
  const product = line.Product2.ProductCode;
  if (line.Charge_Type__c === 'One-Time') {
    return [plan(product, { description: line.Description, pricing: oneTime(line.TotalPrice), startDate: begin })];
  }
  const ends = nextDay(line.Service_End__c);
  const charge = {
    description: line.Description,
    startDate: begin,
    endDate: { endDateCondition: 'Specific_End_Date', specificEndDate: ends },
    billing: { billingPeriod: deal.Billing_Period__c, billCycleType: 'ChargeTriggerDay', billingPeriodAlignment: 'AlignToCharge' },
  };
  if (line.Charge_Type__c === 'Usage') {
    return [plan(product, { ...charge, pricing: { usageTiered: { tiers: tiers(line.Usage_Tiers__c) } } })];
  }
  const months = (Number(ends.slice(0, 4)) - Number(line.ServiceDate.slice(0, 4))) * 12 + Number(ends.slice(5, 7)) - Number(line.ServiceDate.slice(5, 7));
  const periods = Math.floor(months / PERIODS[deal.Billing_Period__c]);
  const cents = Math.round(line.TotalPrice * 100);
  const each = Math.floor(cents / periods);
  const made = [plan(product, { ...charge, pricing: { recurringFlatFee: { listPrice: each / 100, listPriceBase: 'Per_Billing_Period' } } })];
  const rest = cents - each * periods;
  if (rest) made.push(plan('ROUNDING', { description: 'Rounding', pricing: oneTime(rest / 100), startDate: begin }));
  return made;
}

const term = { period: deal.Term_Months__c, periodType: 'Month' };
const address = { addr1: account.BillingStreet, city: account.BillingCity, zip: account.BillingPostalCode, country: { id: account.BillingCountryCode } };
if (account.BillingState) address.state = account.BillingState;
const services = lines.filter((line) => SERVICES.includes(line.Product2.ProductCode));
const rest = `${config.systems.netsuite.url}/services/rest/record/v1`;

return {
  json: {
    opportunity: deal.Id,
    services: services.length > 0,
    account: {
      accountNumber: number, name: account.Name, currency: account.CurrencyIsoCode, crmId: account.Id, billCycleDay: 1, autoPay: true,
      billToContact: {
        firstName: 'Accounts', lastName: 'Payable', address1: account.BillingStreet, city: account.BillingCity, state: account.BillingState || '',
        zipCode: account.BillingPostalCode, country: account.BillingCountryCode, workEmail: account.Billing_Email__c,
      },
    },
    customer: {
      companyName: account.Name, subsidiary: { refName: config.subsidiaries[deal.Legal_Entity__c] }, currency: { refName: account.CurrencyIsoCode },
      email: account.Billing_Email__c, phone: account.Phone, url: account.Website,
      addressBook: { items: [{ defaultBilling: true, addressBookAddress: address }] },
    },
    customer_signature: sign('PUT', `${rest}/customer/eid:${number}`),
    order: {
      orderNumber: `O-${deal.Id}`, orderDate: deal.CloseDate, existingAccountNumber: number, description: `Opportunity ${deal.Id}`,
      subscriptions: [{
        orderActions: [{
          type: 'CreateSubscription',
          triggerDates: ['ContractEffective', 'ServiceActivation', 'CustomerAcceptance'].map((name) => ({ name, triggerDate: deal.Contract_Start__c })),
          createSubscription: {
            subscriptionNumber: `S-${deal.Id}`, paymentTerm: deal.Payment_Terms__c,
            terms: {
              initialTerm: { ...term, termType: 'TERMED', startDate: deal.Contract_Start__c }, autoRenew: false,
              renewalSetting: 'RENEW_WITH_SPECIFIC_TERM', renewalTerms: [term],
            },
            subscribeToRatePlans: lines.flatMap(plans),
          },
        }],
      }],
    },
    sales_order: {
      entity: { externalId: number }, subsidiary: { refName: config.subsidiaries[deal.Legal_Entity__c] }, currency: { refName: deal.CurrencyIsoCode },
      terms: { refName: deal.Payment_Terms__c }, tranDate: deal.CloseDate, startDate: deal.Contract_Start__c,
      endDate: lines.map((line) => line.Service_End__c).sort().at(-1), memo: `Subscription S-${deal.Id}`,
      custbody_crm_opportunity: deal.Id, custbody_zuora_subscription: `S-${deal.Id}`,
      item: {
        items: lines.map((line) => ({
          item: { refName: config.products[line.Product2.ProductCode].netsuite_item }, quantity: line.Quantity || 1,
          rate: line.Quantity ? line.UnitPrice : 0, amount: line.TotalPrice, description: line.Description, custcol_crm_line: line.Id,
          custcol_rev_start: line.ServiceDate, custcol_rev_end: line.Service_End__c,
          ...(line.Charge_Type__c === 'Recurring' ? { billingSchedule: { refName: SCHEDULES[deal.Billing_Period__c] } } : {}),
        })),
      },
    },
    sales_order_signature: sign('PUT', `${rest}/salesOrder/eid:O-${deal.Id}`),
    workspace: {
      workspace: {
        title: `${deal.Name} - implementation`, creator_role: 'maven', currency: deal.CurrencyIsoCode,
        start_date: services.map((line) => line.ServiceDate).sort()[0], due_date: services.map((line) => line.Service_End__c).sort().at(-1),
        budgeted: true, price: Math.round(services.reduce((sum, line) => sum + line.TotalPrice, 0)),
        external_reference: { service_name: 'crm', service_model: 'opportunity', service_model_ref: deal.Id, status: 'successful' },
      },
    },
    status: { Tieline_Status__c: services.length ? 'Project opened' : 'Order posted', Billing_Account__c: number, Subscription__c: `S-${deal.Id}` },
  },
};
