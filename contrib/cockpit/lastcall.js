"use strict";
// The page shows what `lastcall … --json` says, and starts `lastcall shutdown` and `lastcall hook`: it knows nothing of
// libvirt and of lastcall's files. Programs are started by lists of words, never through a shell. Whatever a guest is
// called, and whatever a program says, becomes text of the page (`put`), and never markup.
/* global cockpit */

const VERSION = 1; // of the documents, which stays as long as no field goes away
const MOST_SAID = 200_000; // characters of a command that are kept on the page
const EXITS = {
  0: "All went as planned.",
  1: "Not everything went as planned; the output says what.",
  2: "lastcall did not understand the command, or nobody fits it any more.",
  3: "lastcall is not on duty.",
  4: "There is no permission for that, or the system refused a file.",
  5: "Another run is under way.",
  6: "The configuration is invalid.",
  70: "That is a bug in lastcall.",
  75: "Guests wait for what they need for their start.",
};
const NEEDS_ADMIN = "This needs administrative access: turn it on at the top of Cockpit.";
const at = (id) => document.getElementById(id);

// ---- Programs

// Where sudo has no /usr/local/bin in its path, as on Fedora, lastcall is there all the same.
const PROGRAMS = ["lastcall", "/usr/local/bin/lastcall"];
let program = 0;

/** Run lastcall to its end: {code, out, error}. `code` is null where it could not be run, or was ended by a signal. */
function ask(words, options, hear) {
  return new Promise((resolve) => {
    let out = "";
    const tried = program;
    const process = cockpit.spawn([PROGRAMS[tried], ...words], { err: "message", ...options });
    process.stream((data) => (hear ? hear(data) : (out += data)));
    process.then(
      () => resolve({ code: 0, out, error: "" }),
      (problem) => {
        if (problem.problem === "not-found" && tried + 1 < PROGRAMS.length) {
          program = tried + 1;
          resolve(ask(words, options, hear));
        } else {
          resolve({ code: problem.problem ? null : problem.exit_status, out, error: reason(problem) });
        }
      },
    );
  });
}

function reason(problem) {
  if (problem.problem === "not-found") {
    return "There is no program `lastcall` in the path of this session. " +
      "A virtual environment needs a link in /usr/local/bin.";
  }
  if (problem.problem === "access-denied") return NEEDS_ADMIN;
  if (problem.exit_signal) return `It was ended by the signal ${problem.exit_signal}.`;
  return problem.message || String(problem.problem);
}

/** A JSON document of lastcall; raises {title, text}. Later ones may have more fields, which nobody here asks for. */
async function read(...words) {
  const { code, out, error } = await ask([...words, "--json"], { superuser: "try" });
  let told = null;
  try {
    told = JSON.parse(out);
  } catch {
    // What is no document is an error, and is told on standard error.
  }
  if (told === null || typeof told !== "object") {
    const title = code === null ? "lastcall could not be run." : (EXITS[code] ?? `Exit code ${code}.`);
    throw { title, text: code === 4 ? `${error}\n${NEEDS_ADMIN}` : error };
  }
  if (told.version !== VERSION) {
    throw {
      title: "lastcall is newer or older than this page: " +
        `\`${words[0]} --json\` has version ${told.version}, not ${VERSION}.`,
      text: "Install the page that came with this lastcall.",
    };
  }
  return told;
}

// ---- Text and elements

/** Text as it is to be seen: what hides, jumps or turns the writing around is spelt out. */
function visible(text) {
  return String(text ?? "").replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu,
    (one) => (/[\u200c\u200d]/.test(one) ? one : `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`),
  );
}

/** An element with attributes and children, of which texts become text. */
function put(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  return fill(made, attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  // Several lines stay lines in <pre>; anywhere else their ends are as telling as other signs that are not to be seen.
  const seen = made.tagName === "PRE" ? (text) => String(text).split("\n").map(visible).join("\n") : visible;
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false)
    .map((one) => (one instanceof Node ? one : seen(one))));
  return made;
}

const named = (name) => put("bdi", {}, name);
const list = (value) => (Array.isArray(value) ? value : []);
const SIGNS = { good: "✓ ", odd: "! ", bad: "✗ " };
const badge = (rating, text) => put("span", { class: `badge ${rating}` }, SIGNS[rating] + text);
const several = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function notice(title, text, rating = "bad") {
  return put("div", { class: `alert ${rating}`, role: rating === "bad" ? "alert" : null },
    put("p", { class: "title" }, title), text ? put("pre", {}, text) : null);
}

