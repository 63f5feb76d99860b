"use strict";
// Makes, from the mesh and from what is open and selected, a scene (boxes, rows and links), its
// layout (dagre) and the drawing (cytoscape). It draws only what can be read at once: a closed
// project is one box, an open one shows a limited number of rows, and a selected lineage shows its
// own rows in all projects.

const ROW = { width: 232, height: 30, gap: 6 };
const BOX = { width: 232, height: 62, head: 50, pad: 12 };
const PER_COLUMN = 15;
const PAGE = 29;  // rows that a box shows at first: with the row "more", two columns
const LINEAGE = 90;  // rows of a lineage in all boxes together

/** Returns the boxes with their rows, and the links between them. */
function scene(mesh, state, matches) {
  const filtered = filtering(state.filter);
  const candidates = new Map(mesh.projects.map((project) => [project, []]));
  for (const node of matches) candidates.get(node.project).push(node);
  const lineage = state.lineage;
  const alone = lineage && state.alone;
  const share = lineage ? Math.max(3, Math.floor(LINEAGE / lineage.projects.size)) : 0;
  const boxes = new Map();
  for (const project of mesh.projects) {
    const own = candidates.get(project);
    const through = lineage ? project.nodes.filter((node) => lineage.nodes.has(node)) : [];
    if (alone ? !through.length && !lineage.projects.has(project) : filtered && !own.length && !through.length) continue;
    const open = state.open.has(project) && !alone;
    const limit = state.limits.get(project) ?? PAGE;
    const rows = new Set(nearest(through, lineage, Math.max(share, limit - PAGE + share)));
    if (open) for (const node of important(own)) if (rows.size < limit || rows.has(node)) rows.add(node);
    const hidden = alone ? through.length - rows.size : open ? own.filter((node) => !rows.has(node)).length : 0;
    boxes.set(project, { project, open, rows: [...rows].sort(byName), hidden, found: filtered ? own.length : null });
  }
  return { boxes: [...boxes.values()], links: links(mesh, boxes, lineage).filter((link) => !alone || link.way) };
}

function byName(a, b) {
  return a.kind - b.kind || a.label.localeCompare(b.label, "en", { numeric: true });
}

/** Sorts models that others read first, because people look for those on a map. */
function important(nodes) {
  return nodes.map((node) => ({ node, use: node.readers + (node.kind === PUBLIC ? 0 : node.into.length) + (node.kind === MISSING ? 1e6 : 0) }))
    .sort((a, b) => b.use - a.use).map(({ node }) => node);
}

function nearest(nodes, lineage, limit) {
  return [...nodes].sort((a, b) => lineage.nodes.get(a).steps - lineage.nodes.get(b).steps).slice(0, limit);
}

/** Returns links between what is drawn. The box of its project stands for a model not drawn. */
function links(mesh, boxes, lineage) {
  const shown = new Map();
  for (const box of boxes.values()) for (const node of box.rows) shown.set(node, `n${node.number}`);
  const found = new Map();
  for (const { source, target } of mesh.edges) {
    if (!boxes.has(source.project) || !boxes.has(target.project)) continue;
    const inside = source.project === target.project;
    if (inside && !(shown.has(source) && shown.has(target))) continue;
    const from = shown.get(source) ?? `p${source.project.number}`;
    const to = shown.get(target) ?? `p${target.project.number}`;
    const key = `${from}>${to}`;
    const link = found.get(key) ?? { key, from, to, inside, source, target, count: 0, way: null };
    link.count += 1;
    link.way ??= lineage?.way(source, target) ?? null;
    found.set(key, link);
  }
  return [...found.values()];
}

/** Places every box and row. Dagre chooses the columns and the order in them, so that data flows in
 * one direction and few links cross. It also leaves room for links between the boxes, which makes a
 * large mesh too small to read, so the boxes are moved together. Boxes without links are in a grid
 * below. On a narrow screen all boxes are in one column, sources first. */
