"""What a page must be for readers: scripts for the browser, with the findings as their value."""

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
