"use strict";
(() => {
  const { runs, texts, trajectories } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const OUTCOMES = { solved: "solved", failed: "not solved", unknown: "unknown", infrastructure: "infrastructure failure" };

  // Everything from a run is text and is only ever set as text.
  const h = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...inside.flat().filter((one) => one !== null && one !== undefined && one !== ""));
    return made;
  };
  const plain = (n) => (n === null || n === undefined ? "" : Array.isArray(texts[n]) ? texts[n][0] : texts[n]);
  const whole = (n) => (Array.isArray(texts[n]) ? texts[n][1] : null);
  const number = (n) => n.toLocaleString("en-US");
  const clipped = (n) => {
    const of = n === null || n === undefined ? null : whole(n);
    return of === null ? null
      : h("span", { class: "clip" }, `shown ${number(Math.min(of, [...plain(n)].length))} of ${number(of)} characters`);
  };
  const block = (tag, cls, n) => (plain(n) ? h(tag, { class: cls }, ...lit(plain(n)), clipped(n)) : null);
  const seconds = (s) => (s >= 1 ? `${s.toFixed(1)} s` : s >= 0.001 ? `${(1000 * s).toFixed(0)} ms` : `${(1e6 * s).toFixed(0)} µs`);
  const signed = (x) => (x > 0 ? "+" : "") + Number(x.toFixed(4)).toString().replace("-", "−");

  // The words searched for are marked in what is read.
  let words = [];
  const lit = (text) => {
    if (!words.length) return [text];
    const pattern = new RegExp(words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "gi");
    const parts = [];
    let at = 0;
    for (const found of text.matchAll(pattern)) {
      parts.push(text.slice(at, found.index), h("mark", {}, found[0]));
      at = found.index + found[0].length;
    }
    return [...parts, text.slice(at)];
  };

  // The list, and what is searched in.
  const lower = [];
  const low = (n) => (n === null || n === undefined ? "" : (lower[n] ??= plain(n).toLowerCase()));
  const searched = (t) => (t.words ??= [
    t.goal, t.final,
    ...t.steps.flatMap((s) => [s.observation, s.action, s.completion,
      ...(s.calls ?? []).flatMap((c) => [c.arguments, c.result, c.error]), ...(s.rounds ?? []).map((r) => r[0])]),
  ].filter((n) => n !== null && n !== undefined));
  const named = (t) => `${t.id} ${t.task} ${t.category} ${(t.failure ?? []).slice(0, 2).join(" ")}`.toLowerCase();
  const matches = (t, wanted) => wanted.every((w) => named(t).includes(w) || searched(t).some((n) => low(n).includes(w)));

  const stepsOf = (t) => `${t.length} step${t.length === 1 ? "" : "s"}`;
  const sub = (t) => [
    t.category, runs.length > 1 ? runs[t.run] : null, t.sample ? `sample ${t.sample}` : null,
    stepsOf(t), t.reward === null ? null : `return ${Number(t.reward.toFixed(3))}`,
    t.outcome === "infrastructure" ? `${t.failure[0]} failure` : null,
  ].filter(Boolean).join(" · ");
  const rows = trajectories.map((t, index) => h("li", { "data-index": index },
    h("button", { type: "button", class: "row", "data-id": t.id, onclick: () => open(index, true) },
      h("span", { class: `mark o-${t.outcome}`, role: "img", "aria-label": OUTCOMES[t.outcome] }),
      h("span", { class: "goal" }, plain(t.goal) || t.task),
      h("span", { class: "sub" }, sub(t)))));
  $("list").append(...rows);

  const options = (select, all, entries) =>
    select.append(h("option", { value: "" }, all), ...entries.map(([value, name]) => h("option", { value }, name)));
  const counted = (key) => {
    const counts = new Map();
    for (const t of trajectories) counts.set(t[key], (counts.get(t[key]) ?? 0) + 1);
    return counts;
  };
  const outcomes = counted("outcome");
  options($("f-outcome"), "all outcomes",
    Object.entries(OUTCOMES).filter(([o]) => outcomes.has(o)).map(([o, name]) => [o, `${name} (${outcomes.get(o)})`]));
  options($("f-category"), "all categories", [...counted("category")].sort().map(([c, n]) => [c, `${c} (${n})`]));
  options($("f-run"), "all runs", runs.map((name, index) => [String(index), name]));
  $("l-run").hidden = runs.length < 2;

  const filter = () => {
    words = $("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [outcome, category, run] = ["f-outcome", "f-category", "f-run"].map((id) => $(id).value);
    let shown = 0;
    trajectories.forEach((t, index) => {
      const fits = (!outcome || t.outcome === outcome) && (!category || t.category === category)
        && (!run || t.run === Number(run)) && matches(t, words);
      rows[index].hidden = !fits;
      shown += fits;
    });
    $("count").textContent = shown === trajectories.length ? `${shown} trajectories` : `${shown} of ${trajectories.length} trajectories`;
  };
  let waiting = 0;
  $("q").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  for (const id of ["f-outcome", "f-category", "f-run"]) $(id).addEventListener("change", filter);
  $("filters").addEventListener("submit", (event) => { event.preventDefault(); filter(); });

  // One trajectory.
  const call = (c) => h("div", { class: "call" },
    h("div", {}, h("span", { class: "name mono" }, c.name),
      h("span", { class: "meta" }, `  ${c.ran ? seconds(c.seconds) : "not run"}${c.truncated ? ", result cut by the tool" : ""}`)),
    block("pre", "", c.arguments), block("pre", "", c.result), block("pre", "error", c.error));
  const folded = (title, content) => {
    const fill = () => { if (made.children.length === 1) made.append(...content()); };
    const made = h("details", {}, h("summary", { onclick: fill }, title));
    made.addEventListener("toggle", () => { if (made.open) fill(); });
    return made;
  };
  const prompt = (s) => s.prompt.map(([role, n]) =>
    h("div", { class: "message" }, h("b", {}, role), h("div", { class: "said" }, plain(n)), clipped(n)));
  const ids = (found) => [h("ul", { class: "ids mono" }, found.map((id) => h("li", {}, id)))];
  const offered = (s) => [
    h("ul", { class: "options" }, (s.admissible ?? []).map((n) => h("li", {}, plain(n)))),
    s.offered > (s.admissible ?? []).length ? h("span", { class: "clip" }, `shown ${(s.admissible ?? []).length} of ${s.offered} actions`) : null,
  ].filter(Boolean);
  const tokens = ([prompt, completion, cached]) =>
    `${number(prompt)} + ${number(completion)} tokens${cached ? ` (${number(cached)} cached)` : ""}`;
  const meta = (s) => [
    s.model, s.policy ? `policy ${s.policy}` : null, s.role, s.segment ? `segment ${s.segment}` : null,
    s.tokens ? tokens(s.tokens) : null, s.cost ? `${s.cost.toPrecision(3)} USD` : null,
    s.model_s ? `model ${seconds(s.model_s)}` : null, s.environment_s ? `world ${seconds(s.environment_s)}` : null,
    s.unshown ? `prompt of ${s.unshown} messages left out` : null,
  ].filter(Boolean).join(" · ");
  const step = (s) => {
    const asked = new Set((s.rounds ?? []).flatMap((r) => r[1]));
    const byId = new Map((s.calls ?? []).map((c) => [c.id, c]));
    return h("li", { class: "step", id: `step-${s.index}`, "data-step": s.index },
      h("span", { class: "no" }, String(s.index + 1)),
      h("div", {},
        block("p", "said", s.observation),
        (s.rounds ?? []).flatMap((r) => [block("p", "thought", r[0]), ...r[1].map((id) => byId.get(id)).filter(Boolean).map(call)]),
        (s.calls ?? []).filter((c) => !asked.has(c.id)).map(call),
        block("p", "thought", s.completion),
        h("p", { class: "act" }, ...(s.action === null ? ["(no action)"] : lit(plain(s.action))),
          s.validity ? h("span", { class: "badge bad" }, s.validity.replaceAll("_", " ")) : null,
          s.reward ? h("span", { class: `badge ${s.reward > 0 ? "solved" : "bad"}` }, `reward ${signed(s.reward)}`) : null,
          s.ends ? h("span", { class: "badge" }, s.ends) : null,
          clipped(s.action)),
        h("p", { class: "meta" }, meta(s)),
        h("div", { class: "more" },
          s.recalled ? folded(`${s.recalled.length} recalled`, () => ids(s.recalled)) : null,
          s.withheld ? folded(`${s.withheld.length} withheld`, () => ids(s.withheld)) : null,
          s.prompt ? folded(`prompt, ${s.prompt.length} messages`, () => prompt(s)) : null,
          s.offered ? folded(`${s.offered} admissible actions`, () => offered(s)) : null,
          s.info ? folded("info", () => [h("pre", {}, s.info)]) : null)));
  };
  const mark = (s) => (s.reward > 0 ? "plus" : s.reward < 0 ? "minus" : s.validity ? "bad" : s.calls ? "tool" : "");
  const strip = (t) => h("div", { class: "strip", "aria-hidden": "true" }, t.steps.map((s) =>
    h("button", { type: "button", tabindex: "-1", class: mark(s), title: `step ${s.index + 1}: ${plain(s.action) || "(no action)"}`,
      onclick: () => $(`step-${s.index}`).scrollIntoView({ block: "start" }) })));
  const verdict = (v) => h("div", { class: "call" },
    h("div", {}, h("span", { class: "name" }, `judged by ${v.judge}: ${v.passed ? "passed" : "not passed"}`),
      h("span", { class: "meta" }, `  score ${v.score}, confidence ${v.confidence}`)),
    block("p", "said", v.critique), v.evidence.map(call));
  const others = (t) => trajectories.map((one, index) => [one, index])
    .filter(([one]) => one !== t && one.task === t.task && (one.run !== t.run || one.sample !== t.sample || one.attempt !== t.attempt))
    .slice(0, 12);
  const detail = (t) => {
    const same = others(t);
    const gap = t.steps.findIndex((s, i) => i && s.index !== t.steps[i - 1].index + 1);
    const steps = t.steps.map(step);
    if (gap > 0) steps.splice(gap, 0, h("li", { class: "end quiet" }, `${t.length - t.steps.length} of ${t.length} steps are left out here`));
    return [
      h("div", { class: "head" },
        h("h3", {}, ...lit(plain(t.goal) || t.task)), clipped(t.goal),
        h("p", { class: "sub" }, h("span", { class: `badge ${t.outcome}` }, OUTCOMES[t.outcome]),
          h("span", { class: "badge" }, t.category), runs.length > 1 ? h("span", { class: "badge" }, runs[t.run]) : null,
          [stepsOf(t), `ended: ${t.stop.replaceAll("_", " ")}`, t.reward === null ? null : `return ${Number(t.reward.toFixed(4))}`,
            t.score === null ? null : `score ${Number(t.score.toFixed(4))}`, t.tokens[0] + t.tokens[1] ? tokens(t.tokens) : null,
            t.cost ? `${t.cost.toPrecision(3)} USD` : null, seconds(t.seconds)].filter(Boolean).join(" · ")),
        h("p", { class: "sub mono" }, [t.task, `sample ${t.sample}`, t.attempt ? `attempt ${t.attempt}` : null, `seed ${t.seed}`, t.id].filter(Boolean).join(" · ")),
        same.length ? h("p", { class: "sub" }, "same task: ", same.flatMap(([one, index], i) => [i ? ", " : null,
          h("button", { type: "button", class: "link", onclick: () => open(index, true) },
            `${runs.length > 1 ? `${runs[one.run]} ` : ""}sample ${one.sample}${one.attempt ? `, attempt ${one.attempt}` : ""} (${OUTCOMES[one.outcome]})`)])) : null,
        strip(t),
        h("p", { class: "quiet strip-key" }, "One mark per step: green gained reward, amber lost it, red was invalid, blue called tools.")),
      h("ol", { class: "steps" }, steps),
      h("div", { class: "end" }, block("p", "said", t.final),
        t.failure ? h("p", {}, h("span", { class: "badge infrastructure" }, `${t.failure[0]}: ${t.failure[1]}`), ...lit(plain(t.failure[2])), clipped(t.failure[2])) : null,
        t.verdict ? verdict(t.verdict) : null),
    ];
  };
  const anchor = (t) => `#t-${encodeURIComponent(t.id)}`;
  let current = -1;
  const open = (index, move) => {
    const t = trajectories[index];
    if (current >= 0) rows[current].firstChild.removeAttribute("aria-current");
    current = index;
    rows[index].firstChild.setAttribute("aria-current", "true");
    $("detail").replaceChildren(...detail(t));
    $("detail").setAttribute("aria-label", `Trajectory ${t.task}`);
    history.replaceState(null, "", anchor(t));
    if (move) {
      $("detail").focus({ preventScroll: true });
      $("detail").scrollIntoView({ block: matchMedia("(max-width: 820px)").matches ? "start" : "nearest" });
      if ($("detail").getBoundingClientRect().top < 0) $("detail").scrollIntoView({ block: "start" });
    }
  };

  // Keys: / search, arrows in the list, Escape back to the list.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      $("q").focus();
    } else if (event.key === "Escape" && !typing && current >= 0 && $("detail").contains(event.target)) {
      rows[current].firstChild.focus();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.matches(".row")) {
      event.preventDefault();
      const shown = rows.filter((row) => !row.hidden);
      const at = shown.indexOf(event.target.closest("li")) + (event.key === "ArrowDown" ? 1 : -1);
      shown[Math.max(0, Math.min(shown.length - 1, at))].firstChild.focus();
    } else if (event.key === "ArrowDown" && event.target === $("q")) {
      event.preventDefault();
      rows.find((row) => !row.hidden)?.firstChild.focus();
    }
  });

  $("browser").hidden = false;
  filter();
  const linked = () => {
    const index = trajectories.findIndex((t) => location.hash === anchor(t));
    if (index >= 0 && index !== current) { open(index, false); $("trajectories").scrollIntoView(); }
  };
  addEventListener("hashchange", linked);
  linked();
})();
