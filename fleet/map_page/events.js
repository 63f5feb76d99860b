"use strict";
// Passes what people do on the page to the App (main.js).

const MOVES = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };

function listen(app) {
  listenToFilter(app);
  listenToTools(app);
  listenToDrawing(app);
  listenToTip(app);
  listenToKeys(app);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => app.theme());
  addEventListener("hashchange", () => { const thing = app.fromHash(); if (thing !== app.state.selected) app.select(thing); });
  addEventListener("resize", later(150, () => app.draw()));
}

/** Returns a function that acts once it has not been called for so many milliseconds (debounce). */
function later(milliseconds, act) {
  let waiting;
  return (...values) => { clearTimeout(waiting); waiting = setTimeout(() => act(...values), milliseconds); };
}

function listenToFilter(app) {
  find("search").addEventListener("input", later(120, () => {
    app.state.filter.text = find("search").value;
    if (narrow() && app.state.filter.text) app.view("list");
    app.refilter();
  }));
  find("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && app.matches.length) app.select(app.matches[0]);
    else if (event.key === "ArrowDown") { app.tree.element.focus(); event.preventDefault(); }
  });
  find("project").addEventListener("change", (event) => {
    app.state.filter.project = event.target.value;
    if (event.target.value) app.state.open.add(app.mesh.byName.get(event.target.value));
    app.refilter();
  });
}

function listenToTools(app) {
  for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => { app.view(button.dataset.show); app.draw(); });
  find("zoom-in").addEventListener("click", () => app.canvas.zoom(1.3));
  find("zoom-out").addEventListener("click", () => app.canvas.zoom(1 / 1.3));
  find("fit").addEventListener("click", () => app.canvas.frame(true));
  find("collapse").addEventListener("click", () => app.collapse());
  find("theme").addEventListener("click", () => app.otherTheme());
}

/** Ids on the map: a letter and a number. n: a model, p: a project, m: a project's row "more". */
function listenToDrawing(app) {
  const { cy } = app.canvas, { mesh } = app;
  cy.on("tap", (event) => {
    const id = event.target === cy ? "" : event.target.id(), number = Number(id.slice(1));
    if (id.startsWith("n")) app.select(mesh.nodes[number]);
    else if (id.startsWith("m")) app.showMore(mesh.projects[number]);
    else if (id.startsWith("p")) app.openProject(mesh.projects[number], !app.state.open.has(mesh.projects[number]));
    else if (!id && app.state.selected) app.select(null);
  });
  find("canvas").addEventListener("keydown", (event) => {
    if (!(event.key in MOVES)) return;
    cy.panBy({ x: MOVES[event.key][0], y: MOVES[event.key][1] });
    event.preventDefault();
  });
}

function listenToTip(app) {
  const { cy } = app.canvas, tip = find("tip");
  cy.on("mouseover", ".model, .box, .more", ({ target }) => {
    target.addClass("hover");
    find("canvas").style.cursor = "pointer";
    if (!target.id().startsWith("n")) return;
    const node = app.mesh.nodes[Number(target.id().slice(1))], { x1, y2 } = target.renderedBoundingBox({ includeLabels: false });
    tip.textContent = [node.label, node.deprecation === null ? null : deadline(node), node.readers ? `read by ${plural(node.readers, "model")} of other projects` : null].filter(Boolean).join(" · ");
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(x1, cy.width() - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y2 + 6}px`;
  });
  cy.on("mouseout", ".model, .box, .more", ({ target }) => { target.removeClass("hover"); find("canvas").style.cursor = ""; tip.hidden = true; });
  cy.on("pan zoom", () => { tip.hidden = true; });
}

function listenToKeys(app) {
  const acts = {
    "/": () => find("search").focus(),
    t: () => app.otherTheme(),
    "+": () => app.canvas.zoom(1.3),
    "=": () => app.canvas.zoom(1.3),
    "-": () => app.canvas.zoom(1 / 1.3),
    0: () => app.canvas.frame(true),
  };
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (app.state.selected) app.select(null);
      else if (filtering(app.state.filter)) app.setFilter();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, select")) return;
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
