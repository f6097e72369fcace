
const at = (id) => document.getElementById(id);
const SHOWN = 200;
const NAMED = ["Name", "name", "title", "companyName", "tranId", "orderNumber", "subscriptionNumber", "invoiceNumber", "accountNumber", "externalId", "entityId", "itemId"];
const KEYS = ["Id", "id", "accountId", "key"];
let health = null;
let seen = "";

async function call(method, path, body) {
  const answer = await fetch("/_sandbox" + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  const read = await answer.json();
  if (!answer.ok) throw new Error(read.error || answer.statusText);
  return read;
}

/** An element with a class and content; text stays text. */
function make(tag, name, ...content) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...content.filter((each) => each !== null && each !== undefined && each !== ""));
  return made;
}

function tell(text, bad = false) {
  const told = at("told");
  told.textContent = text;
  told.className = bad ? "bad" : "";
  told.hidden = !text;
  clearTimeout(tell.timer);
  if (text && !bad) tell.timer = setTimeout(() => tell(""), 4000);
}

const moment = (text) => text.slice(0, 19).replace("T", " ");
const pretty = (text) => { try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; } };
const plural = (number, one) => `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

function nothing(text) {
  return make("div", "row quiet", text);
}

/** A line that opens to show more, made only when it is opened. */
function unfolding(line, inside) {
  const details = make("details", "row", make("summary", "", line));
  details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(...inside()); });
  return details;
}

const show = {
  async documents() {
    const kinds = await call("GET", "/kinds");
    const select = at("kind");
    const wanted = select.value || Object.keys(kinds).find((kind) => kinds[kind]) || Object.keys(kinds)[0];
    const names = Object.keys(kinds).sort((a, b) => (kinds[b] > 0) - (kinds[a] > 0) || a.localeCompare(b));
    select.replaceChildren(...names.map((kind) => new Option(`${kind} (${kinds[kind]})`, kind, false, kind === wanted)));
    const text = at("text").value.trim();
    const documents = kinds[wanted]
      ? (await call("GET", `/documents/${encodeURIComponent(wanted)}?last=${SHOWN}&text=${encodeURIComponent(text)}`))[wanted] : [];
    at("found").textContent = documents.length === SHOWN ? `The latest ${SHOWN}${text ? " that match" : ` of ${kinds[wanted]}`}; search for others.` : "";
    at("records").replaceChildren(...documents.reverse().map(record), ...(documents.length ? [] : [nothing(text ? "Nothing matches." : "None yet.")]));
  },

  async requests() {
    const { requests } = await call("GET", "/requests?last=1000");
    const text = at("asked").value.trim().toLowerCase();
    const wanted = requests.filter((each) => (!at("refused").checked || each.refused || each.fault) && (!text || JSON.stringify(each).toLowerCase().includes(text)));
    at("log").replaceChildren(...wanted.reverse().slice(0, SHOWN).map(request), ...(wanted.length ? [] : [nothing(requests.length ? "Nothing matches." : "No request yet.")]));
  },

  async webhooks() {
    const { pending, failed, log } = await call("GET", "/webhooks");
    at("deliveries").textContent = `${pending} under way, ${failed} given up`;
    at("resend").disabled = !failed;
    at("sent").replaceChildren(...log.reverse().slice(0, SHOWN).map(delivery), ...(log.length ? [] : [nothing("No webhook has been sent yet.")]));
  },

  async faults() {
    const [ordered, struck] = await Promise.all([call("GET", "/faults"), call("GET", "/faults/struck")]);
    at("ordered").replaceChildren(...ordered.map(fault), ...(ordered.length ? [] : [nothing("None: everything works.")]));
    at("calm").disabled = !ordered.length;
    at("struck").textContent = Object.entries(struck).map(([kind, times]) => `${kind} ${times}×`).join(", ") || "None.";
  },

  async world() {
    const names = health.snapshots;
    at("cannot").hidden = names !== null;
    at("can").hidden = names === null;
    at("snapshots").replaceChildren(...(names || []).map((name) => {
      const button = make("button", "small", "Restore");
      button.addEventListener("click", () => turn("restore", { name }));
      return make("div", "row", make("div", "line", make("span", "name grow", name), button));
    }).reverse());
  },
};

function record(content) {
  const key = KEYS.map((name) => content[name]).find((value) => value !== undefined);
  const name = NAMED.map((each) => content[each]).find((value) => typeof value === "string" && value);
  const status = content.status?.refName ?? content.status ?? content.Status ?? content.StageName;
  const line = make("div", "line", make("span", "name", String(name ?? key ?? "document")), make("span", "aside", name && key !== undefined ? String(key) : ""),
    make("span", "aside", typeof status === "string" ? status : ""));
  return unfolding(line, () => [make("pre", "", JSON.stringify(content, null, 2))]);
}

function request(entry) {
  const outcome = entry.status === null ? "no answer" : String(entry.status);
  const line = make("div", "line", make("span", "aside", moment(entry.at)), make("span", entry.refused || entry.status === null ? "bad" : "good", outcome),
    make("span", "name", entry.method), make("span", "path", entry.path + (entry.query ? "?" + entry.query : "")),
    make("span", "warn", entry.fault ? `fault: ${entry.fault}` : ""), make("span", "aside", `${entry.ms} ms`));
  const words = entry.refused ? make("p", "words", entry.refused.length > 300 ? entry.refused.slice(0, 300) + "…" : entry.refused) : null;
  if (entry.request_headers === undefined) return make("div", "row", line, words);
  return unfolding(make("div", "", line, words), () => [
    make("pre", "", lines(entry.request_headers), "\n\n", pretty(entry.request)), make("pre", "", lines(entry.response_headers), "\n\n", pretty(entry.response))]);
}

const lines = (headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\n");

function delivery(entry) {
  const good = /^2\d\d$/.test(entry.outcome);
  return make("div", "row", make("div", "line", make("span", "aside", moment(entry.at)), make("span", good ? "good" : "bad", entry.outcome),
    make("span", "name", entry.about), make("span", "path", entry.url), make("span", "aside", entry.attempt ? `attempt ${entry.attempt}` : "")));
}

function fault(entry) {
  const parts = [entry.kind === "status" && entry.status, entry.method, entry.path && `path has ${entry.path}`, entry.body && `body has ${entry.body}`,
    entry.code, entry.seconds && `${entry.seconds} s`, entry.days && plural(entry.days, "day"), entry.skip && `after ${entry.skip} more`,
    entry.times && `${entry.times}×`, entry.struck && `struck ${entry.struck}×`];
  const button = make("button", "small", "End");
  button.addEventListener("click", () => act(() => call("DELETE", `/faults/${entry.id}`), "The fault is over."));
  return make("div", "row", make("div", "line", make("span", "name", entry.kind), make("span", "grow", parts.filter(Boolean).join(", ")), button));
}

const tab = () => (location.hash.slice(1) in show ? location.hash.slice(1) : "documents");

/** Look again; what is open or under the cursor is left alone unless something was done. */
async function look(anyway = false) {
  health = await call("GET", "/health");
  at("facts").textContent = `${moment(health.now)} UTC · ${plural(health.requests, "request")}`;
  at("bodies").checked = health.bodies;
  const { on, exchanges, full } = health.recording;
  at("recording").textContent = on ? "Stop recording" : "Record";
  at("download").hidden = !exchanges;
  at("recorded").textContent = exchanges || on ? `${plural(exchanges, "exchange")} recorded${full ? ", and no room for more" : on ? " so far" : ""}` : "A recording can be answered again without this sandbox.";
  const now = `${tab()} ${health.requests} ${health.branch}`;
  const section = at(tab());
  if (!anyway && tab() !== "webhooks" && (now === seen || section.querySelector("details[open]"))) return;
  seen = now;
  await show[tab()]();
}

function navigate() {
  for (const name of Object.keys(show)) at(name).hidden = name !== tab();
  for (const link of document.querySelectorAll("nav a")) link.toggleAttribute("aria-current", link.hash === "#" + tab());
  return act(() => null);
}

async function act(deed, done = "") {
  try {
    await deed();
    if (done) tell(done);
    await look(true);
  } catch (error) {
    tell(error.message, true);
  }
}

/** A snapshot or a restore: done when another branch of the world answers. */
async function turn(which, order) {
  await act(async () => {
    const before = (await call("GET", "/health")).branch;
    const { name } = await call("POST", "/" + which, order);
    for (let tries = 0; tries < 100; tries += 1) {
      await new Promise((wake) => setTimeout(wake, 50));
      const now = await call("GET", "/health").catch(() => ({ branch: before }));
      if (now.branch !== before) return tell(which === "snapshot" ? `“${name}” is remembered.` : `The world is as “${name}” remembers it.`);
    }
    throw new Error(`the sandboxes did not ${which} their world in 5 s`);
  });
}

async function advance(order) {
  const buttons = document.querySelectorAll("#world button");
  tell("The clock moves…");
  buttons.forEach((button) => { button.disabled = true; });
  await act(() => call("POST", "/clock", order).then(({ now }) => tell(`It is ${moment(now)}.`)));
  buttons.forEach((button) => { button.disabled = false; });
}

function filled(form) {
  const numbers = new Set(["status", "times", "skip", "seconds", "days"]);
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== "").map(([name, value]) => [name, numbers.has(name) ? Number(value) : value]));
}

function submitted(id, deed) {
  at(id).addEventListener("submit", (event) => { event.preventDefault(); deed(event.target); });
}

let typing;
for (const id of ["text", "asked"]) at(id).addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => act(() => null), 200); });
for (const id of ["kind", "refused"]) at(id).addEventListener("change", () => act(() => null));
at("bodies").addEventListener("change", (event) => act(() => call("POST", "/record", { bodies: event.target.checked })));
at("recording").addEventListener("click", () => {
  const { on, exchanges } = health.recording;
  if (on || !exchanges || confirm("Forget the earlier recording?")) act(() => call(on ? "DELETE" : "POST", "/recording"));
});
at("download").addEventListener("click", () => location.assign("/_sandbox/recording"));
at("resend").addEventListener("click", () => act(() => call("POST", "/webhooks"), "Sent again."));
at("calm").addEventListener("click", () => act(() => call("DELETE", "/faults"), "All faults are over."));
at("reset").addEventListener("click", () => {
  if (confirm("Forget every document, token, setting, fault, webhook and request of this vendor?")) act(() => call("POST", "/reset"), "Everything is forgotten.");
});
document.querySelectorAll("[data-days]").forEach((button) => button.addEventListener("click", () => advance({ days: Number(button.dataset.days) })));
submitted("until", (form) => advance(filled(form)));
submitted("take", (form) => turn("snapshot", filled(form)).then(() => form.reset()));
submitted("fault", (form) => act(() => call("POST", "/faults", filled(form)).then(() => form.reset()), "The fault is ordered."));
addEventListener("hashchange", navigate);
navigate();
setInterval(() => { if (!document.hidden) look().catch(() => { at("facts").textContent = "The sandbox does not answer."; }); }, 2000);
