"""Requirements of a page for readers: scripts for the browser, with the findings as their value."""

# Each visible text whose contrast to the colour behind it is below the one that WCAG requires.
# Colours with transparency are mixed with those behind them.
LOW_CONTRAST = """(() => {
  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (front, back) =>
    [0, 1, 2].map((at) => front[at] * front[3] + back[at] * (1 - front[3])).concat(1);
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      part /= 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const flame = element.closest("svg.flames g");
    if (flame) return channels(getComputedStyle(flame.querySelector("rect")).fill);
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(channels(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((back, front) => over(front, back), [255, 255, 255, 1]);
  };
  const low = [];
  let read = 0;
  for (const element of document.querySelectorAll("body *:not(script):not(style)")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own) continue;
    if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    if (["title", "desc", "OPTION", "NOSCRIPT"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const back = behind(element);
    const [one, other] = [luminance(over(channels(colour), back)), luminance(back)];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    read += 1;
    if (contrast < 4.5) low.push(`${element.textContent.trim().slice(0, 40)}: ${contrast}`);
  }
  return {low, read};
})()"""

# Words of tables that continue on the next line, for example a number that is cut in two.
BROKEN_WORDS = """(() => {
  const broken = [];
  const range = document.createRange();
  for (const cell of document.querySelectorAll("article td, article th")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      for (const word of node.data.matchAll(/[\\w.,%]+/g)) {
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
        if (lines.size > 1) broken.push(word[0]);
      }
    }
  }
  return broken;
})()"""

# Elements that must have a name for a screen reader.
NAMED_ROLES = ("button", "dialog", "link", "searchbox", "textbox")

# Barriers for a reader with a keyboard or a screen reader: rules of WCAG, and of axe-core's best
# practices. Each finding is the rule and the beginning of the element.
BARRIERS = """(() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (element) => element.checkVisibility({visibilityProperty: true});
  const report = (rule, element) => found.push(`${rule}: ${element.outerHTML.slice(0, 120)}`);
  const named = (element, attribute) => (element.getAttribute(attribute) ?? "").split(/\\s+/)
    .filter(Boolean).map((id) => document.getElementById(id));

  if (!document.documentElement.lang) found.push("no language");
  if (!document.title.trim()) found.push("no title");
  if (/user-scalable=no|maximum-scale/.test(document.querySelector("meta[name=viewport]").content))
    found.push("no zoom");

  const headings = all("h1, h2, h3, h4, h5, h6").filter(shown);
  if (headings.filter((item) => item.tagName === "H1").length !== 1) found.push("not one h1");
  headings.reduce((above, heading) => {
    const level = Number(heading.tagName[1]);
    if (level > above + 1) report("skipped level", heading);
    if (!heading.textContent.trim()) report("empty heading", heading);
    return level;
  }, 0);

  const ids = new Set();
  for (const element of all("[id]")) {
    if (ids.has(element.id)) report("id twice", element);
    ids.add(element.id);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for"])
    for (const element of all(`[${attribute}]`))
      if (named(element, attribute).includes(null)) report(`${attribute} of no element`, element);

  if (all("main, [role=main]").filter(shown).length !== 1) found.push("not one main");
  const landmarks = "header, nav, main, footer, aside, dialog, section[aria-label], " +
    "section[aria-labelledby], [role=banner], [role=dialog], [role=search], [role=region]";
  for (const element of all("body *:not(script):not(style):not(noscript)")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const skip = element === document.querySelector("a[href^='#']");
    if (text && !skip && shown(element) && !element.closest(landmarks))
      report("outside of landmarks", element);
  }
  const names = new Set();
  for (const element of all("nav:not([role])").filter(shown)) {
    const label = element.getAttribute("aria-label") ??
      named(element, "aria-labelledby").map((item) => item?.textContent.trim()).join(" ");
    if (!label) report("navigation without a name", element);
    if (names.has(label)) report("navigation with the name of another", element);
    names.add(label);
  }

  const focusable = "a[href], button, input:not([type=hidden]), select, textarea, summary, " +
    "[tabindex]:not([tabindex='-1'])";
  for (const element of all("[aria-hidden=true]"))
    for (const inner of [element, ...element.querySelectorAll(focusable)])
      if (inner.matches(focusable) && shown(inner)) report("hidden, but has the focus", inner);
  for (const element of all("[tabindex]"))
    if (element.tabIndex > 0) report("order of its own", element);
  for (const element of all("a, button, summary"))
    if (element.querySelector("a[href], button")) report("a control in a control", element);
  for (const element of all("body *")) {
    const style = getComputedStyle(element);
    const sideways = /auto|scroll/.test(style.overflowX) &&
      element.scrollWidth > element.clientWidth + 1;
    const down = /auto|scroll/.test(style.overflowY) &&
      element.scrollHeight > element.clientHeight + 1;
    const inner = [...element.querySelectorAll(focusable)];
    const reached = element.matches(focusable) || inner.some(shown);
    if ((sideways || down) && shown(element) && !reached)
      report("scrolls only with a pointer", element);
  }

  for (const item of all("ul > :not(li, script, template), ol > :not(li, script, template)"))
    report("not an item of its list", item);
  for (const item of all("li"))
    if (!item.parentElement.matches("ul, ol, menu")) report("an item without a list", item);
  for (const item of all("dl > :not(dt, dd, div)")) report("not an entry of its list", item);
  for (const cell of all("th").filter(shown))
    if (!cell.textContent.trim()) report("heading of a table without a text", cell);
  for (const table of all("table").filter(shown))
    if (!table.querySelector("th")) report("table without headings", table);
  return found;
})()"""