function problems(found) {
  return list(found).map((one) => {
    const error = one.severity !== "warning";
    return put("div", { class: `alert ${error ? "bad" : "odd"}` },
      put("p", { class: "title" }, error ? "✗ error: " : "! warning: ", named(one.where)),
      put("p", {}, one.message), one.remedy ? put("p", {}, `→ ${one.remedy}`) : null);
  });
}

function facts(pairs) {
  const shown = pairs.filter(([, told]) => told !== null && told !== undefined && told !== "");
  return put("dl", { class: "facts" },
    shown.map(([name, told]) => put("div", {}, put("dt", {}, name), put("dd", {}, told))));
}

/** A table with a name for who cannot see it, its headings, and rows that each begin with what they are about. */
function table(name, headings, rows) {
  return put("table", {},
    put("caption", { class: "out" }, name),
    put("thead", {}, put("tr", {}, headings.map((one) => put("th", { scope: "col" }, one)))),
    put("tbody", {}, rows.map(([first, ...cells]) =>
      put("tr", {}, put("th", { scope: "row" }, first), cells.map((one) => put("td", {}, one))))));
}

/** Seconds as lastcall writes them: 3.2s, 90s, 9min30s. */
function duration(seconds) {
  if (typeof seconds !== "number") return "not known";
  if (seconds < 120) return `${Number(seconds.toFixed(1))}s`;
  const whole = Math.round(seconds);
  const parts = [[Math.floor(whole / 3600), "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  return parts.filter(([number]) => number).map(([number, unit]) => `${number}${unit}`).join("");
}

/** A moment of RFC 3339 by the clock of whoever reads. */
function moment(text) {
  const when = new Date(text);
  const two = (number) => String(number).padStart(2, "0");
  if (Number.isNaN(when.getTime())) return String(text);
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ` +
    `${two(when.getHours())}:${two(when.getMinutes())}`;
}

// ---- Status

function showStatus(told) {
  const why = [told.why].flat().filter((one) => typeof one === "string" && one);
  const waiting = list(told.guests);
  const kept = [
    put("p", {}, told.on_duty ? badge("good", "on duty") : badge("bad", "not on duty"), " ",
      why.join("; ") || (told.on_duty ? "Guests are stopped with this host, and brought back."
        : "Guests are not stopped with this host: `lastcall install` puts it on duty.")),
  ];
  if (told.announced) {
    kept.push(put("p", {}, badge("odd", "announced"), ` The next host stop is for: ${told.announced.reason}.`));
  }
  for (const run of list(told.unseen)) {
    const guests = list(run.guests).flatMap((one, index) => [index ? ", " : " ", named(one.name), ` (${one.outcome})`]);
    kept.push(put("div", { class: "alert odd" },
      put("p", { class: "title" }, `! ${run.kind} of ${moment(run.started)}:`, guests),
      put("p", {}, "→ `lastcall report --ack` notes that it was seen.")));
  }
  for (const [uri, said] of Object.entries(told.silent ?? {})) {
    kept.push(notice(`libvirt did not answer for ${uri}: whether its guests are back is not known.`, said, "odd"));
  }
  if (waiting.length) {
    kept.push(table("Guests that wait to be brought back", ["Waits to be brought back", "Since", "Was", "How"],
      waiting.map((one) => [named(one.name), moment(one.since), one.state, comesBack(one)])));
  } else {
    kept.push(put("p", {}, "No guest waits to be brought back."));
  }
  return kept;
}

function comesBack(guest) {
  if (guest.bad_image) return "parked: its saved image does not load";
  if (guest.parked) return "parked: by hand only";
  if (guest.waits_for) return `waits for ${guest.waits_for}`;
  return guest.due ? "by itself, at a boot" : "by hand: `lastcall restore`";
}

// ---- The plan, as a timeline

/** What the timeline of a guest consists of: [kind, from, to, words], seconds from the start of the run. */
function segments(guest, milestones, end) {
  const found = [];
  const until = milestones.last_resort ?? end;
  if (typeof guest.asked_usually === "number" && typeof guest.takes_usually === "number") {
    const [from, to] = [guest.asked_usually, guest.asked_usually + guest.takes_usually];
    found.push(["usual", from, to, `usually from ${duration(from)} to ${duration(to)}`]);
  }
  let now = guest.asked_latest ?? 0;
  if (now > 0) found.push(["waiting", 0, now, `waits until ${duration(now)} at the latest`]);
  const rungs = list(guest.stop).filter((one) => !one.unfit);
  const hooks = hookTime(guest, rungs);
  if (hooks > 0) {
    found.push(["hook", now, now + hooks, `hooks, ${duration(hooks)} at most`]);
    now += hooks;
  }
  for (const rung of rungs) {
    const to = typeof rung.timeout === "number" ? now + rung.timeout : Math.max(now, until);
    const lasts = typeof rung.timeout === "number" ? duration(rung.timeout) : "to the end";
    found.push(["rung", now, Math.min(to, end), `${rung.method}, ${lasts}`]);
    now = Math.min(to, end);
  }
  if (list(guest.last_resort).length) {
    const from = Math.min(now, until);
    found.push(["resort", from, from, `last resort at ${duration(from)}: ${guest.last_resort.join(", ")}`]);
  }
  return found;
}

/** Seconds of the hooks of a guest at worst: as they are told, else what is left of its time without its ladder. */
function hookTime(guest, rungs) {
  const calls = list(guest.calls).filter((one) => one.hook === "on_guest_stop" && typeof one.limit === "number");
  if (calls.length) return calls.reduce((sum, one) => sum + one.limit, 0);
  if (typeof guest.takes_at_worst !== "number" || rungs.some((one) => one.timeout === null)) return 0;
  return Math.max(0, guest.takes_at_worst - rungs.reduce((sum, one) => sum + one.timeout, 0));
}

/** Where the time of the plan ends: at the deadline, or where the last guest is done. */
function endOf(told) {
  const deadline = told.run.milestones?.end ?? told.run.deadline;
  if (typeof deadline === "number" && deadline > 0) return deadline;
  const ends = list(told.guests)
    .map((one) => (one.asked_latest ?? 0) + (one.takes_at_worst ?? one.takes_usually ?? 0));
  return Math.max(60, ...ends);
}

function ticks(end) {
  const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];
  const step = steps.find((one) => end / one <= 8) ?? end;
  return Array.from({ length: Math.ceil(end / step) }, (_, index) => index * step);
}

const part = (time, end) => `${(100 * Math.min(Math.max(time / end, 0), 1)).toFixed(2)}%`;

function grid(marks, end, height) {
  const line = (kind) => (when) =>
    draw("line", { class: kind, x1: part(when, end), x2: part(when, end), y1: 0, y2: height });
  return [...ticks(end).map(line("grid")), ...marks.map(([, when]) => when).map(line("limit"))];
}

const LEGEND = {
  usual: "usually",
  waiting: "waits, at worst",
  hook: "hooks",
  rung: "asked, for this long at most",
  resort: "last resort",
};
const PLACES = { usual: [6, 9], waiting: [22, 2], hook: [18, 10], rung: [18, 10], resort: [16, 14] };

function track(guest, told, marks, end) {
  const found = segments(guest, told.run.milestones ?? {}, end);
  const bars = found.map(([kind, from, to, words]) => {
    const [y, height] = PLACES[kind];
    const least = kind === "waiting" ? 0 : 0.4 * end / 100;
    const left = Math.min(from, end - least);
    const width = part(Math.max(Math.min(to, end) - left, least), end);
    return draw("rect", { class: kind, x: part(left, end), y, width, height }, draw("title", {}, words));
  });
  const words = found.map(([, , , said]) => said).join("; ") || "no times are known";
  return draw("svg", { role: "img", "aria-label": visible(words) }, grid(marks, end, 34), bars);
}

function axis(end) {
  // The last one would stand over the edge.
  const shown = ticks(end).filter((when) => when / end < 0.93);
  return draw("svg", { class: "axis", "aria-hidden": "true" },
    shown.map((when) => draw("text", { x: part(when, end), y: 13 }, duration(when))));
}

function sample(kind) {
  const height = Math.min(PLACES[kind][1], 10);
  return draw("svg", {}, draw("rect", { class: kind, width: 26, y: 6 - height / 2, height }));
}

function ladder(guest) {
  if (guest.left_because) return `left alone: ${guest.left_because}`;
  const rungs = list(guest.stop).filter((one) => !one.unfit)
    .map((one) => `${one.method} (${one.timeout === null ? "to the end" : `≤ ${duration(one.timeout)}`})`);
  const last = list(guest.last_resort).length ? `; else ${guest.last_resort.join(", ")}` : "";
  return `${rungs.join(" → ") || "nothing fits it"}${last}${guest.restore ? "" : "; not restored"}`;
}

let planned = [];
let chosen = new Set(); // keys of guests
const keyOf = (guest) => `${guest.uri} ${guest.uuid}`;

function showPlan(told) {
  const end = endOf(told);
  const { usual, worst } = told.run;
  const milestones = told.run.milestones ?? {};
  const marks = [["everybody is asked by", milestones.last_ask], ["last resort from", milestones.last_resort]]
    .filter(([, when]) => typeof when === "number");
  const turn = (guest) => (guest.left_because ? Infinity : (guest.asked_usually ?? guest.asked_latest ?? 0));
  planned = [...list(told.guests)].sort((one, other) => (turn(one) - turn(other) || 0) ||
    (one.asked_latest ?? 0) - (other.asked_latest ?? 0) ||
    String(one.name).localeCompare(String(other.name), "en", { numeric: true }));
  chosen = new Set(planned.map(keyOf).filter((key) => chosen.has(key)));
  const known = planned.some((guest) => typeof guest.takes_usually === "number");
  const shown = [
    facts([
      ["usually over after", known && usual ? duration(usual.seconds) : "not known yet"],
      ["at worst", worst ? duration(worst.seconds) : null],
      ["deadline", told.run.deadline === null ? "none" : duration(told.run.deadline)],
      ["even the worst case", told.run.fits ? badge("good", "fits") : badge("odd", "does not fit")],
      ...marks.map(([name, when]) => [name, duration(when)]),
    ]),
    problems(told.problems),
  ];
  if (list(worst?.path).length > 1) {
    shown.push(put("p", {}, "The longest chain: ",
      worst.path.map((one, index) => [index ? " → " : "", named(one)]), "."));
  }
  if (!planned.length) return [...shown, put("p", {}, "No guest is active.")];
  shown.push(
    put("ul", { class: "legend", "aria-hidden": "true" },
      Object.entries(LEGEND).map(([kind, words]) => put("li", {}, sample(kind), " ", words))),
    put("table", { class: "plan" },
      put("caption", { class: "out" }, "Guests, how each is stopped, and when"),
      put("thead", {}, put("tr", {},
        put("td", { class: "choice" },
          put("input", { type: "checkbox", id: "everybody", "aria-label": "Choose all guests" })),
        put("th", { scope: "col", class: "who" }, "Guest"), put("th", { scope: "col", class: "how" }, "How"),
        put("th", { scope: "col", class: "when" }, put("span", { class: "out" }, "When"), axis(end)))),
      put("tbody", {}, planned.map((guest, index) => planRow(guest, index, told, marks, end)))),
  );
  const hooks = Object.entries(told.hooks ?? {}).map(([hook, calls]) => put("li", {}, `${hook}: `,
    list(calls).map((one) => one.plugin + (one.not_run ? ` (${one.not_run})` : "")).join(", ")));
  if (hooks.length) shown.push(put("h3", {}, "Hooks"), put("ul", {}, hooks));
  return shown;
}

function planRow(guest, index, told, marks, end) {
  const other = planned.some((one) => one.uri !== guest.uri);
  const after = list(guest.waits_for);
  const box = put("input",
    { type: "checkbox", id: `guest${index}`, "data-key": keyOf(guest), disabled: Boolean(guest.left_because) });
  box.checked = chosen.has(keyOf(guest));
  return put("tr", {},
    put("td", { class: "choice" }, box),
    put("th", { scope: "row", class: "who" }, put("label", { for: `guest${index}` }, named(guest.name)),
      put("small", {}, guest.state === "running" ? null : `${guest.state} `, other ? `on ${guest.uri} ` : null,
        after.length ? ["after ", after.flatMap((one, place) => [place ? ", " : "", named(one)])] : null)),
    put("td", { class: "how" }, ladder(guest)),
    put("td", { class: "when" }, guest.left_because ? null : track(guest, told, marks, end)));
}

// ---- The last run

const RATINGS = { stopped: "good", saved: "good", moved: "good", started: "good", resumed: "good", present: "good", skipped: "odd" };
const rating = (guest) => RATINGS[guest.outcome] ?? "bad";

function showReport(told) {
  const runs = list(told.runs);
  if (!runs.length) return [put("p", {}, "No run has been logged on this host yet.")];
  const [{ run }] = runs;
  const page = put("a", { href: pageAddress(run.id), target: "_blank", rel: "noopener" },
    "The whole report, in a new tab");
  return [...runs.flatMap(showRun), put("p", {}, page)];
}

function showRun({ run, guests, problems: found, complete }) {
  const counts = new Map();
  for (const one of list(guests)) counts.set(one.outcome, (counts.get(one.outcome) ?? 0) + 1);
  const how = !complete ? badge("odd", "cut off, or still under way")
    : run.exit_code === 0 ? badge("good", "as planned") : badge("bad", "not as planned");
  const bad = list(guests).filter((one) => rating(one) === "bad");
  const rest = list(guests).filter((one) => rating(one) !== "bad");
  return [
    put("h3", {}, `${run.kind === "restore" ? "Restore" : "Shutdown"} of ${moment(run.started)} (${run.reason}) `, how),
    facts([["took", duration(run.duration)], ["of at most", run.deadline === null ? null : duration(run.deadline)],
      ...[...counts].map(([outcome, count]) => [outcome, String(count)])]),
    problems(found),
    bad.length ? results(bad, "Guests that did not end as planned") : null,
    rest.length ? put("details", {}, put("summary", {}, several(rest.length, bad.length ? "other guest" : "guest")),
      results(rest, "Guests and what became of them")) : null,
  ].flat().filter(Boolean);
}

function results(guests, caption) {
  const how = (one) => badge(rating(one), one.outcome + (one.method ? ` by ${one.method}` : ""));
  return table(caption, ["Guest", "Outcome", "Took", "Said"],
    guests.map((one) => [named(one.name), how(one), duration(one.duration), one.message]));
}

/** Where Cockpit serves what `lastcall report --html -` prints. A blob would have this page's policy, so no style. */
function pageAddress(id) {
  const channel = {
    payload: "stream", binary: "raw", superuser: "try", host: cockpit.transport.host,
    spawn: [PROGRAMS[program], "report", "--html", "-", "--", id],
    external: { "content-type": "text/html; charset=utf-8" },
  };
  return `${base()}/channel/${cockpit.transport.csrf_token}?${btoa(JSON.stringify(channel))}`;
}

/** `/cockpit`, or what stands in its place where a proxy serves Cockpit elsewhere. */
function base() {
  return new URL(cockpit.transport.uri("channel")).pathname.replace(/\/channel$/, "");
}

// ---- What the buttons do

let busy = false;

function choices() {
  for (const box of document.querySelectorAll("#plan [data-key]")) box.checked = chosen.has(box.dataset.key);
  const able = planned.filter((guest) => !guest.left_because);
  const everybody = at("everybody");
  if (everybody) {
    everybody.checked = able.length > 0 && chosen.size === able.length;
    everybody.indeterminate = chosen.size > 0 && chosen.size < able.length;
  }
  at("acts").hidden = at("acts-note").hidden = !planned.length;
  at("chosen").value = `${several(chosen.size, "guest")} chosen`;
  at("stop").disabled = busy || !chosen.size;
  at("rehearse").disabled = at("hook").disabled = busy || !at("hook").options.length;
}

function choose(event) {
  const { target } = event;
  if (target.id === "everybody") {
    chosen = new Set(target.checked ? planned.filter((guest) => !guest.left_because).map(keyOf) : []);
  } else if (target.dataset.key) {
    chosen[target.checked ? "add" : "delete"](target.dataset.key);
  }
  choices();
}

/** The criteria that mean these guests. As plain words UUIDs would mean guests of that name, too. */
function criteria(guests) {
  const words = (key) => [...new Set(guests.map((one) => one[key]))]
    .flatMap((one) => ["--match", `${key}=${String(one).replace(/[*?[]/g, "[$&]")}`]);
  return [...words("uuid"), ...words("uri")];
}

async function stop() {
  const words = criteria(planned.filter((guest) => chosen.has(keyOf(guest))));
  busy = true;
  choices();
  try {
    const told = await read("plan", "--manual", ...words);
    at("alerts").replaceChildren();
    if (await agreed(told)) await act(["shutdown", "--yes", ...words], "Stopping chosen guests");
  } catch (error) {
    at("alerts").replaceChildren(failure("The chosen guests cannot be stopped.", error));
  } finally {
    busy = false;
    choices();
  }
}

/** Ask whether the guests of this plan are to be stopped: those that lastcall itself names, with what it warns of. */
function agreed(told) {
  const guests = list(told.guests).filter((one) => !one.left_because);
  const dialog = at("question");
  at("question-name").textContent = `Stop ${several(guests.length, "guest")}?`;
  at("yes").textContent = `Stop ${guests.length === 1 ? "it" : "them"}`;
  at("question-text").replaceChildren(
    put("ul", { class: "names" }, guests.map((one) =>
      put("li", {}, named(one.name), ` on ${one.uri}: ${ladder({ ...one, last_resort: [] })}`))),
    ...problems(told.problems),
    put("p", {}, "Those that do not stop by themselves are left running. `lastcall restore` brings them back."),
  );
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

async function rehearse() {
  const hook = at("hook").value;
  const meant = planned.filter((guest) => !guest.left_because && (!chosen.size || chosen.has(keyOf(guest))));
  const guests = /^(on_)?guest_/.test(hook) ? meant.flatMap((guest) => ["--guest", guest.uuid]) : [];
  busy = true;
  choices();
  await act(["hook", hook, "--reason", "poweroff", ...guests], `Rehearsing ${hook}`);
  busy = false;
  choices();
}

/** Run a command that does something; what it says is shown while it says it. */
async function act(words, title) {
  const said = at("said");
  at("output").hidden = false;
  at("output-name").textContent = title;
  at("command").textContent = visible(["lastcall", ...words].join(" "));
  said.replaceChildren();
  at("verdict").replaceChildren(badge("odd", "under way"));
  at("output-name").focus();
  const warn = (event) => event.preventDefault(); // the command ends with the page
  addEventListener("beforeunload", warn);
  const { code, error } = await ask(words, { superuser: "require", err: "out" }, (data) => {
    const text = said.textContent + data.split("\n").map(visible).join("\n");
    said.textContent = text.slice(-MOST_SAID);
    said.scrollTop = said.scrollHeight;
  });
  removeEventListener("beforeunload", warn);
  const told = code === null ? error : (EXITS[code] ?? "lastcall said no more.");
  const result = badge(code === 0 ? "good" : "bad", code === null ? "not done" : `exit code ${code}`);
  at("verdict").replaceChildren(result, ` ${visible(told)}`);
  await refresh();
}

// ---- The whole page

const failure = (title, error) => notice(`${title} ${error.title ?? ""}`.trim(), error.text ?? String(error));

async function show(id, what, title, ...words) {
  try {
    at(id).replaceChildren(...what(await read(...words)).flat());
    return true;
  } catch (error) {
    at(id).replaceChildren(failure(title, error));
    return false;
  }
}

function offerHooks(told) {
  const before = at("hook").value;
  at("hook").replaceChildren(...Object.keys(told.hooks ?? {}).map((one) => put("option", { value: one }, one)));
  if ([...at("hook").options].some((one) => one.value === before)) at("hook").value = before;
}

async function refresh() {
  at("page").setAttribute("aria-busy", "true");
  const plan = (told) => {
    offerHooks(told);
    return showPlan(told);
  };
  const [, fine] = await Promise.all([
    show("status", showStatus, "The status is not known.", "status"),
    show("plan", plan, "There is no plan.", "plan"),
    show("report", showReport, "There is no report.", "report"),
  ]);
  if (!fine) planned = [];
  choices();
  at("page").setAttribute("aria-busy", "false");
}

/** Light or dark as it is chosen in Cockpit, or else as the reader's screen is. */
function dress(style) {
  const wanted = style ?? localStorage.getItem("shell:style") ?? "auto";
  const dark = wanted === "dark" || (wanted === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

dress();
addEventListener("storage", (event) => event.key === "shell:style" && dress());
addEventListener("cockpit-style", (event) => dress(event.detail?.style));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dress());

at("refresh").addEventListener("click", refresh);
at("plan").addEventListener("change", choose);
at("stop").addEventListener("click", stop);
at("rehearse").addEventListener("click", rehearse);
at("yes").addEventListener("click", () => at("question").close("yes"));
at("no").addEventListener("click", () => at("question").close(""));
// Cockpit keeps pages that are not to be seen; whoever comes back wants to see what is, and not what was.
cockpit.addEventListener("visibilitychange", () => cockpit.hidden || busy || refresh());
cockpit.permission({ admin: true }).addEventListener("changed", () => busy || refresh());
cockpit.transport.wait(refresh);
