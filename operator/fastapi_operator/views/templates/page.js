
"use strict";
(() => {
  const form = document.querySelector(".controls");
  if (!form) return;
  const filter = document.getElementById("filter");
  const differing = document.getElementById("differing");
  const shown = document.getElementById("shown");
  const openAll = document.getElementById("open-all");
  const sections = [...document.querySelectorAll("section.numbers")];
  const rows = [...document.querySelectorAll("section.numbers tbody tr")];
  const update = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = (row.id + " " + row.textContent).toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) ||
        Boolean(differing && differing.checked && !row.classList.contains("differs"));
      count += row.hidden ? 0 : 1;
    }
    for (const section of sections) {
      section.hidden = !section.querySelector("tbody tr:not([hidden])");
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length} numbers`;
  };
  filter.addEventListener("input", update);
  if (differing) differing.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  let open = false;
  openAll.addEventListener("click", () => {
    open = !open;
    for (const row of rows) if (!row.hidden) row.querySelector("details").open = open;
    openAll.textContent = open ? "Close all reasons" : "Open all reasons";
  });
  // A link to a number that the filter hides shows it, with its inputs.
  const follow = () => {
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!row || row.tagName !== "TR") return;
    if (row.hidden) {
      filter.value = "";
      if (differing) differing.checked = false;
      update();
    }
    row.querySelector("details").open = true;
    row.scrollIntoView({block: "center"});
  };
  addEventListener("hashchange", follow);
  form.hidden = false;
  update();
  follow();
})();
(() => {
  const graph = document.querySelector("svg.flames");
  if (!graph) return;
  const [, , width] = graph.getAttribute("viewBox").split(" ").map(Number);
  const letter = 6.6;
  const frames = [...graph.querySelectorAll("g")];
  const number = (frame, name) => Number(frame.dataset[name]);
  const place = (left, share) => {
    for (const frame of frames) {
      const own = number(frame, "width");
      const start = number(frame, "left");
      const within = start >= left - 1e-6 && start + own <= left + share + 1e-6;
      const around = start <= left + 1e-6 && start + own >= left + share - 1e-6;
      frame.classList.toggle("caller", around && own > share + 1e-6);
      frame.style.display = within || around ? "" : "none";
      const x = around ? 0 : (start - left) / share * width;
      const size = around ? width : own / share * width;
      const rect = frame.querySelector("rect");
      rect.setAttribute("x", x);
      rect.setAttribute("width", Math.max(size - 0.5, 0.3));
      const text = frame.querySelector("text");
      const room = Math.floor((size - 6) / letter);
      const name = frame.dataset.name;
      text.setAttribute("x", x + 3);
      text.textContent = room < 3 ? "" :
        name.length <= room ? name : name.slice(0, room - 1) + "…";
    }
  };
  const output = document.getElementById("frame");
  for (const frame of frames) {
    frame.addEventListener("click", () => {
      place(number(frame, "left"), number(frame, "width"));
      output.textContent = frame.querySelector("title").textContent;
    });
  }
  for (const hint of document.querySelectorAll(".scripted")) hint.hidden = false;
})();
