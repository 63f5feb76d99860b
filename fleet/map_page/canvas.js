"use strict";
// The drawing on the page: draws the scene anew when the state has changed, and moves over it.

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

  /** keep: the id of an element that stays where it is on the screen; fit: else, show all. */
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

  /** Shows the lineage that is selected, or everything; never larger than it reads well. */
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
    // a model alone does not tell whose it is, so the names of their projects are seen as well
    const lit = this.state.lineage ? cy.elements(".chosen, .down, .up").union(cy.nodes(".name").not(".dim")) : cy.elements();
    return lit.empty() ? cy.elements() : lit;
  }

  /** What lies over the map: tools above; below the legend, or on a phone the details. */
  margins(small) {
    return { side: small ? 14 : 48, top: 60, bottom: small && this.state.selected ? find("detail").offsetHeight : 60 };
  }

  /** Where a drawing that is higher than the screen begins: at the project of what is selected,
   *  unless that would leave the model below the screen; else at the model, or at its own top. */
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
