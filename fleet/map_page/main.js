"use strict";
// The App knows what is open, selected and filtered, and updates the page when that changes.
// events.js calls it for what people do.

const find = (id) => document.getElementById(id);
const narrow = () => find("map").clientWidth < 480;
const FEW = 40;  // models that can be read at once: up to these, all projects start open
const THEME = "dbt-mesh-theme";

class App {
  constructor(mesh) {
    this.mesh = mesh;
    this.state = {
      filter: { text: "", project: "", flags: new Set() },
      open: new Set(mesh.nodes.length <= FEW ? mesh.projects : []),
      limits: new Map(),
      selected: null,
      lineage: null,
      alone: mesh.nodes.length > FEW || narrow(),
    };
    this.matches = mesh.nodes;
    this.canvas = new Canvas(find("canvas"), mesh, this.state);
    this.tree = new Tree(find("tree"), {
      choose: (node) => this.select(node),
      toggle: (project, open) => this.openProject(project, open),
    });
  }

  start() {
    this.furnish();
    const linked = this.fromHash();
    if (linked) this.select(linked);
    else { this.list(); this.draw(); }
  }

  draw(how) {
    const drawn = this.canvas.draw(this.matches, how);
    find("empty").hidden = drawn.boxes.length > 0;
    find("empty").textContent = "Nothing in the mesh matches the filter.";
  }

  // ---- the list

  list() {
    const { filter, selected, lineage } = this.state;
    this.tree.show(filter.text.trim() ? this.foundRows() : this.projectRows(), selected, lineage);
    find("found").textContent = filtering(filter)
      ? `${this.matches.length.toLocaleString("en")} of ${this.mesh.nodes.length.toLocaleString("en")} found`
      : `${plural(this.mesh.projects.length, "project")}, ${plural(this.mesh.nodes.length, "model")}`;
  }

  foundRows() {
    return this.matches.map((node) => ({ node, project: node.project, level: 1 }));
  }

  projectRows() {
    const byProject = new Map(this.mesh.projects.map((project) => [project, []]));
    for (const node of this.matches) byProject.get(node.project).push(node);
    const rows = [];
    for (const [project, nodes] of byProject) {
      if (!nodes.length && filtering(this.state.filter)) continue;
      const open = this.state.open.has(project);
      rows.push({ node: null, project, level: 1, open, count: nodes.length });
      if (open) for (const node of nodes) rows.push({ node, project, level: 2 });
    }
    return rows;
  }

  // ---- what is selected: a model, a project or nothing

  select(thing, { show = true } = {}) {
    this.state.selected = thing;
    this.state.lineage = thing instanceof Object && "kind" in thing ? lineageOf(this.mesh, thing) : null;
    const detail = find("detail"), wasHidden = detail.hidden;
    detail.hidden = thing === null;
    history.replaceState(null, "", thing ? `#${encodeURIComponent(thing.id ?? thing.name)}` : location.pathname + location.search);
    this.describe();
    this.list();
    this.tree.reveal();
    if (thing && matchMedia("(max-width: 760px)").matches) this.view("map");
    if (show) this.draw();
    else if (wasHidden !== detail.hidden) this.canvas.cy.resize();
  }

  async describe() {
    const thing = this.state.selected, detail = find("detail");
    if (thing === null) return detail.replaceChildren();
    const acts = {
      go: (other) => this.select(other),
      close: () => { this.select(null); find("tree").focus(); },
      alone: (on) => { this.state.alone = on; this.draw(); },
      only: (project, flag) => this.only(project, flag),
    };
    const content = this.state.lineage
      ? modelDetail(this.mesh, thing, (await this.mesh.details(thing.project))[thing.id], this.state, acts)
      : projectDetail(this.mesh, thing, acts);
    if (thing !== this.state.selected) return undefined;
    detail.replaceChildren(...content.flat(Infinity).filter(Boolean));
    detail.scrollTop = 0;
    return undefined;
  }

  fromHash() {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { /* no address that this page gave */ }
    return this.mesh.byId.get(id) ?? this.mesh.byName.get(id) ?? null;
  }

  openProject(project, open) {
    if (open) this.state.open.add(project);
    else { this.state.open.delete(project); this.state.limits.delete(project); }
    this.select(project, { show: false });
    this.draw({ keep: `t${project.number}` });
  }

