"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const CLASSES = ["congestion", "policy", "malformed", "routing", "no-receiver", "unknown", "lifecycle"];

  // Everything from the recording becomes text through here, never markup.
  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) if (child !== undefined && child !== null) node.append(child);
    return node;
  }
  function svg(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  const number = (n) => Number(n).toLocaleString("en-US");
  function scaled(n) {
    const units = ["", "k", "M", "G", "T", "P"];
    let unit = 0;
    while (n >= 999.5 && unit < units.length - 1) { n /= 1000; unit++; }
    const digits = n >= 99.95 || n === 0 ? 0 : n >= 9.995 ? 1 : 2;
    return { text: String(Number(n.toFixed(digits))), unit: units[unit] };
  }
  const short = (n) => { const { text, unit } = scaled(n); return unit ? `${text} ${unit}` : text; };
  const rate = (count, ms) => `${short(ms > 0 ? count * 1000 / ms : 0)}/s`;
  const bytes = (n) => { const { text, unit } = scaled(n); return `${text} ${unit}B`; };
  function share(part, all) {
    const percent = all ? 100 * part / all : 0;
    if (part && percent < 0.05) return "<0.1 %";
    if (part < all && percent >= 99.95) return ">99.9 %";
    return `${percent.toFixed(1)} %`;
  }
  function span(ms) {
    const s = ms / 1000;
    if (s < 10) return `${Number(s.toFixed(2))} s`;
    if (s < 60) return `${Math.floor(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  }
  const when = (text) => text.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  const dot = (name) => el("span", { class: `dot c-${name}`, "aria-hidden": "true" });
  const about = data.estimated ? "~" : "";

  // State, and where it is drawn.
  const hidden = new Set();
  const open = new Set();
  let wanted = "", sort = { by: "count", down: true }, chosen = null;

  const byClass = {};
  for (const kind of data.kinds) byClass[kind.class] = (byClass[kind.class] || 0) + kind.count;
  const classes = CLASSES.filter((name) => byClass[name] || data.timeline.counts[name]);
  const loss = data.drops - (byClass.lifecycle || 0);
  // Normal ends are no loss: they are shown to those who ask.
  if (loss > 0) hidden.add("lifecycle");
  data.kinds.forEach((kind, index) => {
    kind.id = index;
    kind.text = [kind.function, kind.reason, kind.class, kind.line,
      ...kind.places.rows.flatMap((row) => [row.site, row.device, row.netns, row.protocol]),
      ...kind.flows.rows.flatMap((flow) => [flow.source, flow.destination]),
      ...kind.owners.rows.map((owner) => owner.name),
      ...kind.findings.map((place) => data.findings[place]).flatMap(({ check, subject }) => [check, subject])].filter(Boolean).join("\n").toLowerCase();
  });

  // Light and dark: the system's, until somebody chooses.
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let theme = null;
  try { theme = localStorage.getItem("netdrop-theme"); } catch { /* a file may have no storage */ }
  function paint() {
    const now = theme || (system.matches ? "dark" : "light");
    root.dataset.theme = now;
    $("theme").textContent = now === "dark" ? "☀ Light" : "☾ Dark";
  }
  $("theme").addEventListener("click", () => {
    theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("netdrop-theme", theme); } catch { /* then it is forgotten */ }
    paint();
  });
  system.addEventListener("change", paint);
  paint();

  function head() {
    $("files").textContent = data.files.join(", ");
    $("headline").textContent = data.drops
      ? `${about}${number(data.drops)} packets dropped in ${span(data.elapsed_ms)}`
      : `No packets dropped in ${span(data.elapsed_ms)}`;
    const place = data.hosts.map((host) => [host.name, host.kernel && `Linux ${host.kernel}`].filter(Boolean).join(", "));
    if (data.start) place.push(`${when(data.start)} to ${when(data.end)}`);
    if (data.runs > 1) place.push(`${data.runs} runs, shown one behind the other`);
    $("place").textContent = place.join("  ·  ");
    const top = data.kinds.find((kind) => kind.class !== "lifecycle") || data.kinds[0];
    const steps = totals((name) => name !== "lifecycle");
    const peak = Math.max(0, ...steps);
    const detailed = data.accounts.detailed, passed = data.accounts.seen - data.accounts.filtered;
    const card = (name, value, more) => $("cards").append(el("div", { class: "card" },
      el("div", { class: "name" }, name), el("div", { class: value.length > 12 ? "value long" : "value", title: value }, value), el("div", { class: "more", title: more }, more)));
    card("Lost", number(loss), byClass.lifecycle ? `and ${short(byClass.lifecycle)} lifecycle, no loss` : "no lifecycle drops beside");
    card("On average", rate(loss, data.elapsed_ms), `${bytes(data.bytes)} in all`);
    if (steps.length) card("At most", rate(peak, data.timeline.step_ms), `lost in ${span(data.timeline.step_ms)}`);
    if (top) card("First cause", top.reason || top.function, `${share(top.count, data.drops)} of all, ${top.function}`);
    card("With details", number(detailed), passed ? `${share(detailed, passed)} of all; counts are exact` : "counts are exact");
  }

  function totals(of) {
    const counts = Object.entries(data.timeline.counts).filter(([name]) => of(name)).map(([, each]) => each);
    const length = Math.max(0, ...counts.map((each) => each.length));
    return Array.from({ length }, (_, step) => counts.reduce((sum, each) => sum + (each[step] || 0), 0));
  }

  function legend() {
    $("legend").replaceChildren(...classes.map((name) => el("button", {
      type: "button", "aria-pressed": String(!hidden.has(name)), "data-class": name,
      onclick: () => { hidden.has(name) ? hidden.delete(name) : hidden.add(name); draw(); },
    }, dot(name), name, el("span", { class: "n" }, short(byClass[name] || 0)))));
  }

  // A scale whose quarters people like to read.
  function nice(most) {
    const ten = 10 ** Math.floor(Math.log10(Math.max(most, 1e-9)));
    return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((n) => n * ten).find((n) => n >= most * 0.999);
  }

  function timeline() {
    const shown = classes.filter((name) => !hidden.has(name) && data.timeline.counts[name]);
    const length = totals(() => true).length;
    if (!length) {
      $("timeline").replaceChildren(el("p", { class: "empty" }, "The recording has no counts over time: it holds details alone."));
      return;
    }
    const width = Math.max($("timeline").clientWidth, 280), height = 210, left = 52, bottom = 24, top = 8;
    const perSecond = 1000 / Math.max(data.timeline.step_ms, 1);
    const sums = Array.from({ length }, (_, step) =>
      shown.reduce((sum, name) => sum + (data.timeline.counts[name][step] || 0), 0) * perSecond);
    const most = nice(Math.max(...sums, perSecond / 10));
    const x = (step) => left + (width - left) * step / length;
    const y = (value) => top + (height - top - bottom) * (1 - value / most);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Drops a second over ${span(length * data.timeline.step_ms)}, by class` });
    for (let line = 0; line <= 4; line++) {
      const value = most * line / 4;
      picture.append(
        svg("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }),
        svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, line ? `${short(value)}/s` : "0"));
    }
    const ticks = Math.min(length, Math.max(2, Math.floor(width / 170)));
    for (let tick = 0; tick < ticks; tick++) {
      const step = Math.round(length * tick / ticks);
      picture.append(svg("text", { x: x(step), y: height - 6 }, tick ? `+${span(step * data.timeline.step_ms)}` : data.start ? data.start.slice(11, 19) : "0 s"));
    }
    const gap = length > 120 ? 0 : Math.min(2, (width - left) / length / 5);
    for (let step = 0; step < length; step++) {
      const column = svg("g", { class: "column" });
      let base = 0;
      for (const name of [...shown].reverse()) {
        const value = (data.timeline.counts[name][step] || 0) * perSecond;
        if (!value) continue;
        column.append(svg("rect", { class: `c-${name}`, x: x(step), width: x(step + 1) - x(step) - gap, y: y(base + value), height: Math.max(y(base) - y(base + value), 0.8) }));
        base += value;
      }
      column.append(svg("rect", { class: "hit", x: x(step), width: x(step + 1) - x(step), y: top, height: height - top - bottom }));
      column.addEventListener("mousemove", (event) => tell(event, step, shown));
      column.addEventListener("mouseleave", () => { $("tip").hidden = true; });
      picture.append(column);
    }
    $("timeline").replaceChildren(picture);
  }

  function tell(event, step, shown) {
    const tip = $("tip"), ms = data.timeline.step_ms;
    const rows = shown.map((name) => [name, data.timeline.counts[name][step] || 0]).filter(([, count]) => count);
    tip.replaceChildren(
      el("strong", {}, `+${span(step * ms)} to +${span((step + 1) * ms)}`),
      ...rows.map(([name, count]) => el("div", {}, dot(name), name, el("b", {}, `${number(count)} (${rate(count, ms)})`))),
      rows.length ? "" : el("div", {}, "nothing"));
    tip.hidden = false;
    const wide = tip.offsetWidth + 24;
    tip.style.left = `${event.clientX + wide > innerWidth ? event.clientX - wide + 8 : event.clientX + 16}px`;
    tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
  }

  function functions() {
    const sums = new Map();
    for (const kind of data.kinds.filter((kind) => !hidden.has(kind.class))) {
      const sum = sums.get(kind.function) || { name: kind.function, count: 0, parts: {} };
      sum.count += kind.count;
      sum.parts[kind.class] = (sum.parts[kind.class] || 0) + kind.count;
      sums.set(kind.function, sum);
    }
    const all = [...sums.values()].sort((a, b) => b.count - a.count);
    const shown = all.slice(0, 12), most = shown.length ? shown[0].count : 1;
    const bar = ({ name, count, parts }) => el("button", {
      type: "button", "aria-pressed": String(chosen === name), title: name,
      onclick: () => { chosen = chosen === name ? null : name; draw(); },
    },
    el("span", { class: "mono" }, name),
    el("span", { class: "track" }, classes.filter((one) => parts[one]).map((one) => {
      const part = el("span", { class: `c-${one}` });
      part.style.width = `${100 * parts[one] / most}%`;
      return part;
    })),
    el("span", { class: "n" }, about + number(count), el("i", {}, share(count, data.drops))));
    $("functions").replaceChildren(shown.length
      ? el("div", { class: "bars" }, shown.map(bar))
      : el("p", { class: "empty" }, "Nothing to show."),
    all.length > shown.length ? el("p", { class: "hint" }, `and ${number(all.length - shown.length)} more functions`) : "");
  }

  function accounts() {
    const of = data.accounts;
    const rows = [
      ["with details", of.detailed, "their packets were looked at"],
      ["sampled out", of.sampled_out, "counted exactly, without a look at the packet"],
      ["ring full", of.ring_full, "counted exactly, details lost as there was no room", "lost"],
      ["filtered", of.filtered, "left out by a filter of the user's"],
    ].filter(([, count], index) => count || index < 2);
    const missing = [
      ["in no row", of.table_full, "the kernel's counter table was full", "lost"],
      ["not seen", of.recursion_misses, "kept from netdrop by the kernel's recursion guard", "lost"],
      ["without call chain", of.stackless || 0, "the table of stacks had no place for it", "lost"],
    ].filter(([, count]) => count);
    const row = ([name, count, why, kind]) => el("tr", { class: kind }, el("td", {}, name, el("small", {}, why)), el("td", {}, number(count)));
    const sum = of.detailed + of.sampled_out + of.ring_full + of.filtered;
    $("accounts").replaceChildren(
      el("table", { class: "accounts" }, el("tbody", {},
        el("tr", { class: "sum" }, el("td", {}, "Drops seen"), el("td", {}, number(of.seen))),
        rows.map(row), missing.map(row))),
      el("p", { class: "balance" }, sum === of.seen
        ? "✓ The accounts balance: every drop that was seen is in one of them."
        : `✗ The accounts don't balance: they sum to ${number(sum)}.`));
  }

  const COLUMNS = [
    { name: "Reason", by: "reason", text: true }, { name: "Function", by: "function", text: true },
    { name: "Drops", by: "count", num: true }, { name: "Share" }, { name: "Average", num: true },
    { name: "Over time" },
  ];
  function titles() {
    $("titles").replaceChildren(...COLUMNS.map((column) => {
      if (!column.by) return el("th", { class: column.num ? "num" : "", scope: "col" }, column.name);
      const now = sort.by === column.by;
      return el("th", { class: column.num ? "num" : "", scope: "col", "aria-sort": now ? (sort.down ? "descending" : "ascending") : "none" },
        el("button", { type: "button", onclick: () => {
          sort = { by: column.by, down: now ? !sort.down : !column.text };
          draw();
        } }, column.name + (now ? (sort.down ? " ↓" : " ↑") : "")));
    }));
  }

  function visible() {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const order = (a, b) => {
      const [x, y] = [a[sort.by] || "", b[sort.by] || ""];
      const result = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
      return (sort.down ? -result : result) || a.id - b.id;
    };
    return data.kinds.filter((kind) => !hidden.has(kind.class) && (!chosen || kind.function === chosen)
      && words.every((word) => kind.text.includes(word))).sort(order);
  }

  function spark(counts) {
    const most = Math.max(...counts, 1), wide = 140 / Math.max(counts.length, 1);
    return svg("svg", { viewBox: "0 0 140 26", preserveAspectRatio: "none", "aria-hidden": "true" },
      ...counts.flatMap((count, step) => count ? [svg("rect", {
        x: (step * wide).toFixed(2), width: Math.max(wide - (wide > 4 ? 1 : 0), 0.8).toFixed(2),
        height: Math.max(24 * count / most, 1).toFixed(2), y: (26 - Math.max(24 * count / most, 1)).toFixed(2),
      })] : []));
  }

  function rows() {
    const shown = visible();
    const nodes = [];
    for (const kind of shown) {
      const isOpen = open.has(kind.id);
      const part = el("span", { class: `c-${kind.class}` });
      part.style.width = `${data.drops ? 100 * kind.count / data.drops : 0}%`;
      const toggle = () => {
        open.has(kind.id) ? open.delete(kind.id) : open.add(kind.id);
        rows();
        const button = $(`opener-${kind.id}`);
        if (button) button.focus({ preventScroll: true });
      };
      const opener = el("button", { type: "button", class: "opener", id: `opener-${kind.id}`, "aria-expanded": String(isOpen), "aria-controls": `detail-${kind.id}` },
        el("span", { class: "arrow", "aria-hidden": "true" }, "▶"), dot(kind.class),
        el("span", {}, el("span", { class: "why" }, kind.reason || "no reason given"), el("span", { class: "class" }, kind.class),
          kind.findings.map((place) => data.findings[place]).map(({ severity, check }) => el("span", { class: "tie", "data-severity": severity }, el("b", {}, severity), ` ${check}`))));
      nodes.push(el("tr", { class: isOpen ? "kind open" : "kind", "data-kind": kind.id, onclick: toggle },
        el("td", {}, opener),
        el("td", { class: "func mono" }, kind.function),
        el("td", { class: "num" }, (kind.estimated ? "~" : "") + number(kind.count)),
        el("td", { class: "share" }, el("div", { class: "track" }, part), el("span", { class: "class" }, share(kind.count, data.drops))),
        el("td", { class: "num" }, rate(kind.count, data.elapsed_ms)),
        el("td", { class: "spark" }, spark(kind.course))));
      if (isOpen) nodes.push(el("tr", { class: "detail", id: `detail-${kind.id}` }, el("td", { colspan: COLUMNS.length }, drill(kind))));
    }
    if (!shown.length) nodes.push(el("tr", {}, el("td", { colspan: COLUMNS.length }, el("p", { class: "empty" }, data.kinds.length ? "Nothing matches the filter." : "No drops."))));
    $("rows").replaceChildren(...nodes);
    const drops = shown.reduce((sum, kind) => sum + kind.count, 0);
    const isAll = shown.length === data.kinds.length;
    $("shown").textContent = isAll ? "" : `${number(shown.length)} of ${number(data.kinds.length)} rows, ${number(drops)} drops${chosen ? `, in ${chosen}` : ""}${wanted || chosen || hidden.size > 1 ? "" : "; lifecycle is hidden"}`;
    const [kinds, left] = data.left;
    $("left").textContent = kinds ? `${number(kinds)} more rows with ${number(left)} drops are left out of this page.` : "";
  }

  // What a row opens.
  function drill(kind) {
    const advice = kind.advice.map((name) => data.advice[name]).filter(Boolean);
    return el("div", { class: "drill" },
      kind.findings.length ? el("div", { class: "wide" }, el("h3", {}, "What the doctor found"), kind.findings.map((place) => finding(data.findings[place], false))) : "",
      el("div", {}, advice.length ? advice.map(meaning) : el("p", { class: "hint" }, "The knowledge base doesn't know this reason or function.")),
      el("div", {}, places(kind), flows(kind), owners(kind)),
      stacks(kind), packets(kind));
  }

  function meaning(advice, index) {
    const items = (title, list) => list.length ? [el("h3", {}, title), el("ul", {}, list.map((text) => el("li", {}, text)))] : [];
    const steps = (title, list) => list.length ? [el("h3", {}, title), ...list.map(step)] : [];
    const more = index > 0 ? el("h3", {}, `${advice.kind} ${advice.name}`) : el("h3", {}, "What it means");
    return [more, el("p", { class: "meaning" }, advice.meaning),
      advice.normal ? [el("h3", {}, "When it is normal"), el("p", {}, advice.normal)] : [],
      items("Causes", advice.causes), steps("To be sure", advice.confirm), steps("Remedy", advice.remedy),
      advice.caution ? el("p", { class: "caution" }, el("strong", {}, "Caution: "), advice.caution) : "",
      advice.sources.length ? [el("h3", {}, "In the kernel"), el("p", { class: "mono hint" }, advice.sources.join(", "))] : []];
  }

  function step({ command, note }) {
    if (!command) return el("div", { class: "step" }, note);
    const copy = el("button", { type: "button", class: "copy", onclick: async () => {
      try { await navigator.clipboard.writeText(command); copy.textContent = "copied"; } catch { copy.textContent = "can't copy"; }
    } }, "copy");
    return el("div", { class: "step" }, el("div", { class: "cmd" }, el("code", {}, command), copy),
      note ? el("div", { class: "note-text" }, note) : "");
  }

  // A finding, all of it.
  function finding(one, isOpen) {
    return el("details", { class: "finding", "data-severity": one.severity, open: isOpen },
      el("summary", {}, el("b", { class: "severity" }, one.severity), el("b", {}, one.subject), ` ${one.sentence}`),
      list("Evidence", ["What", "Read from", "How it stood"], one.evidence.map(([what, stood, from]) => [what, from, stood])),
      el("h3", {}, `Cause (${one.certainty})`), el("p", {}, one.cause),
      one.remedies.length ? el("h3", {}, "Remedy") : "", one.remedies.map(remedy),
      one.caution ? el("p", { class: "caution" }, el("strong", {}, "Caution: "), one.caution) : "",
      el("h3", {}, "To see whether it helped"), step({ command: one.verify }));
  }
  function remedy({ what, now, persistently, is_command }) {
    const lasting = is_command ? step({ command: persistently, note: "so that it stays so" }) : persistently ? el("p", {}, `For good: ${persistently}`) : "";
    return el("div", { class: "remedy" }, el("p", {}, what), now.map((command) => step({ command })), lasting);
  }
  function findings() {
    // The worst one is read at once.
    $("findings").replaceChildren(...data.findings.map((one, place) => finding(one, place === 0)));
    $("doctor").hidden = data.findings.length === 0;
  }

  function list(title, names, records, rest, what) {
    if (!records.length) return [];
    const cells = (record) => record.map((cell, index) => el("td", { class: index === record.length - 1 ? "num" : "mono" }, cell));
    return [el("h3", {}, title), el("table", { class: "list" },
      el("thead", {}, el("tr", {}, names.map((name, index) => el("th", { class: index === names.length - 1 ? "num" : "", scope: "col" }, name)))),
      el("tbody", {}, records.map((record) => el("tr", {}, cells(record))),
        rest ? el("tr", { class: "rest" }, el("td", { colspan: names.length - 1 }, what), el("td", { class: "num" }, number(rest))) : ""))];
  }
  const without = (names, records) => {
    const keep = names.map((_, index) => records.some((record) => record[index] !== ""));
    const cut = (all) => all.filter((_, index) => keep[index]);
    return [cut(names), records.map(cut)];
  };

  function places(kind) {
    const [names, records] = without(["Site", "Device", "Namespace", "Protocol", "Drops"],
      kind.places.rows.map((row) => [row.site, row.device, row.netns, row.protocol, number(row.count)]));
    const parts = list("Where", names, records, kind.places.rest, "elsewhere");
    return kind.line ? [...parts, el("p", { class: "hint mono" }, kind.line)] : parts;
  }
  const note = (kind) => kind.weight < kind.count ? " (estimated from sampled packets)" : "";
  const flows = (kind) => list(`Flows${note(kind)}`, ["From", "To", "Protocol", "Drops"],
    kind.flows.rows.map((flow) => [flow.source, flow.destination, flow.protocol, number(flow.count)]), kind.flows.rest, "other flows");
  const owners = (kind) => list(`Whose sockets${note(kind)}`, ["Process", "Drops"],
    kind.owners.rows.map((owner) => [owner.name, number(owner.count)]), kind.owners.rest, "others");

  function stacks(kind) {
    if (!kind.stacks.rows.length) return "";
    return el("div", { class: "wide" }, el("h3", {}, "Call chains, the function that dropped first"),
      kind.stacks.rows.map(({ frames, count }) => [el("p", { class: "hint" }, `${number(count)} drops`), el("pre", { class: "chain" }, frames.join("\n"))]).flat(),
      kind.stacks.rest ? el("p", { class: "hint" }, `${number(kind.stacks.rest)} drops came by other call chains.`) : "");
  }

  function packets(kind) {
    const left = kind.sampled - kind.samples.length;
    const title = kind.samples.length ? `Packets: ${number(kind.samples.length)} of ${number(kind.sampled)} with details` : "Packets";
    return el("div", { class: "wide packets" }, el("h3", {}, title),
      kind.samples.length ? kind.samples.map(packet) : el("p", { class: "hint" }, "No packet of these was sampled."),
      left > 0 ? el("p", { class: "hint" }, `${number(left)} more are left out of this page, evenly over the time; the recording has them.`) : "");
  }

  function endpoint(end) {
    if (!end || !end.address) return "?";
    if (end.port === undefined) return end.address;
    return end.address.includes(":") ? `[${end.address}]:${end.port}` : `${end.address}:${end.port}`;
  }
  function packet(drop) {
    const at = drop.packet || {};
    const way = at.source || at.destination ? `${endpoint(at.source)} → ${endpoint(at.destination)}` : "no addresses";
    const box = el("details", { class: "packet" },
      el("summary", {}, el("span", { class: "mono" }, String(drop.time || "").slice(11, 26)),
        el("span", { class: "mono" }, [at.protocol, way].filter(Boolean).join("  ")),
        el("span", { class: "hint" }, `${number(at.length || 0)} B${drop.weight > 1 ? `, stands for ${number(drop.weight)}` : ""}`)));
    box.addEventListener("toggle", () => {
      if (box.open && box.children.length < 2) box.append(fields(drop));
    });
    return box;
  }
  function fields(drop) {
    const rows = [];
    const walk = (path, value) => {
      if (Array.isArray(value) && value.every((item) => typeof item !== "object")) rows.push([path, value.join("\n")]);
      else if (value !== null && typeof value === "object") for (const [name, inner] of Object.entries(value)) walk(path ? `${path}.${name}` : name, inner);
      else rows.push([path, String(value)]);
    };
    const { v, kind, ...rest } = drop;
    walk("", rest);
    return el("dl", { class: "fields" }, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, value)]));
  }

  function draw() {
    legend();
    timeline();
    functions();
    titles();
    rows();
  }

  // What is folded couldn't be read on paper.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details.finding:not([open])")];
    for (const finding of unfolded) finding.open = true;
  });
  addEventListener("afterprint", () => { for (const finding of unfolded) finding.open = false; });
  addEventListener("resize", timeline);
  $("filter").addEventListener("input", () => { wanted = $("filter").value; rows(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      $("filter").focus();
    } else if (event.key === "Escape") {
      chosen = null;
      wanted = $("filter").value = "";
      draw();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.classList.contains("opener")) {
      const all = [...document.querySelectorAll(".opener")];
      const next = all[all.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) { event.preventDefault(); next.focus(); }
    }
  });
  head();
  accounts();
  findings();
  if (data.counters.length) {
    $("counters").textContent = data.counters.join("\n").trim();
    $("counters-panel").hidden = false;
  }
  $("foot").textContent = `Made by netdrop ${data.version}. Counts are the kernel's and exact unless marked ~; flows, processes and call chains are shares by sampled packets. Keys: / filters, ↑ ↓ move between rows, Enter opens one, Esc shows all.`;
  draw();
  root.dataset.ready = "true";
})();
