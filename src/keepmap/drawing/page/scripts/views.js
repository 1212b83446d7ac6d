// The registry: a file of views/ registers one view; tabs, keys and the hash find it here.

const views = [];

// {name, title, order, has: run -> whether there is anything to show, open: async (place, run) -> () => void on changes}
function view(entry) {
  views.push(entry);
}

// What stands above a view: its name, what it shows, and its controls.
function heading(title, about, ...controls) {
  return el("div", { class: "heading" }, el("h2", {}, title), about ? el("p", { class: "about" }, about) : null,
    controls.length ? el("div", { class: "controls" }, controls) : null);
}

// A picture that fills the width that there is, drawn again when that changes or the colours do.
function redrawn(node, draw) {
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(node);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", () => node.isConnected && draw());
}
