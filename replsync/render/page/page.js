
"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector) => document.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const form = one("#filter"), query = one("#q"), found = one("#found"), theme = one("#theme");
  const tags = all("details.tag").map((element) => ({
    element, id: element.id, facets: element.dataset.f.split(" "),
    text: `${element.id} ${element.textContent}`.toLowerCase(),
  }));
  const byId = new Map(tags.map((tag) => [tag.id, tag]));
  const folds = all("details.still");
  const links = all("#matrix td a, .alone dd a, #bars tbody th a").map((element) => ({
    element, tag: byId.get(decodeURIComponent(element.hash.slice(1))),
  }));
  const matrix = one("#matrix"), bars = one("#bars");
  const count = (number) => number.toLocaleString("en");

  // Dark or light: as the system has it, until somebody chooses.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const remember = (value) => { try { localStorage.setItem("replsync-theme", value); } catch { /* not allowed here */ } };
  const remembered = () => { try { return localStorage.getItem("replsync-theme"); } catch { return null; } };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `${theme.textContent} colours`); };
  if (["dark", "light"].includes(remembered())) root.dataset.theme = remembered();
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();
  theme.hidden = false;

  // The filter. Of each group of boxes that has a tick, one of the ticked must fit.
  const groups = all("fieldset", form).map((group) => all("input", group));
  const boxes = groups.flat();
  const inHash = () => new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  function filter() {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = groups.map((group) => group.filter((box) => box.checked).map((box) => box.value)).filter((some) => some.length);
    const isOn = words.length + wanted.length > 0;
    let shown = 0;
    for (const tag of tags) {
      tag.fits = words.every((word) => tag.text.includes(word))
        && wanted.every((some) => some.some((value) => tag.facets.includes(value)));
      tag.element.hidden = !tag.fits;
      shown += tag.fits;
    }
    for (const link of links) {
      const place = link.element.closest("#bars tr") || link.element;
      place.hidden = !link.tag.fits;
    }
    for (const fold of folds) {
      fold.hidden = !all(":scope > .tag:not([hidden])", fold).length;
      fold.open = isOn || tags.length <= 20;
    }
    for (const image of all("#tags > .image")) image.hidden = !image.querySelector(".tag:not([hidden])");
    for (const line of all(".alone dl > div")) line.hidden = !line.querySelector("a:not([hidden])");
    for (const alone of all(".alone")) alone.hidden = !alone.querySelector("a:not([hidden])");
    if (bars) for (const body of bars.tBodies) body.hidden = !body.querySelector("tr:not(.shelf):not([hidden])");
    if (matrix) columns();
    one("#none").hidden = shown > 0 || !tags.length;
    found.textContent = isOn ? `${count(shown)} of ${count(tags.length)} tags` : `${count(tags.length)} tag${tags.length === 1 ? "" : "s"}`;
  }
  function columns() {
    const lines = [...matrix.tBodies[0].rows];
    const has = new Array(matrix.tHead.rows[0].cells.length).fill(false);
    for (const line of lines) {
      line.hidden = !line.querySelector("a:not([hidden])");
      [...line.cells].forEach((cell, at) => { if (cell.querySelector("a:not([hidden])")) has[at] = true; });
    }
    has[0] = true;
    for (const line of [matrix.tHead.rows[0], ...lines]) [...line.cells].forEach((cell, at) => { cell.hidden = !has[at]; });
  }
  function note() {
    const state = new URLSearchParams();
    if (query.value) state.set("q", query.value);
    const ticked = boxes.filter((box) => box.checked).map((box) => box.value);
    if (ticked.length) state.set("show", ticked.join(","));
    const text = String(state);
    try { history.replaceState(null, "", text ? `#?${text}` : location.hash.startsWith("#?") ? "#" : location.hash || "#"); } catch { /* a page without an address */ }
  }
  function take() {
    const state = inHash();
    query.value = state.get("q") || "";
    const ticked = (state.get("show") || "").split(",");
    for (const box of boxes) box.checked = ticked.includes(box.value);
    filter();
  }
  let waiting;
  query.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => { filter(); note(); }, 80); });
  form.addEventListener("change", (event) => { if (event.target !== query) { filter(); note(); } });
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(); note(); });
  const clear = () => { query.value = ""; for (const box of boxes) box.checked = false; filter(); note(); };
  form.addEventListener("reset", (event) => { event.preventDefault(); clear(); query.focus(); });

  // A link to a tag opens it, whatever the filter hides.
  function go() {
    if (location.hash.startsWith("#?")) return take();
    const tag = byId.get(decodeURIComponent(location.hash.slice(1)));
    for (const other of all(".tag.at")) other.classList.remove("at");
    if (!tag) return undefined;
    if (tag.element.hidden) { query.value = ""; for (const box of boxes) box.checked = false; filter(); }
    const fold = tag.element.closest(".still");
    if (fold) fold.open = true;
    tag.element.open = true;
    tag.element.classList.add("at");
    tag.element.scrollIntoView();
    tag.element.querySelector("summary").focus({ preventScroll: true });
    return undefined;
  }
  addEventListener("hashchange", go);
  addEventListener("click", (event) => { // to the same tag a second time: nothing changes in the address
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) go();
  });

  addEventListener("keydown", (event) => {
    const isTyping = /^(input|textarea|select)$/i.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      query.focus();
      query.select();
    } else if (event.key === "Escape" && form.contains(event.target)) {
      event.preventDefault();
      clear();
    }
  });

  // Arrow keys in the inventory: to the next tag of the line, or of the column.
  if (matrix) matrix.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!cell || !way) return;
    event.preventDefault();
    const lines = [...matrix.tBodies[0].rows];
    let x = cell.cellIndex, y = lines.indexOf(cell.parentNode);
    for (;;) {
      x += way[0];
      y += way[1];
      const next = lines[y] && lines[y].cells[x];
      if (!next || x < 1) return;
      const link = next.querySelector("a");
      if (link && !link.hidden && !next.hidden && !lines[y].hidden) {
        link.focus({ preventScroll: true });
        link.scrollIntoView({ block: "nearest", inline: "center" });
        return;
      }
    }
  });

  // Layers: whichever is pointed at, or has the focus, is shown wherever it is.
  if (bars) {
    const readout = one("#layer");
    const lines = all("svg", bars).map((svg) => { svg.setAttribute("role", "group"); return all("rect", svg); });
    for (const rect of lines.flat()) { rect.setAttribute("role", "img"); rect.setAttribute("tabindex", "-1"); }
    const light = (rect) => {
      for (const other of all("rect.same", bars)) other.classList.remove("same");
      const number = rect && rect.dataset.l;
      bars.classList.toggle("lit", number !== undefined && rect !== null);
      if (number !== undefined && rect) for (const other of all(`rect[data-l="${Number(number)}"]`, bars)) other.classList.add("same");
      readout.textContent = rect ? rect.querySelector("title").textContent : "";
    };
    const enter = (rect) => { for (const other of all('rect[tabindex="0"]', bars)) other.setAttribute("tabindex", "-1"); rect.setAttribute("tabindex", "0"); };
    if (lines.flat().length) enter(lines.flat()[0]);
    bars.addEventListener("pointerover", (event) => light(event.target.closest("rect")));
    bars.addEventListener("pointerleave", () => light(null));
    bars.addEventListener("focusin", (event) => { const rect = event.target.closest("rect"); if (rect) { enter(rect); light(rect); } });
    bars.addEventListener("focusout", () => light(null));
    bars.addEventListener("keydown", (event) => {
      const rect = event.target.closest("rect");
      const seen = lines.filter((line) => line.length && !line[0].closest("[hidden]"));
      const y = seen.findIndex((line) => line.includes(rect));
      if (!rect || y < 0) return;
      const x = seen[y].indexOf(rect);
      const next = { ArrowLeft: () => seen[y][x - 1], ArrowRight: () => seen[y][x + 1],
        ArrowUp: () => seen[y - 1] && seen[y - 1][Math.min(x, seen[y - 1].length - 1)],
        ArrowDown: () => seen[y + 1] && seen[y + 1][Math.min(x, seen[y + 1].length - 1)] }[event.key];
      if (!next) return;
      event.preventDefault();
      const to = next();
      if (to) { enter(to); to.focus({ preventScroll: true }); to.closest("tr").scrollIntoView({ block: "nearest" }); }
    });
  }

  addEventListener("beforeprint", () => { for (const tag of tags) if (!tag.facets.includes("unchanged")) tag.element.open = true; });
  for (const keys of all(".keys")) keys.hidden = false;
  form.hidden = false;
  take();
  // When the browser itself has gone to the place in the address, which takes the focus away.
  if (location.hash && !location.hash.startsWith("#?")) addEventListener("load", () => setTimeout(go));
})();
