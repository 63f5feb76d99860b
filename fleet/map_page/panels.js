"use strict";
// The list beside the map, and the details of what is selected. All text is set as text, never HTML.

/** Makes an element. An attribute that is a function listens to the event of that name. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A tree of projects and models. Only the visible rows exist in the page. */
class Tree {
  constructor(element, { choose, toggle }) {
    Object.assign(this, { element, choose, toggle, rows: [], active: 0, selected: null, lineage: null });
    this.space = element.firstElementChild;
    element.addEventListener("scroll", () => this.draw());
    element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(element);
  }

  get rowHeight() {
    return matchMedia("(max-width: 760px)").matches ? 44 : 36;
  }

  /** rows: {project, node, level, open, count}; node is null for a project's own row. */
  show(rows, selected, lineage) {
    Object.assign(this, { rows, selected, lineage });
    const at = rows.findIndex((row) => (row.node ?? row.project) === selected);
    this.active = at >= 0 ? at : Math.min(this.active, Math.max(0, rows.length - 1));
    this.draw();
  }

  reveal() {
    const top = this.active * this.rowHeight, { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.rowHeight - clientHeight;
    this.draw();
  }

  draw() {
    const { scrollTop, clientHeight } = this.element, high = this.rowHeight;
    this.space.style.height = `${this.rows.length * high}px`;
    const first = Math.max(0, Math.floor(scrollTop / high) - 5);
    const last = Math.min(this.rows.length, Math.ceil((scrollTop + clientHeight) / high) + 5);
    const drawn = [];
    for (let at = first; at < last; at += 1) drawn.push(this.row(this.rows[at], at, high));
    this.element.replaceChildren(this.space, ...drawn);
    if (this.rows.length) this.element.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  row(row, at, high) {
    const { node, project } = row, chosen = (node ?? project) === this.selected;
    const hit = node && this.lineage?.nodes.get(node)?.way === "down";
    return h("div", {
      id: `row-${at}`, role: "treeitem", "aria-level": row.level, "aria-selected": String(chosen), "aria-setsize": this.rows.length, "aria-posinset": at + 1,
      "aria-expanded": node ? null : String(row.open),
      class: ["row", at === this.active && "active", hit && "hit"].filter(Boolean).join(" "),
      style: `top:${at * high}px`,
      title: node ? node.id : project.name,
      click: () => { this.active = at; this.pick(row); },
    },
    node ? h("span", { class: `dot ${condition(node)}`, "aria-hidden": "true" }) : h("span", { class: "twist", "aria-hidden": "true" }, row.open ? "▾" : "▸"),
    h("span", { class: "name" }, node ? node.label : project.name, node && row.level === 1 ? h("span", { class: "where" }, `  ${project.name}`) : null),
    h("span", { class: "count" }, node ? (node.readers ? `${node.readers.toLocaleString("en")} ↗` : "") : row.count.toLocaleString("en")));
  }

  pick(row) {
    if (row.node) this.choose(row.node);
    else this.toggle(row.project, !row.open);
  }

  key(event) {
    const row = this.rows[this.active], page = Math.floor(this.element.clientHeight / this.rowHeight) - 1;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) this.active = Math.max(0, Math.min(this.rows.length - 1, this.active + step));
    else if (row && (event.key === "Enter" || event.key === " ")) this.pick(row);
    else if (row && event.key === "ArrowRight" && !row.node && !row.open) this.toggle(row.project, true);
    else if (row && event.key === "ArrowLeft") {
      if (!row.node && row.open) this.toggle(row.project, false);
      else if (row.node && row.level > 1) while (this.rows[this.active].node) this.active -= 1;
    } else return;
    event.preventDefault();
    this.reveal();
  }
}

function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function time(when) {
  if (!when) return null;
  const exact = new Date(when);
  if (Number.isNaN(exact.getTime())) return String(when);
  return h("time", { datetime: when, title: exact.toISOString() }, relative(when));
}

function repository(name) {
  if (!name) return null;
  return /^[\w.-]+\/[\w.-]+$/.test(name) ? h("a", { href: `https://github.com/${name}`, rel: "noreferrer" }, name) : name;
}

function ownerText(owner) {
  if (!owner) return null;
  const mail = [owner.email ?? []].flat().join(", ");
  return [owner.name, mail && (owner.name ? `(${mail})` : mail)].filter(Boolean).join(" ") || null;
}

/** `not null`, `primary key (a, b)`. */
function promise({ type, columns }) {
  return type.replaceAll("_", " ") + (columns?.length ? ` (${columns.join(", ")})` : "");
}

function day(date) {
  return String(date).slice(0, 10);
}

function deadline(node) {
  const left = relative(node.deprecation);
  return `deprecated, ${left.endsWith("ago") ? `ended ${left}` : `ends ${left}`}`;
}

/** Returns the details of a model; `go` selects another one. */
function modelDetail(mesh, node, details, state, { go, alone, close }) {
  const [description, relation, materialized, constraints, columns] = details ?? [];
  const crumb = (target, text) => h("button", { type: "button", class: "crumb", click: () => go(target) }, text);
  const versions = node.version === null ? [] : node.project.nodes.filter((each) => each.kind === PUBLIC && each.name === node.name);
  const publication = node.project.publication;
  const owner = mesh.owner(node);
  return [
    h("header", {},
      h("button", { type: "button", class: "close icon", "aria-label": "Close details", title: "Close (Esc)", click: close }, "×"),
      crumb(node.project, node.project.name),
      h("h2", {}, node.label),
      h("div", { class: "tags" }, tags(node))),
    description ? h("p", {}, description) : null,
    impact(node, state, crumb, alone),
    facts([
      ["Owner", owner && [owner.group, ownerText(owner)].filter(Boolean).join(": ")],
      ["Relation", relation && h("span", { class: "mono" }, relation)],
      ["Kept as", materialized],
      ["Published", node.kind === PUBLIC && publication ? time(publication.published_at) : null],
      ["Deprecated", node.deprecation && `${day(node.deprecation)}, ${relative(node.deprecation)}`],
      ["Versions", versions.length > 1 ? versions.map((each, at) => [at ? ", " : "", each === node ? `v${each.version}` : crumb(each, `v${each.version}`), each.latest ? " (latest)" : ""]) : null],
      ["Promises", constraints?.map(promise).join(", ")],
    ]),
    direct("Read by", node.out, (edge) => edge.target, crumb),
    direct("Reads", node.into, (edge) => edge.source, crumb),
    columns?.length ? columnList(node, columns) : null,
  ];
}

function tags(node) {
  const tag = (kind, text) => h("span", { class: `tag ${kind}` }, text);
  if (node.kind === MISSING) return [tag("missing", "read by others, no longer published")];
  if (node.kind === READER) return [tag("", "reads the mesh, is not public")];
  return [
    node.contract ? tag("contract", "contract enforced") : tag("", "no contract"),
    node.deprecation !== null ? tag("deprecated", deadline(node)) : null,
    node.version !== null && node.latest ? tag("", "latest version") : null,
    node.readers ? null : tag("", "no reader recorded"),
  ];
}

function impact(node, state, crumb, alone) {
  const down = [...state.lineage.nodes].filter(([, step]) => step.way === "down");
  const groups = new Map();
  for (const [each, { steps }] of down) groups.set(each.project, [...(groups.get(each.project) ?? []), { each, steps }]);
  const own = groups.get(node.project)?.length ?? 0, others = groups.size - (own ? 1 : 0);
  const abroad = `${plural(down.length - own, "model")} in ${plural(others, "other project")}`;
  const found = !down.length ? "No other model, as far as recorded"
    : !others ? `${plural(own, "model")} of its own project`
      : own ? `${abroad}, ${own.toLocaleString("en")} of its own` : abroad;
  return h("section", { class: `impact${down.length ? " hit" : ""}`, "aria-label": "Impact" },
    h("h3", {}, "A change of it reaches"),
    h("strong", { id: "impact" }, found),
    h("ul", { class: "items" }, [...groups].slice(0, 12).map(([project, hits]) => [
      h("li", { class: "group" }, h("span", {}, crumb(project, project.name)), h("span", { class: "muted" }, ownersOf(project, node.project))),
      hits.sort((a, b) => a.steps - b.steps).slice(0, 8).map(({ each, steps }) => h("li", {}, h("span", {}, crumb(each, each.label)), h("span", { class: "muted" }, steps === 1 ? "directly" : `${steps} steps`))),
      hits.length > 8 ? h("li", { class: "muted" }, `and ${plural(hits.length - 8, "more model")}`) : null,
    ])),
    groups.size > 12 ? h("p", { class: "muted" }, `and ${plural(groups.size - 12, "more project")}`) : null,
    h("label", {}, h("input", { type: "checkbox", id: "alone", checked: state.alone, change: (event) => alone(event.target.checked) }), "Show only its lineage"));
}

function ownersOf(project, upstream) {
  const own = project.reads.find((read) => read.upstream === upstream.name) ?? project.reads[0];
  return own?.owner ?? "";
}

function direct(title, edges, end, crumb) {
  if (!edges.length) return null;
  const shown = edges.slice(0, 40);
  return [
    h("h3", {}, title, h("span", {}, edges.length.toLocaleString("en"))),
    h("ul", { class: "items" }, shown.map((edge) => {
      const other = end(edge), inside = edge.source.project === edge.target.project;
      const how = inside ? [] : [edge.columns ? plural(edge.columns.length, "column") : "columns unknown", edge.since && ` since ${day(edge.since)}`];
      return h("li", {}, h("span", {}, crumb(other, other.label), inside ? null : h("span", { class: "muted" }, ` ${other.project.name}`)), h("span", { class: "muted" }, how.map((each) => each && h("span", { class: "whole" }, each))));
    })),
    edges.length > shown.length ? h("p", { class: "muted" }, `and ${(edges.length - shown.length).toLocaleString("en")} more`) : null,
  ];
}

function columnList(node, columns) {
  const users = new Map();
  for (const edge of node.out) for (const column of edge.columns ?? []) users.set(column, (users.get(column) ?? 0) + 1);
  return [
    h("h3", {}, "Columns", h("span", {}, columns.length.toLocaleString("en"))),
    h("ul", { class: "columns" }, columns.map((column, at) => {
      const used = users.get(node.columns[at]);
      const note = [...(column.constraints ?? []).map(promise), used ? `read by ${used}` : null].filter(Boolean).join(" · ");
      return h("li", {},
        h("div", { class: "head" }, h("code", {}, column.name), h("span", { class: "type" }, column.data_type ?? "")),
        column.description ? h("p", {}, column.description) : null,
        note ? h("p", { class: "note" }, note) : null);
    })),
  ];
}

/** Returns the details of a project. */
function projectDetail(mesh, project, { go, close, only }) {
  const crumb = (target, text) => h("button", { type: "button", class: "crumb", click: () => go(target) }, text);
  const { publication } = project, published = project.nodes.filter((node) => node.kind === PUBLIC);
  const flagged = Object.entries(FLAGS).map(([flag, { label, test }]) => [flag, label, project.nodes.filter(test).length]).filter(([, , count]) => count);
  const said = project.reads.at(-1);
  const groups = Object.entries(project.owners);
  const neighbours = (title, map) => map.size ? [
    h("h3", {}, title, h("span", {}, plural(map.size, "project"))),
    h("ul", { class: "items" }, [...map].sort(([, a], [, b]) => b - a).map(([other, count]) => h("li", {}, h("span", {}, crumb(other, other.name)), h("span", { class: "muted" }, plural(count, "edge"))))),
  ] : null;
  return [
    h("header", {},
      h("button", { type: "button", class: "close icon", "aria-label": "Close details", title: "Close (Esc)", click: close }, "×"),
      h("span", { class: "muted" }, project.published ? (project.readsFrom.size ? "publishes and reads" : "publishes") : "reads only"),
      h("h2", {}, project.name)),
    facts([
      ["Public models", published.length ? published.length.toLocaleString("en") : null],
      ["Published", publication && time(publication.published_at)],
      ["Version", publication && h("span", { class: "mono" }, publication.version)],
      ["Commit", publication?.commit && h("span", { class: "mono" }, publication.commit.slice(0, 12))],
      ["Engine", publication && [publication.adapter, publication.dbt_version && `dbt ${publication.dbt_version}`].filter(Boolean).join(", ")],
      ["Owner", said?.owner],
      ["Repository", repository(said?.repository)],
    ]),
    mesh.cycleOf(project).length ? [
      h("h3", {}, "Reads and is read by"),
      h("p", { class: "warning" }, "Their deploys start each other."),
      h("ul", { class: "items" }, mesh.cycleOf(project).map((other) => h("li", {}, h("span", {}, crumb(other, other.name))))),
    ] : null,
    flagged.length ? [h("h3", {}, "Look at"), h("ul", { class: "items" }, flagged.map(([flag, label, count]) => h("li", {}, h("span", {}, h("button", { type: "button", class: "crumb", click: () => only(project, flag) }, label)), h("span", { class: "muted" }, count.toLocaleString("en")))))] : null,
    groups.length ? [h("h3", {}, "Groups"), h("ul", { class: "items" }, groups.map(([name, owner]) => h("li", {}, h("span", {}, name), h("span", { class: "muted" }, ownerText(owner) ?? ""))))] : null,
    neighbours("Read by", project.readBy),
    neighbours("Reads from", project.readsFrom),
    project.reads.length ? [
      h("h3", {}, "Recorded on deploy"),
      h("ul", { class: "items" }, project.reads.map((read) => h("li", {},
        h("span", {}, `${read.upstream}${read.kind ? `, ${read.kind}` : ""}`),
        h("span", { class: "muted" }, time(read.recorded_at), read.current ? "" : ", from an older publication")))),
    ] : null,
  ];
}