function layout({ boxes, links }, narrow) {
  for (const box of boxes) Object.assign(box, size(box));
  const { ranks, rest } = ranked(boxes, links);
  if (narrow) stack([...ranks.flat(), ...rest]);
  else {
    const gap = { x: boxes.length > 24 ? 96 : 110, y: 24 };
    const tall = (rank) => rank.reduce((sum, box) => sum + box.height + gap.y, -gap.y);
    const tallest = Math.max(0, ...ranks.map(tall));
    let x = 0;
    for (const rank of ranks) {
      let y = (tallest - tall(rank)) / 2;
      for (const box of rank) {
        Object.assign(box, { x, y });
        y += box.height + gap.y;
      }
      x += Math.max(...rank.map((box) => box.width)) + gap.x;
    }
    grid(rest, x - gap.x, ranks.length ? tallest + 56 : 0);
  }
  rows(boxes, links);
}

/** Returns the linked boxes in dagre's columns, each from top to bottom, and boxes without links. */
function ranked(boxes, links) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR" });
  graph.setDefaultEdgeLabel(() => ({}));
  const key = (project) => String(project.number);
  const linked = new Set(links.flatMap((link) => (link.inside ? [] : [link.source.project, link.target.project])));
  for (const { project, width, height } of boxes) if (linked.has(project)) graph.setNode(key(project), { width, height });
  for (const { inside, source, target } of links) if (!inside) graph.setEdge(key(source.project), key(target.project));
  dagre.layout(graph);
  const ranks = new Map(), place = ({ project }) => graph.node(key(project));
  for (const box of boxes.filter(({ project }) => linked.has(project))) {
    const x = Math.round(place(box).x);
    ranks.set(x, [...(ranks.get(x) ?? []), box]);
  }
  return {
    ranks: [...ranks].sort(([a], [b]) => a - b).map(([, rank]) => rank.sort((a, b) => place(a).y - place(b).y)),
    rest: boxes.filter(({ project }) => !linked.has(project)),
  };
}

function stack(boxes) {
  const wide = Math.max(0, ...boxes.map((box) => box.width));
  let y = 0;
  for (const box of boxes) {
    Object.assign(box, { x: 0, y, width: wide });
    y += box.height + 20;
  }
}

function grid(boxes, right, top) {
  const wide = Math.max(right, Math.ceil(Math.sqrt(boxes.length * 0.5)) * (BOX.width + 24));
  let x = 0, y = top, tall = 0;
  for (const box of boxes) {
    if (x && x + box.width > wide) { x = 0; y += tall + 24; tall = 0; }
    Object.assign(box, { x, y });
    x += box.width + 24;
    tall = Math.max(tall, box.height);
  }
}

function size(box) {
  const count = box.rows.length + (box.hidden > 0 && box.rows.length ? 1 : 0);
  if (!count) return { width: BOX.width, height: BOX.height };
  const columns = Math.ceil(count / PER_COLUMN), high = Math.min(count, PER_COLUMN);
  return {
    width: columns * (ROW.width + ROW.gap) - ROW.gap + 2 * BOX.pad,
    height: BOX.head + high * (ROW.height + ROW.gap) - ROW.gap + BOX.pad,
  };
}

/** Rows go beside what they read, box after box in the direction of the data, so that fewer links
 * cross; those that read nothing drawn keep their order. */
function rows(boxes, links) {
  const sources = new Map();
  for (const { to, from, inside } of links) if (!inside) sources.set(to, [...(sources.get(to) ?? []), from]);
  const place = new Map();
  for (const box of [...boxes].sort((a, b) => a.x - b.x)) {
    place.set(`p${box.project.number}`, box.y + box.height / 2);
    const wish = new Map(box.rows.map((node, at) => {
      const from = (sources.get(`n${node.number}`) ?? []).map((key) => place.get(key)).filter((y) => y !== undefined);
      return [node, from.length ? from.reduce((a, b) => a + b) / from.length : box.y + at];
    }));
    if (box.rows.length <= PER_COLUMN) box.rows.sort((a, b) => wish.get(a) - wish.get(b));
    box.places = [...box.rows, ...(box.hidden > 0 && box.rows.length ? [null] : [])].map((node, at) => {
      const x = box.x + BOX.pad + Math.floor(at / PER_COLUMN) * (ROW.width + ROW.gap) + ROW.width / 2;
      const y = box.y + BOX.head + (at % PER_COLUMN) * (ROW.height + ROW.gap) + ROW.height / 2;
      if (node) place.set(`n${node.number}`, y);
      return { node, x, y };
    });
  }
}

