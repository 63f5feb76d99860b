"use strict";
// The drawing on the page: redraws the scene when the state has changed, and moves the view.

class Canvas {
  /** container: the element; state: what is open, selected and filtered (see App). */
  constructor(container, mesh, state) {
    this.mesh = mesh;
    this.state = state;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.cy = cytoscape({
      container, style: drawingStyle(), layout: { name: "preset" },
      minZoom: 0.08, maxZoom: 2.5, autoungrabify: true, boxSelectionEnabled: false, selectionType: "single",
    });
  }

  /** Redraws. keep: the id of an element that stays at its place on the screen. fit: whether to show
   *  everything if there is no such element. */
  draw(matches, { fit = true, keep = null } = {}) {
    const { cy } = this;
    const before = keep && cy.getElementById(keep).nonempty() ? cy.getElementById(keep).renderedPosition() : null;
    const drawn = scene(this.mesh, this.state, matches);
    layout(drawn, narrow());
    cy.batch(() => {
      cy.elements().remove();
      cy.add(elements(drawn, this.state, narrow()));
    });
    cy.resize();
    if (before) this.putBack(keep, before);
    else if (fit) this.frame(false);
    return drawn;
  }

  putBack(id, before) {
    const after = this.cy.getElementById(id);
    if (after.nonempty()) this.cy.panBy({ x: before.x - after.renderedPosition().x, y: before.y - after.renderedPosition().y });
  }

  /** Zooms to the selected lineage, or to everything, but not closer than is comfortable to read. */
  frame(smoothly) {
    const { cy } = this;
    const seen = this.toFrame();
    if (seen.empty()) return;
    const small = narrow(), margin = this.margins(small);
    const { x1, y1, w, h: high } = seen.boundingBox();
    const room = { x: cy.width() - 2 * margin.side, y: cy.height() - margin.top - margin.bottom };
    const zoom = Math.max(cy.minZoom(), Math.min(1.15, room.x / w, small ? Infinity : room.y / high));
    const pan = { x: margin.side + (room.x - w * zoom) / 2 - x1 * zoom, y: margin.top + (room.y - high * zoom) / 2 - y1 * zoom };
    if (high * zoom > room.y) pan.y = margin.top + 16 - this.begin(seen, zoom, room.y) * zoom;
    if (smoothly && !this.calm.matches) cy.animate({ zoom, pan, duration: 200 });
    else cy.viewport({ zoom, pan });
  }

  toFrame() {
    const { cy } = this;
    // a model does not show its project, so the names of the projects are framed as well
    const lit = this.state.lineage ? cy.elements(".chosen, .down, .up").union(cy.nodes(".name").not(".dim")) : cy.elements();
    return lit.empty() ? cy.elements() : lit;
  }

  /** Room for what covers the map: tools at the top; at the bottom the legend, or a phone's details. */
  margins(small) {
    return { side: small ? 14 : 48, top: 60, bottom: small && this.state.selected ? find("detail").offsetHeight : 60 };
  }

  /** The top of the view if the drawing is higher than the screen: the project of the selected model,
   *  or the model if it would be below the screen; without a selection, the top of the drawing. */
  begin(seen, zoom, room) {
    const chosen = seen.filter(".model.chosen");
    if (chosen.empty()) return seen.boundingBox().y1;
    const row = chosen.boundingBox();
    const box = this.cy.getElementById(`p${this.state.selected.project.number}`).boundingBox();
    return (row.y2 - box.y1) * zoom < room - 16 ? box.y1 : row.y1;
  }

  zoom(factor) {
    const { cy } = this;
    cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  }
}
