
"use strict";
(() => {
  const svg = document.documentElement.tagName === "svg" ? document.documentElement : document.querySelector("svg");
  const total = Number(svg.dataset.total), margin = Number(svg.dataset.margin);
  const room = Number(svg.dataset.width) - 2 * margin;
  const id = (name) => svg.getElementById(name);
  const frames = [...svg.querySelectorAll(".frame")].map((box) => ({
    box,
    rect: box.querySelector("rect"),
    text: box.querySelector("text"),
    title: box.querySelector("title").textContent,
    name: box.querySelector("title").textContent.replace(/: [\d,]+ drops, [^:]*$/, ""),
    start: Number(box.dataset.start),
    count: Number(box.dataset.count),
    depth: Number(box.dataset.depth),
  }));

  // As the writer of this file does.
  function fitting(name, width) {
    const letters = [...name], fits = Math.floor((width - 8) / 7);
    if (fits >= letters.length) return name;
    return fits < 4 ? "" : letters.slice(0, fits - 1).join("") + "…";
  }

  function zoom(to) {
    const scale = room / Math.max(to.count, 1), end = to.start + to.count;
    for (const frame of frames) {
      const below = frame.depth < to.depth && frame.start <= to.start && frame.start + frame.count >= end;
      const inside = frame.depth >= to.depth && frame.start >= to.start && frame.start + frame.count <= end;
      frame.box.classList.toggle("aside", below);
      frame.box.classList.toggle("gone", !below && !inside);
      if (!below && !inside) continue;
      const x = below ? margin : margin + (frame.start - to.start) * scale;
      const width = below ? room : frame.count * scale;
      frame.rect.setAttribute("x", x);
      frame.rect.setAttribute("width", width);
      frame.text.setAttribute("x", x + 5);
      frame.text.textContent = fitting(frame.name, width);
    }
    id("reset").classList.toggle("idle", to === frames[0]);
  }

  function search(wanted) {
    let shown = 0, until = -1;
    const hits = frames.filter((frame) => wanted && frame.name.toLowerCase().includes(wanted.toLowerCase()));
    frames.forEach((frame) => frame.box.classList.toggle("found", hits.includes(frame)));
    // What stands over a hit is in it already.
    for (const hit of hits.sort((a, b) => a.start - b.start || b.count - a.count)) {
      if (hit.start < until) continue;
      shown += hit.count;
      until = hit.start + hit.count;
    }
    id("found").textContent = wanted ? `${(100 * shown / Math.max(total, 1)).toFixed(1)}% in “${wanted}”` : "";
  }

  const ask = () => {
    const wanted = prompt("Functions whose name contains", "");
    if (wanted !== null) search(wanted.trim());
  };
  const press = (box, act) => {
    box.addEventListener("click", act);
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      act();
    });
  };
  for (const frame of frames) {
    press(frame.box, () => zoom(frame));
    const tell = () => { id("about").textContent = frame.title; };
    frame.box.addEventListener("mouseenter", tell);
    frame.box.addEventListener("focus", tell);
  }
  press(id("reset"), () => zoom(frames[0]));
  press(id("search"), ask);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { zoom(frames[0]); search(""); }
    if (event.key === "/") { event.preventDefault(); ask(); }
  });
  if (frames.length) zoom(frames[0]);
})();