  showMore(project) {
    this.state.limits.set(project, (this.state.limits.get(project) ?? PAGE) + PAGE + 1);
    this.draw({ keep: `t${project.number}` });
  }

  collapse() {
    this.state.open.clear();
    this.state.limits.clear();
    this.select(null);
  }

  // ---- the filter

  refilter() {
    this.matches = search(this.mesh, this.state.filter);
    for (const button of find("flags").children) button.setAttribute("aria-pressed", String(this.state.filter.flags.has(button.dataset.flag)));
    this.tree.element.scrollTop = 0;
    this.list();
    this.draw();
  }

  setFilter({ text = "", project = "", flags = [] } = {}) {
    Object.assign(this.state.filter, { text, project, flags: new Set(flags) });
    find("search").value = text;
    find("project").value = project;
    if (project) this.state.open.add(this.mesh.byName.get(project));
    this.refilter();
  }

  /** One flag of one project, from its details. */
  only(project, flag) {
    this.setFilter({ project: project.name, flags: [flag] });
  }

  toggleFlag(flag) {
    if (!this.state.filter.flags.delete(flag)) this.state.filter.flags.add(flag);
    this.refilter();
  }

  // ---- the page around it

  furnish() {
    const { mesh } = this;
    document.title = `dbt mesh · ${mesh.env}`;
    find("title").textContent = `dbt mesh · ${mesh.env}`;
    const published = mesh.nodes.filter((node) => node.kind === PUBLIC).length;
    const cross = mesh.edges.filter((edge) => edge.source.project !== edge.target.project).length;
    find("summary").append(
      `${plural(mesh.projects.length, "project")} · ${plural(published, "public model")} · ${plural(cross, "edge")} between projects · drawn `,
      time(mesh.drawnAt),
      ...mesh.cycles.map((names) => h("span", { class: "warning" }, ` · ${names.join(", ")} read each other`)));
    find("summary").title = mesh.registry;
    find("project").append(...mesh.projects.map((project) => h("option", { value: project.name }, `${project.name} (${project.nodes.length.toLocaleString("en")})`)));
    find("flags").append(...Object.entries(FLAGS).map((flag) => this.flagButton(...flag)));
    find("legend").append(...legend(mesh));
  }

  flagButton(flag, { label, title, test }) {
    const count = this.mesh.nodes.filter(test).length;
    const attributes = { type: "button", "data-flag": flag, "aria-pressed": "false", title, disabled: !count, click: () => this.toggleFlag(flag) };
    return h("button", attributes, `${label} `, h("span", {}, count.toLocaleString("en")));
  }

  view(name) {
    document.body.dataset.view = name;
    for (const button of document.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", String(button.dataset.show === name));
    this.tree.draw();
    this.canvas.cy.resize();
  }

  theme(next) {
    if (next) document.documentElement.dataset.theme = next;
    this.canvas.cy.style(drawingStyle());
  }

  otherTheme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    this.theme(dark ? "light" : "dark");
    try { localStorage.setItem(THEME, root.dataset.theme); } catch { /* some browsers keep nothing for files */ }
  }

  keptTheme() {
    try { const kept = localStorage.getItem(THEME); if (kept) this.theme(kept); } catch { /* see otherTheme */ }
  }
}

/** Returns everything upstream and everything downstream of a model. */
function lineageOf(mesh, node) {
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

function legend(mesh) {
  const entry = (kind, text) => h("li", {}, h("span", { class: kind.startsWith("dash") ? kind : `dot ${kind}` }), text);
  const texts = { contract: "contract", none: "no contract", deprecated: "deprecated", missing: "missing", reader: "reader, not public" };
  const kinds = new Set(mesh.nodes.map(condition));
  const shown = Object.entries(texts).filter(([kind]) => kinds.has(kind));
  return [...shown.map(([kind, text]) => entry(kind, text)), entry("dash", "affected"), entry("dash up", "its sources")];
}

async function start() {
  const app = new App(new Mesh(await unpack("index")));
  listen(app);
  app.keptTheme();
  app.start();
  // for tests, and for a browser's console
  window.meshMap = { mesh: app.mesh, state: app.state, cy: app.canvas.cy };
  document.body.dataset.ready = "true";
}

start().catch((error) => {
  find("empty").hidden = false;
  find("empty").textContent = `This page cannot be drawn: ${error.message}`;
  throw error;
});
