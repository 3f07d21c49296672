// Mouse, touch and keys. `viewer` carries the actions out.

const CLICK_PX = 4, TOUCH_STEP_PX = 9;

export function bindPointer(viewport, viewer) {
  const canvas = viewport.canvas, pointers = new Map();
  let moved = 0, rest = 0, pinch = null, button = 0;

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) viewport.zoomAt(event, Math.exp(-event.deltaY / 300));
    else {
      rest += event.deltaMode === 0 ? event.deltaY / 50 : event.deltaY;
      const steps = Math.abs(event.deltaY) >= 50 || event.deltaMode !== 0 ? Math.sign(event.deltaY) : Math.trunc(rest);
      if (steps !== 0) { rest = 0; viewer.scroll(viewport.plane, steps); }
    }
    viewer.redraw();
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => { viewport.fit(); viewer.redraw(); });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = rest = 0;
    button = event.button;
    pinch = null;
    if (viewer.marking && button === 0 && pointers.size === 1) viewer.beginMark(viewport, event);
    else viewer.dropMark();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) { viewer.hover(viewport, event); return; }
    const dx = event.clientX - before[0], dy = event.clientY - before[1];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved += Math.abs(dx) + Math.abs(dy);
    if (viewer.marking && pointers.size === 1 && button === 0) viewer.growMark(viewport, event);
    else if (pointers.size === 2) pinchTo(viewport, pointers, event);
    else if (moved > CLICK_PX) drag(event, dx, dy);
    viewer.redraw();
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    pinch = null;
    if (viewer.marking && event.type === "pointerup" && button === 0) viewer.endMark();
    else if (moved <= CLICK_PX && event.type === "pointerup" && button === 0) viewer.pick(viewport, event);
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => viewer.hover(viewport, null));

  function drag(event, dx, dy) {
    const tool = button === 1 ? "pan" : button === 2 ? "zoom" : viewer.toolFor(event.pointerType);
    if (tool === "pan") viewport.pan = [viewport.pan[0] + dx, viewport.pan[1] + dy];
    else if (tool === "zoom") viewport.zoomAt(event, Math.exp(-dy / 150));
    else if (tool === "window") viewer.dragWindow(dx, dy);
    else {
      rest += dy;
      const steps = Math.trunc(rest / TOUCH_STEP_PX);
      if (steps !== 0) { rest -= steps * TOUCH_STEP_PX; viewer.scroll(viewport.plane, steps); }
    }
  }

  function pinchTo(view, places, event) {
    const [one, two] = [...places.values()];
    const middle = [(one[0] + two[0]) / 2, (one[1] + two[1]) / 2], distance = Math.hypot(one[0] - two[0], one[1] - two[1]);
    if (pinch !== null && distance > 0) {
      view.pan = [view.pan[0] + middle[0] - pinch.middle[0], view.pan[1] + middle[1] - pinch.middle[1]];
      view.zoomAt({ clientX: middle[0], clientY: middle[1] }, distance / pinch.distance);
    }
    pinch = { middle, distance };
    event.preventDefault();
  }
}

export function bindKeys(viewer) {
  const actions = {
    ArrowUp: () => viewer.scroll(viewer.main.plane, -1),
    ArrowDown: () => viewer.scroll(viewer.main.plane, 1),
    PageUp: () => viewer.scroll(viewer.main.plane, -10),
    PageDown: () => viewer.scroll(viewer.main.plane, 10),
    Home: () => viewer.goToPlace(1),
    End: () => viewer.goToPlace(Infinity),
    n: () => viewer.stepFinding(1),
    p: () => viewer.stepFinding(-1),
    e: () => viewer.showEarlier(),
    1: () => viewer.choosePreset("lung"),
    2: () => viewer.choosePreset("soft"),
    3: () => viewer.choosePreset("bone"),
    o: () => viewer.toggle("outlines"),
    x: () => viewer.toggle("cross-hair"),
    i: () => viewer.toggle("alone"),
    h: () => viewer.toggleHeat(),
    v: () => viewer.nextPlane(),
    Escape: () => viewer.mark(false),
    f: () => viewer.fit(),
    "+": () => viewer.zoom(1.25),
    "-": () => viewer.zoom(0.8),
    "?": () => viewer.help(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !/^(checkbox|radio)$/.test(event.target.type ?? "");
    const action = actions[event.key];
    if (typing || action === undefined || document.querySelector("dialog[open]")) return;
    if (/^[1-6]$/.test(event.key) && document.querySelector('[data-verdicts] details[open] [data-key="1"]')) return; // a reason of a rejection
    event.preventDefault();
    action();
  });
}
