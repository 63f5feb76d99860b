"use strict";
// What is open, selected and filtered, and what happens when somebody does something.

const find = (id) => document.getElementById(id);
const FEW = 40;  // as many models as can be read at once: then everything starts open

async function start() {
  const mesh = new Mesh(await unpack("index"));
  const narrow = () => find("map").clientWidth < 480;
  const state = {
    filter: { text: "", project: "", flags: new Set() },
    open: new Set(mesh.nodes.length <= FEW ? mesh.projects : []),
    limits: new Map(),
    selected: null,
    lineage: null,
    alone: mesh.nodes.length > FEW || narrow(),
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let matches = mesh.nodes, drawn = { boxes: [], links: [] };

  const cy = cytoscape({
    container: find("canvas"), style: drawingStyle(), layout: { name: "preset" },
    minZoom: 0.08, maxZoom: 2.5, autoungrabify: true, boxSelectionEnabled: false, selectionType: "single",
  });
  const tree = new Tree(find("tree"), { choose: (node) => select(node), toggle: (project, open) => openProject(project, open) });

  // ---- drawing

  function draw({ fit = true, keep = null } = {}) {
    const before = keep && cy.getElementById(keep).nonempty() ? cy.getElementById(keep).renderedPosition() : null;
    drawn = scene(mesh, state, matches);
    layout(drawn, narrow());
    cy.batch(() => {
      cy.elements().remove();
      cy.add(elements(drawn, state, narrow()));
    });
    cy.resize();
    if (before) {
      const after = cy.getElementById(keep);
      if (after.nonempty()) cy.panBy({ x: before.x - after.renderedPosition().x, y: before.y - after.renderedPosition().y });
    } else if (fit) frame(false);
    find("empty").hidden = drawn.boxes.length > 0;
    find("empty").textContent = "Nothing in the mesh is like that.";
  }

  /** Shows the lineage that is selected, or everything; never larger than it reads well. */
  function frame(smoothly) {
    // a model alone does not tell whose it is, so the names of their projects are seen as well
    const lit = state.lineage ? cy.elements(".chosen, .down, .up").union(cy.nodes(".name").not(".dim")) : cy.elements();
    const seen = lit.empty() ? cy.elements() : lit;
    if (seen.empty()) return;
    // tools above; below the legend, or on a phone the details
    const small = narrow(), side = small ? 14 : 48, top = 60, bottom = small && state.selected ? find("detail").offsetHeight : 60;
    const { x1, y1, w, h: high } = seen.boundingBox(), room = { x: cy.width() - 2 * side, y: cy.height() - top - bottom };
    const zoom = Math.max(cy.minZoom(), Math.min(1.15, room.x / w, small ? Infinity : room.y / high));
    const pan = { x: side + (room.x - w * zoom) / 2 - x1 * zoom, y: top + (room.y - high * zoom) / 2 - y1 * zoom };
    if (high * zoom > room.y) {
      // what is higher than the screen begins at the project of what is selected, unless that would
      // leave the model below the screen, or at its beginning
      const chosen = seen.filter(".model.chosen");
      const row = chosen.nonempty() ? chosen.boundingBox() : null;
      const box = row && cy.getElementById(`p${state.selected.project.number}`).boundingBox();
      const begin = !row ? y1 : (row.y2 - box.y1) * zoom < room.y - 16 ? box.y1 : row.y1;
      pan.y = top + 16 - begin * zoom;
    }
    if (smoothly && !calm.matches) cy.animate({ zoom, pan, duration: 200 });
    else cy.viewport({ zoom, pan });
  }

  // ---- the list

  function list() {
    const text = state.filter.text.trim();
    const rows = [];
    if (text) for (const node of matches) rows.push({ node, project: node.project, level: 1 });
    else {
      const byProject = new Map(mesh.projects.map((project) => [project, []]));
      for (const node of matches) byProject.get(node.project).push(node);
      for (const [project, nodes] of byProject) {
        if (!nodes.length && filtering(state.filter)) continue;
        const open = state.open.has(project);
        rows.push({ node: null, project, level: 1, open, count: nodes.length });
        if (open) for (const node of nodes) rows.push({ node, project, level: 2 });
      }
    }
    tree.show(rows, state.selected, state.lineage);
    find("found").textContent = filtering(state.filter) ? `${matches.length.toLocaleString("en")} of ${mesh.nodes.length.toLocaleString("en")} found` : `${plural(mesh.projects.length, "project")}, ${plural(mesh.nodes.length, "model")}`;
  }

  // ---- what is selected

  function lineageOf(node) {
    const nodes = new Map();
    for (const [each, steps] of mesh.upstream(node)) nodes.set(each, { way: "up", steps });
    for (const [each, steps] of mesh.downstream(node)) nodes.set(each, { way: "down", steps });
    nodes.set(node, { way: null, steps: 0 });
    const side = (each, way) => each === node || nodes.get(each)?.way === way;
    return {
      nodes,
      projects: new Set([...nodes.keys()].map((each) => each.project)),
      way: (source, target) => ["down", "up"].find((way) => side(source, way) && side(target, way)) ?? null,
    };
  }

  function select(thing, { show = true } = {}) {
    state.selected = thing;
    state.lineage = thing instanceof Object && "kind" in thing ? lineageOf(thing) : null;
    const detail = find("detail"), wasHidden = detail.hidden;
    detail.hidden = thing === null;
    history.replaceState(null, "", thing ? `#${encodeURIComponent(thing.id ?? thing.name)}` : location.pathname + location.search);
    describe();
    list();
    tree.reveal();
    if (thing && matchMedia("(max-width: 760px)").matches) view("map");
    if (show) draw();
    else if (wasHidden !== detail.hidden) cy.resize();
  }

  async function describe() {
    const thing = state.selected, detail = find("detail");
    if (thing === null) return detail.replaceChildren();
    const acts = { go: (other) => select(other), close: () => { select(null); find("tree").focus(); }, alone: (on) => { state.alone = on; draw(); }, only };
    const content = state.lineage
      ? modelDetail(mesh, thing, (await mesh.details(thing.project))[thing.id], state, acts)
      : projectDetail(mesh, thing, acts);
    if (thing !== state.selected) return undefined;
    detail.replaceChildren(...content.flat(Infinity).filter(Boolean));
    detail.scrollTop = 0;
    return undefined;
  }

  function openProject(project, open) {
    if (open) state.open.add(project);
    else { state.open.delete(project); state.limits.delete(project); }
    state.lineage = null;
    state.selected = project;
    select(project, { show: false });
    draw({ keep: `t${project.number}` });
  }

  /** One flag of one project, from its details. */
  function only(project, flag) {
    find("project").value = project.name;
    Object.assign(state.filter, { text: "", project: project.name, flags: new Set([flag]) });
    find("search").value = "";
    state.open.add(project);
    refilter();
  }

  function refilter() {
    matches = search(mesh, state.filter);
    for (const button of find("flags").children) button.setAttribute("aria-pressed", String(state.filter.flags.has(button.dataset.flag)));
    tree.element.scrollTop = 0;
    list();
    draw();
  }

  // ---- the parts of the page

  function furnish() {
    document.title = `dbt mesh · ${mesh.env}`;
    find("title").textContent = `dbt mesh · ${mesh.env}`;
    const published = mesh.nodes.filter((node) => node.kind === PUBLIC).length;
    const cross = mesh.edges.filter((edge) => edge.source.project !== edge.target.project).length;
    find("summary").append(
      `${plural(mesh.projects.length, "project")} · ${plural(published, "public model")} · ${plural(cross, "edge")} between projects · drawn `,
      time(mesh.drawnAt));
    find("summary").title = mesh.registry;
    find("project").append(...mesh.projects.map((project) => h("option", { value: project.name }, `${project.name} (${project.nodes.length.toLocaleString("en")})`)));
    find("flags").append(...Object.entries(FLAGS).map(([flag, { label, title, test }]) => {
      const count = mesh.nodes.filter(test).length;
      return h("button", { type: "button", "data-flag": flag, "aria-pressed": "false", title, disabled: !count, click: () => toggleFlag(flag) }, `${label} `, h("span", {}, count.toLocaleString("en")));
    }));
    const entry = (kind, text) => h("li", {}, h("span", { class: kind.startsWith("dash") ? kind : `dot ${kind}` }), text);
    const kinds = new Set(mesh.nodes.map(condition));
    const texts = { contract: "contract", none: "no contract", deprecated: "deprecated", missing: "missing", reader: "reader, not public" };
    find("legend").append(...Object.entries(texts).filter(([kind]) => kinds.has(kind)).map(([kind, text]) => entry(kind, text)), entry("dash", "affected"), entry("dash up", "its sources"));
  }

  function toggleFlag(flag) {
    if (!state.filter.flags.delete(flag)) state.filter.flags.add(flag);
    refilter();
  }

  function view(name) {
    document.body.dataset.view = name;
    for (const button of document.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", String(button.dataset.show === name));
    tree.draw();
    cy.resize();
  }

  function zoom(factor) {
    cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  }

  function theme(next) {
    if (next) document.documentElement.dataset.theme = next;
    cy.style(drawingStyle());
  }

  function otherTheme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    theme(dark ? "light" : "dark");
    try { localStorage.setItem("dbt-mesh-theme", root.dataset.theme); } catch { /* some browsers keep nothing for files */ }
  }

  function fromHash() {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { /* no address that this page gave */ }
    return mesh.byId.get(id) ?? mesh.byName.get(id) ?? null;
  }

  // ---- what people do

  let typing;
  find("search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.filter.text = event.target.value;
      if (narrow() && state.filter.text) view("list");
      refilter();
    }, 120);
  });
  find("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && matches.length) select(matches[0]);
    else if (event.key === "ArrowDown") { tree.element.focus(); event.preventDefault(); }
  });
  find("project").addEventListener("change", (event) => {
    state.filter.project = event.target.value;
    if (event.target.value) state.open.add(mesh.byName.get(event.target.value));
    refilter();
  });
  for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => { view(button.dataset.show); draw(); });
  find("zoom-in").addEventListener("click", () => zoom(1.3));
  find("zoom-out").addEventListener("click", () => zoom(1 / 1.3));
  find("fit").addEventListener("click", () => frame(true));
  find("collapse").addEventListener("click", () => { state.open.clear(); state.limits.clear(); select(null); });
  find("theme").addEventListener("click", otherTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme());
  addEventListener("hashchange", () => { const thing = fromHash(); if (thing !== state.selected) select(thing); });
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => draw(), 150); });

  cy.on("tap", (event) => {
    const id = event.target === cy ? "" : event.target.id(), number = Number(id.slice(1));
    if (id.startsWith("n")) select(mesh.nodes[number]);
    else if (id.startsWith("m")) {
      const project = mesh.projects[number];
      state.limits.set(project, (state.limits.get(project) ?? PAGE) + PAGE + 1);
      draw({ keep: `t${number}` });
    } else if (id.startsWith("p")) openProject(mesh.projects[number], !state.open.has(mesh.projects[number]));
    else if (!id && state.selected) select(null);
  });
  const tip = find("tip");
  cy.on("mouseover", ".model, .box, .more", ({ target }) => {
    target.addClass("hover");
    find("canvas").style.cursor = "pointer";
    if (!target.id().startsWith("n")) return;
    const node = mesh.nodes[Number(target.id().slice(1))], { x1, y2 } = target.renderedBoundingBox({ includeLabels: false });
    tip.textContent = [node.label, node.deprecation === null ? null : deadline(node), node.readers ? `read by ${plural(node.readers, "model")} of other projects` : null].filter(Boolean).join(" · ");
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(x1, cy.width() - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y2 + 6}px`;
  });
  cy.on("mouseout", ".model, .box, .more", ({ target }) => { target.removeClass("hover"); find("canvas").style.cursor = ""; tip.hidden = true; });
  cy.on("pan zoom", () => { tip.hidden = true; });

  const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
  find("canvas").addEventListener("keydown", (event) => {
    if (event.key in moves) cy.panBy({ x: moves[event.key][0], y: moves[event.key][1] });
    else return;
    event.preventDefault();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (state.selected) select(null);
      else if (filtering(state.filter)) {
        state.filter = { text: "", project: "", flags: new Set() };
        find("search").value = "";
        find("project").value = "";
        refilter();
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, select")) return;
    const act = { "/": () => find("search").focus(), t: otherTheme, "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => frame(true) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  try { const kept = localStorage.getItem("dbt-mesh-theme"); if (kept) theme(kept); } catch { /* see otherTheme */ }
  furnish();
  const linked = fromHash();
  if (linked) select(linked);
  else { list(); draw(); }
  // what tests and the curious may ask
  window.meshMap = { mesh, state, cy };
  document.body.dataset.ready = "true";
}

start().catch((error) => {
  find("empty").hidden = false;
  find("empty").textContent = `This page cannot be drawn: ${error.message}`;
  throw error;
});
