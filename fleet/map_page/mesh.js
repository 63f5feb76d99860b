"use strict";
// The mesh as data, and queries on it. Nothing here changes the page.

const PUBLIC = 0, READER = 1, MISSING = 2;

/** Decodes an embedded piece of data; see map_html.py. */
async function unpack(id) {
  const packed = document.getElementById(id);
  if (!packed) return {};
  const bytes = Uint8Array.from(atob(packed.textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

class Mesh {
  constructor(index) {
    this.env = index.env;
    this.registry = index.registry;
    this.drawnAt = index.drawn_at;
    this.cycles = index.cycles;
    this.columns = index.columns;
    this.lowerColumns = index.columns.map((name) => name.toLowerCase());
    this.projects = index.projects.map((project, number) => ({
      ...project, number, nodes: [], published: 0, readsFrom: new Map(), readBy: new Map(),
      said: distinct(project.reads.flatMap((read) => [read.owner, read.repository])),
    }));
    this.nodes = index.nodes.map((row, number) => {
      const [id, name, project, kind, contract, version, latest, deprecation, group, columns] = row;
      const label = version === null ? name : `${name} v${version}`;
      const { name: whose, said, owners } = this.projects[project], owner = owners[group];
      const words = [label, whose, group, owner?.name, owner?.email, said].flat(2).filter(Boolean).join(" ").toLowerCase();
      const node = {
        number, id, name, label, words, kind, contract: Boolean(contract), version,
        latest: Boolean(latest), deprecation, group, columns, project: this.projects[project],
        into: [], out: [], readers: 0,
      };
      node.project.nodes.push(node);
      if (kind === PUBLIC) node.project.published += 1;
      return node;
    });
    this.edges = index.edges.map(([source, target, columns, since]) => {
      const edge = { source: this.nodes[source], target: this.nodes[target], columns, since };
      edge.source.out.push(edge);
      edge.target.into.push(edge);
      if (edge.source.project !== edge.target.project) this.#cross(edge);
      return edge;
    });
    this.byId = new Map(this.nodes.map((node) => [node.id, node]));
    this.byName = new Map(this.projects.map((project) => [project.name, project]));
  }

  #cross({ source, target }) {
    source.readers += 1;
    const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
    count(source.project.readBy, target.project);
    count(target.project.readsFrom, source.project);
  }

  /** Returns everything downstream of `node`, in all projects: node → steps from it. */
  downstream(node) {
    return reach(node, (each) => each.out.map((edge) => edge.target));
  }

  /** Returns everything upstream of `node`, in all projects: node → steps to it. */
  upstream(node) {
    return reach(node, (each) => each.into.map((edge) => edge.source));
  }

  /** Returns descriptions, types and constraints of a project's models by id, read on first use. */
  details(project) {
    project.details ??= unpack(`details-${project.number}`);
    return project.details;
  }

  /** Returns the other projects of a project's cycle: it reads them, and they read it. */
  cycleOf(project) {
    const group = this.cycles.find((names) => names.includes(project.name)) ?? [];
    return group.filter((name) => name !== project.name).map((name) => this.byName.get(name));
  }

  owner(node) {
    return node.group === null ? null : { group: node.group, ...node.project.owners[node.group] };
  }
}

function distinct(values) {
  return [...new Set(values.filter(Boolean))];
}

function reach(start, next) {
  const steps = new Map([[start, 0]]);
  for (const node of steps.keys()) {  // a Map also iterates over keys that are added meanwhile
    for (const other of next(node)) {
      if (!steps.has(other)) steps.set(other, steps.get(node) + 1);
    }
  }
  steps.delete(start);
  return steps;
}

const FLAGS = {
  deprecated: { label: "Deprecated", title: "has a deprecation date", test: (node) => node.deprecation !== null },
  uncontracted: { label: "No contract", title: "public without an enforced contract", test: (node) => node.kind === PUBLIC && !node.contract },
  unused: { label: "Unused", title: "no other project has recorded that it reads it", test: (node) => node.kind === PUBLIC && node.readers === 0 },
  missing: { label: "Missing", title: "is read, and no longer published", test: (node) => node.kind === MISSING },
};

/** Returns a model's state, which is also the CSS class that colours it. */
function condition(node) {
  if (node.kind === MISSING) return "missing";
  if (node.kind === READER) return "reader";
  if (node.deprecation !== null) return "deprecated";
  return node.contract ? "contract" : "none";
}

function filtering({ text, project, flags }) {
  return Boolean(text.trim() || project || flags.size);
}

/** Returns the nodes that pass the filter: in the mesh's order, or best first for a text search. */
function search(mesh, { text, project, flags }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const columns = words.map((word) => new Set(mesh.lowerColumns.flatMap((name, number) => (name.includes(word) ? [number] : []))));
  const only = project ? mesh.byName.get(project) : null;
  const tests = [...flags].map((flag) => FLAGS[flag].test);
  const found = [];
  for (const node of only ? only.nodes : mesh.nodes) {
    if (!tests.every((test) => test(node))) continue;
    let rank = 0;
    for (const [at, word] of words.entries()) {
      const place = node.words.indexOf(word);
      if (place >= 0) rank += place === 0 ? (node.label.length === word.length ? 0 : 1) : place < node.label.length ? 2 : 3;
      else if (columns[at].size && node.columns.some((column) => columns[at].has(column))) rank += 4;
      else { rank = -1; break; }
    }
    if (rank >= 0) found.push({ node, rank });
  }
  // the sort is stable, so equals stay in the mesh's order
  if (words.length) found.sort((a, b) => a.rank - b.rank);
  return found.map(({ node }) => node);
}

const DAY = 86_400_000;

/** `in 38 days`, `3 hours ago`. */
function relative(when, now = Date.now()) {
  const away = new Date(when).getTime() - now;
  if (Number.isNaN(away)) return "";
  const [size, unit] = [[365 * DAY, "year"], [DAY, "day"], [3_600_000, "hour"], [60_000, "minute"]]
    .find(([each]) => Math.abs(away) >= (each === 365 * DAY ? 2 * each : each)) ?? [1, ""];
  if (!unit) return away < 0 ? "just now" : "in a moment";
  const count = away < 0 ? Math.floor(-away / size) : Math.ceil(away / size);
  const text = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return away < 0 ? `${text} ago` : `in ${text}`;
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