function elements({ boxes, links }, state, narrow) {
  const made = [];
  const add = (data, x, y, classes) => made.push({ data, position: { x, y }, classes: classes.filter(Boolean).join(" ") });
  for (const box of boxes) {
    const { project } = box, middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const role = project.published ? "publishes" : "reads";
    const dim = state.lineage && !state.lineage.projects.has(project) && "dim";
    const chosen = state.selected === project && "chosen";
    const width = box.width, height = box.height;
    add({ id: `p${project.number}`, width, height }, middle.x, middle.y, ["box", role, dim, chosen]);
    // a label has one font: name and caption are two
    const top = box.rows.length ? box.y + 25 : middle.y;
    const left = box.x + BOX.pad + 2;
    add({ id: `t${project.number}`, label: project.name }, left, top - 9, ["name", dim]);
    add({ id: `c${project.number}`, label: caption(box) }, left, top + 10, ["caption", dim]);
    add({ id: `s${project.number}`, label: box.rows.length ? "▾" : "▸" }, box.x + width - 24, top - 9, ["sign", dim]);
    for (const { node, x, y } of box.places) {
      if (!node) {
        add({ id: `m${project.number}`, label: `${box.hidden.toLocaleString("en")} more` }, x, y, ["more", dim]);
        continue;
      }
      const step = state.lineage?.nodes.get(node);
      const faded = state.lineage && !step && node !== state.selected && "dim";
      add({ id: `n${node.number}`, label: node.label }, x, y, ["model", condition(node), step?.way, faded, node === state.selected && "chosen"]);
    }
  }
  const place = new Map(made.map((each) => [each.data.id, each]));
  // more numbers than these would hide each other
  for (const link of links) made.push(curve(link, place, state, { counted: links.length <= 60, narrow }));
  return made;
}

function caption(box) {
  const { project } = box;
  if (box.found !== null) return `${box.found.toLocaleString("en")} found`;
  const readers = project.nodes.filter((node) => node.kind === READER).length;
  const parts = [];
  if (project.published) parts.push(plural(project.published, "public model"));
  if (readers) parts.push(plural(readers, "reader"));
  return parts.join(" · ") || "nothing public";
}

/** Returns a link's curve. It leaves on the right and arrives on the left, both horizontally: an S
 * whose two bends cytoscape takes relative to the straight line between the ends. Within a box it is
 * a bow on the left, and in the single column of a narrow screen a bow on the right. */
function curve(link, place, state, { counted, narrow }) {
  const half = (key) => (place.get(key).data.width ?? ROW.width) / 2;
  const from = place.get(link.from).position, to = place.get(link.to).position;
  const sides = link.inside ? [-1, -1] : narrow ? [1, 1] : [1, -1];
  const a = { x: from.x + sides[0] * half(link.from), y: from.y };
  const b = { x: to.x + sides[1] * half(link.to), y: to.y };
  const forward = b.x - a.x;
  const reach = sides[0] === sides[1] ? Math.min(64, 14 + Math.abs(b.y - a.y) * 0.06) : forward > 20 ? forward * 0.4 : Math.max(60, -forward / 5);
  const bends = [{ x: a.x + sides[0] * reach, y: a.y }, { x: b.x + sides[1] * reach, y: b.y }];
  const dx = b.x - a.x, dy = b.y - a.y, long = Math.hypot(dx, dy) || 1;
  const data = {
    id: link.key, source: link.from, target: link.to,
    width: Math.min(5, 1.4 + Math.log2(link.count) * 0.7),
    label: counted && link.count > 1 ? link.count.toLocaleString("en") : "",
    weights: bends.map((c) => ((c.x - a.x) * dx + (c.y - a.y) * dy) / long ** 2),
    distances: bends.map((c) => ((c.y - a.y) * dx - (c.x - a.x) * dy) / long),
    ends: sides.map((side) => `${side * 50}% 0`),
  };
  const dim = state.lineage && !link.way && "dim";
  return { data, classes: ["link", link.way, dim].filter(Boolean).join(" ") };
}

/** Returns the page's colours, so that only style.css defines those of light and dark. */
function palette() {
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    const parts = getComputedStyle(probe).color.match(/\d+/g).slice(0, 3);
    return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
  };
  const names = ["page", "surface", "raised", "line", "text", "muted", "accent", "accent-soft", "edge", "good", "none", "warn", "bad", "hit", "hit-soft", "up", "up-soft"];
  const found = Object.fromEntries(names.map((name) => [name, colour(name)]));
  probe.remove();
  return found;
}

function drawingStyle() {
  const c = palette(), font = getComputedStyle(document.body).fontFamily;
  const stripe = (colour, fill, width) => ({
    "background-fill": "linear-gradient", "background-gradient-direction": "to-right",
    "background-gradient-stop-colors": `${colour} ${colour} ${fill} ${fill}`,
    "background-gradient-stop-positions": `0% ${width}% ${width}% 100%`,
  });
  const rule = (selector, style) => ({ selector, style });
  const quiet = { "background-opacity": 0, "border-width": 0, events: "no", height: 18, width: 1, "text-halign": "right", "text-valign": "center", "z-index": 4 };
  return [
    rule("node", { shape: "round-rectangle", label: "data(label)", "font-family": font, color: c.text, "overlay-opacity": 0, "min-zoomed-font-size": 5, "z-index-compare": "manual" }),
    rule(".box", { width: "data(width)", height: "data(height)", "background-color": c.surface, "border-width": 1.5, "border-color": c.line, "corner-radius": 12, "z-index": 1, label: "" }),
    rule(".box.publishes", { "border-color": c.accent }),
    rule(".box.reads", { "border-style": "dashed", "border-color": c.muted }),
    rule(".box.chosen", { "border-width": 3.5, "border-color": c.accent, "border-style": "solid" }),
    rule(".name", { ...quiet, "font-size": 15, "font-weight": 600, "text-wrap": "ellipsis", "text-max-width": 190 }),
    rule(".caption", { ...quiet, "font-size": 12, color: c.muted }),
    rule(".sign", { ...quiet, "font-size": 12, color: c.muted }),
    rule(".model", {
      width: ROW.width, height: ROW.height, "corner-radius": 7, "border-width": 1, "border-color": c.line, "font-size": 13, "z-index": 3,
      "text-wrap": "ellipsis", "text-max-width": ROW.width - 30, "text-halign": "right", "text-valign": "center", "text-margin-x": 16 - ROW.width,
      "background-color": c.raised, ...stripe(c.none, c.raised, 2.2),
    }),
    rule(".model.contract", stripe(c.good, c.raised, 2.2)),
    rule(".model.deprecated", stripe(c.warn, c.raised, 2.2)),
    rule(".model.missing", { ...stripe(c.bad, c.raised, 2.2), color: c.bad, "border-style": "dashed", "border-color": c.bad }),
    rule(".model.reader", { "background-fill": "solid", "border-style": "dashed", "border-color": c.muted }),
    rule(".more", { width: ROW.width, height: ROW.height, "background-opacity": 0, "border-width": 0, color: c.accent, "font-size": 13, "text-halign": "center", "text-valign": "center", "z-index": 3 }),
    rule(".model.down", { "border-color": c.hit, "border-width": 2.5, "border-style": "solid", "background-fill": "solid", "background-color": c["hit-soft"] }),
    rule(".model.up", { "border-color": c.up, "border-width": 2.5, "border-style": "solid", "background-fill": "solid", "background-color": c["up-soft"] }),
    rule(".model.chosen", { "border-color": c.accent, "border-width": 3.5, "border-style": "solid", "font-weight": 600, "background-fill": "solid", "background-color": c["accent-soft"] }),
    rule(".link", {
      "curve-style": "unbundled-bezier", "edge-distances": "endpoints", "source-endpoint": (link) => link.data("ends")[0], "target-endpoint": (link) => link.data("ends")[1],
      "control-point-weights": "data(weights)", "control-point-distances": "data(distances)",
      width: "data(width)", "line-color": c.edge, "target-arrow-color": c.edge, "target-arrow-shape": "triangle", "arrow-scale": 0.9,
      label: "data(label)", "font-size": 11, "font-family": font, color: c.muted, "text-background-color": c.page, "text-background-opacity": 1, "text-background-padding": 2,
      "z-index-compare": "manual", "z-index": 2, "overlay-opacity": 0, events: "no", "min-zoomed-font-size": 6,
    }),
    rule(".link.down", { "line-color": c.hit, "target-arrow-color": c.hit, color: c.hit, "z-index": 5 }),
    rule(".link.up", { "line-color": c.up, "target-arrow-color": c.up, color: c.up, "z-index": 5 }),
    rule(".dim", { opacity: 0.28 }),
    rule(".hover", { "border-color": c.accent, "border-width": 2.5 }),
  ];
}
